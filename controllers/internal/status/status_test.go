package status_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/internal/keys"
	"github.com/bff-operator/bff-operator/controllers/internal/status"
	"github.com/bff-operator/bff-operator/controllers/internal/workloads"
)

var (
	now   = metav1.NewTime(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	redis = &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{Address: "valkey:6379"}}
)

// input is a policy with which all is well: two pods, both ready.
func input() status.Input {
	return status.Input{
		Policy: &v1alpha1.BFFPolicy{ObjectMeta: metav1.ObjectMeta{Generation: 7}},
		Store:  redis,
		Pods:   workloads.Tally{Counts: v1alpha1.PodCounts{Matched: 2, Injected: 2, Ready: 2, Summary: "2/2"}},
	}
}

func TestDecide(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*status.Input)
		// want has one line for each condition that is not as it is when all is well.
		want []string
		// says is part of the message of Ready.
		says string
	}{
		"all is well": {
			change: func(*status.Input) {},
			says:   "2 of 2 pods are served through the sidecar",
		},
		"no pods": {
			change: func(in *status.Input) { in.Pods = workloads.Tally{} },
			want:   []string{"Ready True NoPods"},
			says:   `label those that spec.selector matches with bff-operator.io/inject: "true"`,
		},
		"the selector is nonsense": {
			change: func(in *status.Input) { in.SelectorError = errors.New("odd label") },
			want:   []string{"Accepted False Invalid", "Ready False Invalid"},
			says:   "spec.selector cannot be evaluated: odd label; correct it",
		},
		"pods are lost to older policies": {
			change: func(in *status.Input) { in.Pods.LostTo = []string{"old", "older"} },
			want:   []string{"Accepted False Conflicted", "Ready False Conflicted"},
			says:   "(old, older), which wins: narrow one of the selectors",
		},
		"no store": {
			change: func(in *status.Input) { in.Store = nil },
			want:   []string{"StoreReady False NoStore", "Ready False NoStore"},
			says:   "write spec.session.store",
		},
		"the key ring is damaged": {
			change: func(in *status.Input) {
				in.KeysError = fmt.Errorf("wrapped: %w", &keys.DamagedError{Err: keyring.ErrEmpty})
			},
			want: []string{"StoreReady False KeyRingDamaged", "Ready False KeyRingDamaged"},
			says: "restore it from a backup, or delete the Secret to start with a new key ring",
		},
		"the key ring cannot be written": {
			change: func(in *status.Input) { in.KeysError = errors.New("no rights") },
			want:   []string{"Ready False RenderFailed"},
			says:   "could not be written: no rights",
		},
		"the ConfigMap cannot be written": {
			change: func(in *status.Input) { in.RenderError = errors.New("no rights") },
			want:   []string{"Ready False RenderFailed"},
			says:   "could not be written: no rights",
		},
		"pods are outdated, and work": {
			change: func(in *status.Input) { in.Pods.Counts.Outdated = 1 },
			want:   []string{"UpToDate False Outdated"},
			says:   "2 of 2 pods are served through the sidecar",
		},
		"a pod has no sidecar": {
			change: func(in *status.Input) { in.Pods.Counts.Matched = 3; in.Pods.NotInjected = []string{"bare"} },
			want:   []string{"Ready False PodsNotInjected"},
			says:   "1 of 3 pods run without the sidecar, since they were created before this policy (bare): delete them",
		},
		"no pod is ready": {
			change: func(in *status.Input) { in.Pods.Counts.Ready = 0 },
			want:   []string{"Ready False PodsNotReady"},
			says:   "none of 2 pods is ready yet",
		},
		"one of several pods is ready": {
			change: func(in *status.Input) { in.Pods.Counts.Ready = 1 },
			says:   "1 of 2 pods are served",
		},
		"everything is wrong: what to fix first stands in Ready": {
			change: func(in *status.Input) {
				in.RenderError, in.SelectorError, in.Store = errors.New("no rights"), errors.New("odd"), nil
				in.Pods.Counts = v1alpha1.PodCounts{Matched: 2, Injected: 1, Outdated: 1}
			},
			want: []string{"Accepted False Invalid", "StoreReady False NoStore", "UpToDate False Outdated", "Ready False RenderFailed"},
			says: "no rights",
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{
				"Accepted": "Accepted True Accepted", "StoreReady": "StoreReady True StoreConfigured",
				"UpToDate": "UpToDate True Current", "Ready": "Ready True Ready",
			}
			for _, line := range row.want {
				kind, _, _ := strings.Cut(line, " ")
				want[kind] = line
			}
			in := input()
			row.change(&in)
			got := status.Decide(in, now)
			var order []string
			for _, condition := range got.Conditions {
				order = append(order, condition.Type)
				if line := fmt.Sprintf("%s %s %s", condition.Type, condition.Status, condition.Reason); line != want[condition.Type] {
					t.Errorf("got %q, want %q", line, want[condition.Type])
				}
				if condition.ObservedGeneration != 7 || condition.Message == "" {
					t.Errorf("%s speaks of generation %d: %q", condition.Type, condition.ObservedGeneration, condition.Message)
				}
			}
			if !slices.Equal(order, []string{"Accepted", "StoreReady", "UpToDate", "Ready"}) {
				t.Errorf("the conditions come in the order %v", order)
			}
			if ready := meta.FindStatusCondition(got.Conditions, "Ready"); !strings.Contains(ready.Message, row.says) {
				t.Errorf("Ready says %q, want %q", ready.Message, row.says)
			}
			if got.ObservedGeneration != 7 || got.Pods != in.Pods.Counts {
				t.Errorf("generation %d, pods %+v", got.ObservedGeneration, got.Pods)
			}
		})
	}
}

