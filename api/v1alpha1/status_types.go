package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BFFPolicyStatus is what the operator found.
type BFFPolicyStatus struct {
	// observedGeneration is the generation of the spec this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions tell what holds and, where something does not, what to do.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// pods counts the pods the policy acts on.
	// +optional
	Pods PodCounts `json:"pods,omitzero"`
}

// PodCounts counts the labelled pods of one policy.
type PodCounts struct {
	// matched is the number of running or pending pods the policy is chosen for.
	// +optional
	Matched int32 `json:"matched"`
	// injected is how many of them have the sidecar.
	// +optional
	Injected int32 `json:"injected"`
	// ready is how many of them have the sidecar and are ready.
	// +optional
	Ready int32 `json:"ready"`
	// outdated is how many of them run a sidecar whose image, ports or mounts are
	// not the ones a new pod would get. A restart brings them up to date.
	// +optional
	Outdated int32 `json:"outdated"`
	// summary is ready/matched, for people.
	// +optional
	Summary string `json:"summary,omitempty"`
}

// Condition types of a BFFPolicy.
const (
	// ConditionAccepted says whether the policy is valid and in force for the pods
	// it selects.
	ConditionAccepted = "Accepted"
	// ConditionStoreReady says whether a session store is known for the policy.
	ConditionStoreReady = "StoreReady"
	// ConditionUpToDate says whether all injected pods run the sidecar a new pod
	// would get.
	ConditionUpToDate = "UpToDate"
	// ConditionReady sums up whether new and running pods are served as the policy
	// says. It stays True while pods are merely outdated: they work, and an upgrade
	// of the operator must not turn every policy of the cluster red.
	ConditionReady = "Ready"
)

// Reasons of the conditions of a BFFPolicy.
const (
	// ReasonAccepted: the policy is valid and in force.
	ReasonAccepted = "Accepted"
	// ReasonConflicted: an older policy selects some of the same pods and wins
	// there.
	ReasonConflicted = "Conflicted"
	// ReasonInvalid: the spec says something the CRD's rules could not refuse.
	ReasonInvalid = "Invalid"
	// ReasonStoreConfigured: sessions have a store.
	ReasonStoreConfigured = "StoreConfigured"
	// ReasonNoStore: the policy names no store and the operator was installed
	// without one.
	ReasonNoStore = "NoStore"
	// ReasonKeyRingDamaged: the namespace's key ring cannot be read. It is never
	// replaced by itself, since that would end every session sealed with it.
	ReasonKeyRingDamaged = "KeyRingDamaged"
	// ReasonCurrent: every injected pod runs the current sidecar.
	ReasonCurrent = "Current"
	// ReasonOutdated: some pods run an older sidecar.
	ReasonOutdated = "Outdated"
	// ReasonReady: everything holds.
	ReasonReady = "Ready"
	// ReasonNoPods: nothing is wrong, but no labelled pod matches.
	ReasonNoPods = "NoPods"
	// ReasonPodsNotInjected: matching labelled pods run without the sidecar.
	ReasonPodsNotInjected = "PodsNotInjected"
	// ReasonPodsNotReady: matching pods have the sidecar but are not ready.
	ReasonPodsNotReady = "PodsNotReady"
	// ReasonRenderFailed: the operator could not write what the pods mount.
	ReasonRenderFailed = "RenderFailed"
)
