package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/bff-operator/bff-operator/webhook/internal/denial"
)

// port is where the application listens.
type port struct {
	number int32
	// name is what the sidecar takes over. Empty, if the policy gives a number.
	name string
}

// findPort resolves the policy's application.port in a pod. Services resolve a
// named port for TCP alone here, since that is what the sidecar speaks.
func findPort(pod *corev1.Pod, want intstr.IntOrString) (port, *denial.Problem) {
	if want.Type == intstr.Int {
		return port{number: want.IntVal}, nil
	}
	var numbers []int32
	for declared := range tcpPorts(pod) {
		if declared.Name == want.StrVal && !slices.Contains(numbers, declared.ContainerPort) {
			numbers = append(numbers, declared.ContainerPort)
		}
	}
	switch len(numbers) {
	case 1:
		return port{number: numbers[0], name: want.StrVal}, nil
	case 0:
		return port{}, denial.Found(denial.PortNotFound,
			"its application.port is %q, but no container has a TCP port of that name (%s): "+
				"name the application's port so, or write another name or the number into spec.application.port",
			want.StrVal, describePorts(pod))
	default:
		return port{}, denial.Found(denial.PortAmbiguous,
			"its application.port is %q, but that name stands for several ports of the pod (%v): "+
				"give each its own name, or write the number into spec.application.port",
			want.StrVal, numbers)
	}
}

// takeOver lets the sidecar have the application's port name. Kubernetes looks
// a name up in ordinary containers first, so as long as the application kept
// it, a Service would go around the sidecar. Probes and lifecycle hooks that
// used the name get the number.
func takeOver(pod *corev1.Pod, port port) {
	if port.name == "" {
		return
	}
	for container := range containers(pod) {
		owned := false
		for i := range container.Ports {
			if declared := &container.Ports[i]; isTCP(*declared) && declared.Name == port.name {
				declared.Name, owned = "", true
			}
		}
		// A probe's port name is looked up in the probe's own container.
		if owned {
			for reference := range portReferences(container) {
				if *reference == intstr.FromString(port.name) {
					*reference = intstr.FromInt32(port.number)
				}
			}
		}
	}
}

// containers are all containers of the pod that live beside the sidecar, in the
// order in which Kubernetes looks a port's name up.
func containers(pod *corev1.Pod) func(yield func(*corev1.Container) bool) {
	return func(yield func(*corev1.Container) bool) {
		for i := range pod.Spec.Containers {
			if !yield(&pod.Spec.Containers[i]) {
				return
			}
		}
		for i := range pod.Spec.InitContainers {
			if !yield(&pod.Spec.InitContainers[i]) {
				return
			}
		}
	}
}

// tcpPorts are the TCP ports of containers that can stand behind a Service:
// ordinary ones and native sidecars.
func tcpPorts(pod *corev1.Pod) func(yield func(corev1.ContainerPort) bool) {
	return func(yield func(corev1.ContainerPort) bool) {
		for i := range pod.Spec.Containers {
			for _, declared := range pod.Spec.Containers[i].Ports {
				if isTCP(declared) && !yield(declared) {
					return
				}
			}
		}
		for i := range pod.Spec.InitContainers {
			if !isNativeSidecar(pod.Spec.InitContainers[i]) {
				continue
			}
			for _, declared := range pod.Spec.InitContainers[i].Ports {
				if isTCP(declared) && !yield(declared) {
					return
				}
			}
		}
	}
}

func isTCP(port corev1.ContainerPort) bool {
	return port.Protocol == "" || port.Protocol == corev1.ProtocolTCP
}

func isNativeSidecar(container corev1.Container) bool {
	return ptr.Deref(container.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways
}

// portReferences are the places where a container names a port. gRPC probes
// take numbers only.
func portReferences(container *corev1.Container) func(yield func(*intstr.IntOrString) bool) {
	return func(yield func(*intstr.IntOrString) bool) {
		for _, probe := range []*corev1.Probe{container.StartupProbe, container.ReadinessProbe, container.LivenessProbe} {
			if probe != nil && !yieldPorts(probe.HTTPGet, probe.TCPSocket, yield) {
				return
			}
		}
		if container.Lifecycle == nil {
			return
		}
		for _, hook := range []*corev1.LifecycleHandler{container.Lifecycle.PostStart, container.Lifecycle.PreStop} {
			if hook != nil && !yieldPorts(hook.HTTPGet, hook.TCPSocket, yield) {
				return
			}
		}
	}
}

func yieldPorts(get *corev1.HTTPGetAction, dial *corev1.TCPSocketAction, yield func(*intstr.IntOrString) bool) bool {
	if get != nil && !yield(&get.Port) {
		return false
	}
	return dial == nil || yield(&dial.Port)
}

func describePorts(pod *corev1.Pod) string {
	var described []string
	for declared := range tcpPorts(pod) {
		if declared.Name != "" {
			described = append(described, fmt.Sprintf("%s: %d", declared.Name, declared.ContainerPort))
		}
	}
	if len(described) == 0 {
		return "it has no named ports"
	}
	return "it has " + strings.Join(described, ", ")
}
