package webhook

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook/internal/inject"
	"github.com/bff-operator/bff-operator/webhook/internal/match"
)

// Sidecar is what an installation decides about every sidecar. The webhook
// injects by it, the controller tells by it which pods are outdated.
type Sidecar struct {
	// Image of the sidecar, with tag or digest.
	Image string
	// ImagePullPolicy of the image. Empty leaves it to Kubernetes.
	ImagePullPolicy corev1.PullPolicy
	// ImagePullSecrets are added to pods where they are missing. They must exist in
	// the pod's namespace.
	ImagePullSecrets []string
	// Resources of the sidecar. GOMEMLIMIT follows from its memory limit.
	Resources corev1.ResourceRequirements
	// Store is for policies that name none. Nil, if the installation has none
	// either; such a policy's pods are refused.
	Store *v1alpha1.SessionStore
	// Version of the operator, noted on pods.
	Version string
}

func (s Sidecar) plan(policy *v1alpha1.BFFPolicy) inject.Plan {
	return inject.Plan{
		Policy: policy.WithStore(s.Store),
		Sidecar: inject.Sidecar{
			Image:            s.Image,
			ImagePullPolicy:  s.ImagePullPolicy,
			ImagePullSecrets: s.ImagePullSecrets,
			Resources:        s.Resources,
		},
		Version: s.Version,
	}
}

// PodShape is the annotation bff-operator.io/pod-shape that a pod like this one
// would get if it were created now. A pod with another one needs a restart to
// catch up. The error says why a new pod would be refused.
//
// It looks at the pod's annotations and at names, ports, environment and
// security context in its spec.
func (s Sidecar) PodShape(pod *corev1.Pod, policy *v1alpha1.BFFPolicy) (string, error) {
	return inject.Shape(pod, s.plan(policy))
}

// Candidates are the policies of one namespace, in the order in which they win
// the pods that several of them select.
type Candidates struct{ ordered match.Candidates }

// Order is the rule by which the webhook chooses: the oldest policy wins, then
// the first by name.
func Order(policies []v1alpha1.BFFPolicy) Candidates { return Candidates{match.Order(policies)} }

// Choose finds the policy of a pod with the given labels, and those that select
// it too but lose. The policy is nil when none selects the pod.
func (c Candidates) Choose(podLabels map[string]string) (policy *v1alpha1.BFFPolicy, losers []*v1alpha1.BFFPolicy) {
	choice := c.ordered.Choose(podLabels)
	return choice.Policy, choice.Losers
}

// SelectorError says why a policy's selector cannot be evaluated, which the
// CRD's rules cannot fully exclude. Nil, if it can.
func SelectorError(policy *v1alpha1.BFFPolicy) error { return match.SelectorError(policy) }
