// Package match decides which policy a pod follows. It is pure: policies and a
// pod's labels in, a choice or a denial out.
package match

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// Candidates are the policies of one namespace, in the order in which they win.
type Candidates struct {
	usable   []candidate
	unusable []unusable
}

type candidate struct {
	policy   *v1alpha1.BFFPolicy
	selector labels.Selector
}

type unusable struct {
	policy *v1alpha1.BFFPolicy
	err    error
}

// Order sorts policies by who wins a pod that several of them select: the
// oldest, and among those of one second the first by name (the rule of the
// Gateway API). A policy that is being deleted, or whose selector Kubernetes
// cannot evaluate, never wins. The policies are not copied.
func Order(policies []v1alpha1.BFFPolicy) Candidates {
	var candidates Candidates
	for i := range policies {
		policy := &policies[i]
		if policy.DeletionTimestamp != nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.Selector)
		if err != nil {
			candidates.unusable = append(candidates.unusable, unusable{policy, err})
			continue
		}
		candidates.usable = append(candidates.usable, candidate{policy, selector})
	}
	slices.SortFunc(candidates.usable, func(a, b candidate) int { return older(a.policy, b.policy) })
	slices.SortFunc(candidates.unusable, func(a, b unusable) int { return older(a.policy, b.policy) })
	return candidates
}

func older(a, b *v1alpha1.BFFPolicy) int {
	return cmp.Or(
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Name, b.Name),
	)
}

// Choice is the policy a pod follows, and those that select it too but lost.
type Choice struct {
	// Policy is nil when no policy selects the pod.
	Policy *v1alpha1.BFFPolicy
	// Losers are in the order in which they would have won.
	Losers []*v1alpha1.BFFPolicy
}

// Choose finds the policy of a pod with the given labels.
func (c Candidates) Choose(podLabels map[string]string) Choice {
	var choice Choice
	for _, candidate := range c.usable {
		switch {
		case !candidate.selector.Matches(labels.Set(podLabels)):
		case choice.Policy == nil:
			choice.Policy = candidate.policy
		default:
			choice.Losers = append(choice.Losers, candidate.policy)
		}
	}
	return choice
}

// SelectorError says why a policy's selector cannot be evaluated. Nil, if it
// can.
func SelectorError(policy *v1alpha1.BFFPolicy) error {
	_, err := metav1.LabelSelectorAsSelector(&policy.Spec.Selector)
	return err
}