func TestTransitionTimeMovesWithTheStatusOnly(t *testing.T) {
	in := input()
	in.Policy.Status = status.Decide(in, now)
	later := metav1.NewTime(now.Add(time.Hour))
	in.Pods = workloads.Tally{} // Ready stays True with another reason
	in.Store = nil              // and then does not
	for _, condition := range status.Decide(in, later).Conditions {
		want := now
		if condition.Type == "StoreReady" || condition.Type == "Ready" {
			want = later
		}
		if !condition.LastTransitionTime.Equal(&want) {
			t.Errorf("%s changed at %v, want %v", condition.Type, condition.LastTransitionTime, want)
		}
	}
	in.Store = redis
	for _, condition := range status.Decide(in, later).Conditions {
		if !condition.LastTransitionTime.Equal(&now) {
			t.Errorf("%s changed at %v, want %v", condition.Type, condition.LastTransitionTime, now)
		}
	}
}

func TestTransitions(t *testing.T) {
	good, bad := input(), input()
	bad.Store = nil
	fine, broken := status.Decide(good, now).Conditions, status.Decide(bad, now).Conditions
	for name, row := range map[string]struct {
		before, after []metav1.Condition
		want          []string
	}{
		"a new policy that is fine":   {nil, fine, []string{"Ready"}},
		"a new policy that is broken": {nil, broken, []string{"StoreReady", "Ready"}},
		"nothing new":                 {fine, fine, nil},
		"it breaks":                   {fine, broken, []string{"StoreReady", "Ready"}},
		"it is mended":                {broken, fine, []string{"StoreReady", "Ready"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, condition := range status.Transitions(row.before, row.after) {
				got = append(got, condition.Type)
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestMessagesFitTheAPI(t *testing.T) {
	in := input()
	in.SelectorError = errors.New(strings.Repeat("x", 40000))
	for _, condition := range status.Decide(in, now).Conditions {
		if len(condition.Message) > 32768 {
			t.Errorf("the message of %s has %d bytes", condition.Type, len(condition.Message))
		}
	}
}
