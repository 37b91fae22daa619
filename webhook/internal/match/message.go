package match

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook/internal/denial"
)

// shown bounds how many names a message lists.
const shown = 5

// NoPolicy is the denial of a pod that Choose found no policy for.
func (c Candidates) NoPolicy(namespace string, podLabels map[string]string) *denial.Denial {
	var text strings.Builder
	fmt.Fprintf(&text, "the label %s: %q asks for the sidecar, but ", v1alpha1.LabelInject, v1alpha1.LabelInjectTrue)
	if names := c.names(); len(names) == 0 {
		fmt.Fprintf(&text, "namespace %q has no BFFPolicy: apply one whose spec.selector matches the pod's labels (%s), or remove the label",
			namespace, selectable(podLabels))
	} else {
		fmt.Fprintf(&text, "no BFFPolicy of namespace %q (it has %s) selects the pod's labels (%s): "+
			"change the spec.selector of one or the labels of the pod, or remove the label",
			namespace, list(names), selectable(podLabels))
	}
	for _, bad := range c.unusable {
		fmt.Fprintf(&text, "; the selector of BFFPolicy %q cannot be used: %v", bad.policy.Name, bad.err)
	}
	return &denial.Denial{Problems: []denial.Problem{{Reason: denial.NoPolicy, Message: text.String()}}}
}

// Warning tells the pod's author that several policies select the pod. Empty,
// if only one does.
func (c Choice) Warning() string {
	if len(c.Losers) == 0 {
		return ""
	}
	names := make([]string, len(c.Losers))
	for i, policy := range c.Losers {
		names[i] = policy.Name
	}
	return fmt.Sprintf("several BFFPolicies select this pod: %q is the oldest and wins over %s; narrow their selectors so that only one matches",
		c.Policy.Name, list(names))
}

func (c Candidates) names() []string {
	names := make([]string, 0, len(c.usable)+len(c.unusable))
	for _, candidate := range c.usable {
		names = append(names, candidate.policy.Name)
	}
	for _, bad := range c.unusable {
		names = append(names, bad.policy.Name)
	}
	slices.Sort(names)
	return names
}

func list(names []string) string {
	if hidden := len(names) - shown; hidden > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), hidden)
	}
	return strings.Join(names, ", ")
}

// selectable renders the labels a selector would sensibly name: ours and those
// a controller makes up per revision are left out.
func selectable(podLabels map[string]string) string {
	var pairs []string
	for key, value := range podLabels {
		switch key {
		case v1alpha1.LabelInject, "pod-template-hash", "controller-revision-hash", "pod-template-generation":
		default:
			pairs = append(pairs, key+"="+value)
		}
	}
	if len(pairs) == 0 {
		return "none"
	}
	slices.Sort(pairs)
	return list(pairs)
}
