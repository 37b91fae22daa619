// Package status decides what a policy's status says. It is pure: what was
// observed goes in, the whole status comes out.
//
// Each condition is a chain of checks, in the order in which a user would fix
// things. The first that finds something decides; if none does, the condition
// holds. Every message says what to do.
package status

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/internal/workloads"
)

// Input is everything a status depends on.
type Input struct {
	// Policy as observed, with its present status.
	Policy *v1alpha1.BFFPolicy
	// SelectorError says why spec.selector cannot be evaluated. Nil, if it can.
	SelectorError error
	// Store is where the policy's sessions live. Nil, if nowhere.
	Store *v1alpha1.SessionStore
	// Pods the policy acts on.
	Pods workloads.Tally
	// RenderError says why the ConfigMap could not be written.
	RenderError error
	// KeysError says why the Secret with the key ring could not be written or read.
	KeysError error

	decided []metav1.Condition
}

// finding is what a check has to say.
type finding struct{ reason, message string }

// check finds what keeps a condition from holding. Nil, if nothing does.
type check func(Input) *finding

// condition is one condition of a policy.
type condition struct {
	kind   string
	checks []check
	// holds is what is said when no check found anything. It may rely on that.
	holds func(Input) finding
}

// conditions are decided in this order; later ones may look at earlier ones.
var conditions = []condition{
	{v1alpha1.ConditionAccepted, []check{
		// A selector that the CRD's rules let through and Kubernetes cannot evaluate.
		selectorIsUsable,
		// An older policy selects the same pods and has them.
		noPodIsLost,
	}, accepted},

	{v1alpha1.ConditionStoreReady, []check{
		// Without a store no session survives, and new pods are refused.
		storeIsKnown,
		// Without the key ring no session can be opened.
		keyRingIsReadable,
	}, storeReady},

	{v1alpha1.ConditionUpToDate, []check{
		// A running sidecar reloads its configuration, but not its image.
		noPodIsOutdated,
	}, upToDate},

	{v1alpha1.ConditionReady, []check{
		// Pods wait for what they mount.
		mountsAreWritten,
		// What is wrong with the policy or the store is said there, and repeated here.
		holds(v1alpha1.ConditionAccepted),
		holds(v1alpha1.ConditionStoreReady),
		// A pod that was created before its policy, or while the webhook was not
		// installed, is not protected.
		everyPodIsInjected,
		// Pods come and go; as long as one is ready the application is served.
		somePodIsReady,
	}, ready},
}

// Decide is the status a policy should have. now is when a condition that
// changed changed.
func Decide(in Input, now metav1.Time) v1alpha1.BFFPolicyStatus {
	status := v1alpha1.BFFPolicyStatus{ObservedGeneration: in.Policy.Generation, Pods: in.Pods.Counts}
	for _, condition := range conditions {
		in.decided = append(in.decided, condition.decide(in, now))
	}
	status.Conditions = in.decided
	return status
}

func (c condition) decide(in Input, now metav1.Time) metav1.Condition {
	decided := metav1.Condition{
		Type:               c.kind,
		Status:             metav1.ConditionTrue,
		ObservedGeneration: in.Policy.Generation,
		LastTransitionTime: now,
	}
	said, found := c.firstFinding(in)
	if found {
		decided.Status = metav1.ConditionFalse
	} else {
		said = c.holds(in)
	}
	decided.Reason, decided.Message = said.reason, truncate(said.message)
	if before := meta.FindStatusCondition(in.Policy.Status.Conditions, c.kind); before != nil && before.Status == decided.Status {
		decided.LastTransitionTime = before.LastTransitionTime
	}
	return decided
}

func (c condition) firstFinding(in Input) (finding, bool) {
	for _, check := range c.checks {
		if found := check(in); found != nil {
			return *found, true
		}
	}
	return finding{}, false
}

// Transitions are the conditions of after whose status is not the one they had
// before. Of a new policy only those count that do not hold, and Ready.
func Transitions(before, after []metav1.Condition) []metav1.Condition {
	var changed []metav1.Condition
	for _, now := range after {
		was := meta.FindStatusCondition(before, now.Type)
		switch {
		case was == nil && now.Status == metav1.ConditionTrue && now.Type != v1alpha1.ConditionReady:
		case was == nil || was.Status != now.Status:
			changed = append(changed, now)
		}
	}
	return changed
}

// maxMessage is the API's limit for a condition's message.
const maxMessage = 32768

func truncate(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return message[:maxMessage-3] + "..."
}
