// Package inject puts the sidecar into a pod. It is pure: a pod and a plan in,
// a pod or a denial out, always the same for the same input.
//
// A pod may come by more than once: the API server calls again when another
// webhook changed the pod after us, and users create pods from copies of
// injected ones. So Inject removes what is its own and renders it again:
//
//	Inject(Inject(pod)) == Inject(pod)
package inject

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// annotationDefaultContainer is the container kubectl logs and kubectl exec
// take when none is named.
const annotationDefaultContainer = "kubectl.kubernetes.io/default-container"

// Sidecar is what an installation decides about every sidecar.
type Sidecar struct {
	// Image of the sidecar, with tag or digest.
	Image string
	// ImagePullPolicy of the image. Empty leaves it to Kubernetes.
	ImagePullPolicy corev1.PullPolicy
	// ImagePullSecrets are added to the pod where they are missing. They must exist
	// in the pod's namespace.
	ImagePullSecrets []string
	// Resources of the sidecar. Go's soft memory limit follows from its memory
	// limit.
	Resources corev1.ResourceRequirements
}

// Plan is what is to be put into a pod.
type Plan struct {
	// Policy the pod follows, with its session store resolved.
	Policy *v1alpha1.BFFPolicy
	// Sidecar is what the installation says.
	Sidecar Sidecar
	// Version of the operator, noted on the pod.
	Version string
}

// Inject returns a copy of pod with the sidecar in it. The error is always a
// *denial.Denial: the pod must not run.
func Inject(pod *corev1.Pod, plan Plan) (*corev1.Pod, error) {
	pod = pod.DeepCopy()
	former := strip(pod)
	port, err := check(pod, plan, former != nil)
	if err != nil {
		return nil, err
	}

	takeOver(pod, port)
	container, own := container(pod, plan, port), volumes(plan.Policy)
	shape := shape(container, own)
	if former != nil {
		keepDefaults(&container.Resources, former.Resources)
	}
	pod.Spec.InitContainers = slices.Insert(pod.Spec.InitContainers, 0, container)
	for _, volume := range own {
		setVolume(pod, volume)
	}
	for _, name := range plan.Sidecar.ImagePullSecrets {
		addPullSecret(pod, name)
	}

	if _, set := pod.Annotations[annotationDefaultContainer]; !set && len(pod.Spec.Containers) > 0 {
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, annotationDefaultContainer, pod.Spec.Containers[0].Name)
	}
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, v1alpha1.AnnotationPolicy, plan.Policy.Name)
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, v1alpha1.AnnotationPodShape, shape)
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, v1alpha1.AnnotationVersion, plan.Version)
	return pod, nil
}

// Shape is the value of the annotation bff-operator.io/pod-shape that Inject
// would write on the pod now. A running pod with another value needs a restart
// to get what a new pod gets. The error is always a *denial.Denial: a new pod
// like this one would be refused.
//
// It looks at the pod's annotations, and at names, ports, environment and
// security context in its spec.
func Shape(pod *corev1.Pod, plan Plan) (string, error) {
	pod = pod.DeepCopy()
	former := strip(pod)
	port, err := check(pod, plan, former != nil)
	if err != nil {
		return "", err
	}
	return shape(container(pod, plan, port), volumes(plan.Policy)), nil
}

// keepDefaults keeps the requests and limits that the installation leaves open
// and the namespace has given the sidecar: a LimitRange is applied between our
// first call and our second, and what it demands it also checks.
func keepDefaults(own *corev1.ResourceRequirements, former corev1.ResourceRequirements) {
	own.Requests = withDefaults(own.Requests, former.Requests)
	own.Limits = withDefaults(own.Limits, former.Limits)
}

func withDefaults(own, defaults corev1.ResourceList) corev1.ResourceList {
	for name, amount := range defaults {
		if _, set := own[name]; set {
			continue
		}
		if own == nil {
			own = corev1.ResourceList{}
		}
		own[name] = amount
	}
	return own
}

func setVolume(pod *corev1.Pod, volume corev1.Volume) {
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume.Name })
	if i < 0 {
		pod.Spec.Volumes = append(pod.Spec.Volumes, volume)
		return
	}
	// In its place, so that a pod that is right already is not changed at all.
	pod.Spec.Volumes[i] = volume
}

func addPullSecret(pod *corev1.Pod, name string) {
	reference := corev1.LocalObjectReference{Name: name}
	if !slices.Contains(pod.Spec.ImagePullSecrets, reference) {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, reference)
	}
}
