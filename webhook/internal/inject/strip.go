package inject

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	sidecar "github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// strip takes the sidecar out of a pod that Inject made, gives the application
// its port's name back, and returns what it took. A pod without our annotation
// is left alone and nil returned: what has our names there was written by hand.
//
// The volumes stay where they are; Inject overwrites them.
func strip(pod *corev1.Pod) *corev1.Container {
	i := slices.IndexFunc(pod.Spec.InitContainers, isSidecar)
	if i < 0 || pod.Annotations[v1alpha1.AnnotationPolicy] == "" {
		return nil
	}
	former := pod.Spec.InitContainers[i]
	giveBack(pod, former)
	pod.Spec.InitContainers = slices.Delete(pod.Spec.InitContainers, i, i+1)
	if len(pod.Spec.InitContainers) == 0 {
		pod.Spec.InitContainers = nil
	}
	return &former
}

func isSidecar(container corev1.Container) bool { return container.Name == sidecar.ContainerName }

// giveBack undoes takeOver as far as it matters: the first nameless port with
// the number the sidecar was told gets the sidecar's port name.
func giveBack(pod *corev1.Pod, container corev1.Container) {
	taken := port{}
	for _, declared := range container.Ports {
		if declared.ContainerPort == sidecar.TrafficPort && declared.Name != sidecar.PortName {
			taken.name = declared.Name
		}
	}
	for _, env := range container.Env {
		if number, err := strconv.ParseInt(env.Value, 10, 32); err == nil && env.Name == sidecar.EnvApplicationPort {
			taken.number = int32(number)
		}
	}
	if taken.name == "" || taken.number == 0 {
		return
	}
	for container := range containers(pod) {
		for i := range container.Ports {
			if declared := &container.Ports[i]; isTCP(*declared) && declared.Name == "" && declared.ContainerPort == taken.number {
				declared.Name = taken.name
				return
			}
		}
	}
}
