package status

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/internal/keys"
)

func found(reason, format string, args ...any) *finding {
	return &finding{reason, fmt.Sprintf(format, args...)}
}

func selectorIsUsable(in Input) *finding {
	if in.SelectorError == nil {
		return nil
	}
	return found(v1alpha1.ReasonInvalid, "spec.selector cannot be evaluated: %v; correct it, until then no pod follows this policy", in.SelectorError)
}

func noPodIsLost(in Input) *finding {
	if len(in.Pods.LostTo) == 0 {
		return nil
	}
	return found(v1alpha1.ReasonConflicted,
		"some pods are selected by an older policy as well (%s), which wins: narrow one of the selectors so that each pod is selected once",
		strings.Join(in.Pods.LostTo, ", "))
}

func accepted(Input) finding {
	return finding{v1alpha1.ReasonAccepted, "the policy is valid and in force"}
}

func storeIsKnown(in Input) *finding {
	if in.Store != nil {
		return nil
	}
	return found(v1alpha1.ReasonNoStore,
		"there is no session store, so new pods are refused: write spec.session.store, or install the operator with a store")
}

func keyRingIsReadable(in Input) *finding {
	if damaged := (*keys.DamagedError)(nil); errors.As(in.KeysError, &damaged) {
		return found(v1alpha1.ReasonKeyRingDamaged, "%v", damaged)
	}
	return nil
}

func storeReady(in Input) finding {
	if in.Store.Type == v1alpha1.StoreMemory {
		return finding{v1alpha1.ReasonStoreConfigured,
			"sessions live in each pod's memory: with more than one replica users are logged out at random, and all are when a pod ends"}
	}
	return finding{v1alpha1.ReasonStoreConfigured, fmt.Sprintf("sessions live in the %s store at %s", in.Store.Type, in.Store.Redis.Address)}
}

func noPodIsOutdated(in Input) *finding {
	if in.Pods.Counts.Outdated == 0 {
		return nil
	}
	return found(v1alpha1.ReasonOutdated,
		"%d of %d pods run a sidecar with another image, ports, mounts or resources than a new pod would get: restart them, for example with kubectl rollout restart",
		in.Pods.Counts.Outdated, in.Pods.Counts.Injected)
}

func upToDate(Input) finding {
	return finding{v1alpha1.ReasonCurrent, "every pod with the sidecar has the current one"}
}

func mountsAreWritten(in Input) *finding {
	if in.RenderError != nil {
		return found(v1alpha1.ReasonRenderFailed, "what the pods mount could not be written: %v", in.RenderError)
	}
	if in.KeysError != nil && keyRingIsReadable(in) == nil {
		return found(v1alpha1.ReasonRenderFailed, "what the pods mount could not be written: %v", in.KeysError)
	}
	return nil
}

// holds is the check that another condition holds.
func holds(kind string) check {
	return func(in Input) *finding {
		if other := meta.FindStatusCondition(in.decided, kind); other != nil && other.Status != metav1.ConditionTrue {
			return &finding{other.Reason, other.Message}
		}
		return nil
	}
}

func everyPodIsInjected(in Input) *finding {
	missing := in.Pods.Counts.Matched - in.Pods.Counts.Injected
	if missing == 0 {
		return nil
	}
	return found(v1alpha1.ReasonPodsNotInjected,
		"%d of %d pods run without the sidecar, since they were created before this policy (%s): delete them, so that they are created again with it",
		missing, in.Pods.Counts.Matched, strings.Join(in.Pods.NotInjected, ", "))
}

func somePodIsReady(in Input) *finding {
	if in.Pods.Counts.Matched == 0 || in.Pods.Counts.Ready > 0 {
		return nil
	}
	return found(v1alpha1.ReasonPodsNotReady,
		"none of %d pods is ready yet: if it stays so, look at kubectl describe pod and at the logs of the container bff", in.Pods.Counts.Matched)
}

func ready(in Input) finding {
	if in.Pods.Counts.Matched == 0 {
		return finding{v1alpha1.ReasonNoPods, fmt.Sprintf(
			"ready for pods: label those that spec.selector matches with %s: %q", v1alpha1.LabelInject, v1alpha1.LabelInjectTrue)}
	}
	return finding{v1alpha1.ReasonReady, fmt.Sprintf("%d of %d pods are served through the sidecar", in.Pods.Counts.Ready, in.Pods.Counts.Matched)}
}
