package v1alpha1

// Labels and annotations on pods.
const (
	// LabelInject on a pod, with the value "true", asks for the sidecar.
	LabelInject = "bff-operator.io/inject"
	// LabelInjectTrue is the value of LabelInject that asks for the sidecar. "false"
	// is the same as no label. Every other value is refused, so that a misspelt one
	// leaves no pod unprotected.
	LabelInjectTrue = "true"

	// AnnotationPolicy on a pod names the policy its sidecar follows.
	AnnotationPolicy = "bff-operator.io/policy"
	// AnnotationPodShape on a pod is a hash of what a configuration reload cannot
	// change: image, ports, mounts, resources.
	AnnotationPodShape = "bff-operator.io/pod-shape"
	// AnnotationVersion on a pod is the version of the operator that injected it.
	AnnotationVersion = "bff-operator.io/version"
)

// ConfigMapName is the name of the ConfigMap the operator renders a policy
// into.
func ConfigMapName(policy string) string { return "bff-" + policy }
