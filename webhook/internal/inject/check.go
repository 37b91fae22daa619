package inject

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	sidecar "github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/webhook/internal/denial"
)

// input is what a check looks at.
type input struct {
	// pod without the sidecar.
	pod  *corev1.Pod
	plan Plan
	// again says that the pod had been injected before, so its volumes are ours.
	again bool
}

// checks keep pods out that the sidecar could not protect. Each finds at most
// one problem; all of them run, so that the user sees everything at once. The
// gravest stand first.
var checks = []func(input) *denial.Problem{
	// Sessions need a place to live, or no user could log in.
	hasStore,
	// On the node's network the application is reachable at the node's address, and
	// the sidecar's ports could be taken by anything.
	hasOwnNetwork,
	// The sidecar is a Linux image.
	runsOnLinux,
	// A container of our name that we did not write would be taken for the sidecar.
	containerNameIsFree,
	// So would a volume: it could replace the policy or the secrets.
	volumeNamesAreFree,
	// Whoever gets a port first keeps the other from starting.
	portNumbersAreFree,
	// The application's port would win over the sidecar's of the same name.
	portNamesAreFree,
}

// check resolves the application's port, or says everything that is wrong.
func check(pod *corev1.Pod, plan Plan, again bool) (port, error) {
	var problems []denial.Problem
	for _, check := range checks {
		if problem := check(input{pod, plan, again}); problem != nil {
			problems = append(problems, *problem)
		}
	}
	port, problem := findPort(pod, plan.Policy.Spec.Application.Port)
	if problem != nil {
		problems = append(problems, *problem)
	}
	if len(problems) > 0 {
		return port, &denial.Denial{Policy: plan.Policy.Name, Problems: problems}
	}
	return port, nil
}

func hasStore(in input) *denial.Problem {
	if in.plan.Policy.Spec.Session.Store != nil {
		return nil
	}
	return denial.Found(denial.NoStore,
		"it has no session store: write spec.session.store, or install the operator with a store (flag --store-address)")
}

func hasOwnNetwork(in input) *denial.Problem {
	if !in.pod.Spec.HostNetwork {
		return nil
	}
	return denial.Found(denial.HostNetwork,
		"with hostNetwork: true the application is reachable around the sidecar: remove hostNetwork")
}

func runsOnLinux(in input) *denial.Problem {
	if in.pod.Spec.OS == nil || in.pod.Spec.OS.Name != corev1.Windows {
		return nil
	}
	return denial.Found(denial.Windows, "the sidecar runs on Linux nodes only, and the pod asks for os.name: windows")
}

func containerNameIsFree(in input) *denial.Problem {
	for container := range containers(in.pod) {
		if isSidecar(*container) {
			return denial.Found(denial.NameTaken,
				"the pod already has a container named %q that the operator did not write: remove or rename it, the operator adds its own",
				container.Name)
		}
	}
	return nil
}

func volumeNamesAreFree(in input) *denial.Problem {
	if in.again {
		return nil
	}
	for _, volume := range in.pod.Spec.Volumes {
		if volume.Name == sidecar.PolicyVolume || volume.Name == sidecar.SecretsVolume {
			return denial.Found(denial.NameTaken,
				"the pod already has a volume named %q, which is the sidecar's: rename it", volume.Name)
		}
	}
	return nil
}

func portNumbersAreFree(in input) *denial.Problem {
	own := []int32{sidecar.TrafficPort, sidecar.AdminPort}
	for container := range containers(in.pod) {
		for _, declared := range container.Ports {
			if isTCP(declared) && slices.Contains(own, declared.ContainerPort) {
				return denial.Found(denial.PortTaken,
					"container %q uses port %d, which is the sidecar's (%d and %d are): let it listen on another port",
					container.Name, declared.ContainerPort, own[0], own[1])
			}
		}
	}
	if number := in.plan.Policy.Spec.Application.Port.IntVal; slices.Contains(own, number) {
		return denial.Found(denial.PortTaken,
			"its application.port is %d, which is the sidecar's (%d and %d are): let the application listen on another port",
			number, own[0], own[1])
	}
	return nil
}

func portNamesAreFree(in input) *denial.Problem {
	own := []string{sidecar.AdminPortName}
	if port := in.plan.Policy.Spec.Application.Port; port.Type == intstr.Int || port.StrVal == sidecar.PortName {
		own = append(own, sidecar.PortName)
	}
	for container := range containers(in.pod) {
		for _, declared := range container.Ports {
			if isTCP(declared) && slices.Contains(own, declared.Name) {
				return denial.Found(denial.PortTaken,
					"container %q has a port named %q, which is the sidecar's: give it another name",
					container.Name, declared.Name)
			}
		}
	}
	return nil
}
