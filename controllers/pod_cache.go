package controllers

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// keepWhatCounts reduces a pod to what the status of policies depends on. A
// cached pod must therefore never be written back.
func keepWhatCounts(in any) (any, error) {
	full, ok := in.(*corev1.Pod)
	if !ok {
		return in, nil
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:              full.Name,
			Namespace:         full.Namespace,
			UID:               full.UID,
			ResourceVersion:   full.ResourceVersion,
			DeletionTimestamp: full.DeletionTimestamp,
			Labels:            full.Labels,
		},
		Spec: corev1.PodSpec{
			HostNetwork:    full.Spec.HostNetwork,
			OS:             full.Spec.OS,
			Containers:     keepPorts(full.Spec.Containers),
			InitContainers: keepPorts(full.Spec.InitContainers),
		},
		Status: corev1.PodStatus{Phase: full.Status.Phase},
	}
	for _, key := range []string{v1alpha1.AnnotationPolicy, v1alpha1.AnnotationPodShape} {
		if value, has := full.Annotations[key]; has {
			metav1.SetMetaDataAnnotation(&kept.ObjectMeta, key, value)
		}
	}
	if defaults := full.Spec.SecurityContext; defaults != nil && defaults.RunAsUser != nil {
		kept.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: defaults.RunAsUser}
	}
	for _, condition := range full.Status.Conditions {
		if condition.Type == corev1.PodReady {
			kept.Status.Conditions = []corev1.PodCondition{{Type: condition.Type, Status: condition.Status}}
		}
	}
	return kept, nil
}

func keepPorts(full []corev1.Container) []corev1.Container {
	if full == nil {
		return nil
	}
	kept := make([]corev1.Container, len(full))
	for i, container := range full {
		kept[i] = corev1.Container{Name: container.Name, Ports: container.Ports, RestartPolicy: container.RestartPolicy}
		if container.Name == pod.ContainerName {
			kept[i].Env = container.Env
		}
	}
	return kept
}
