package match_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook/internal/denial"
	"github.com/bff-operator/bff-operator/webhook/internal/match"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// policy selects app=<app>, and was created minutes after noon.
func policy(name, app string, minutes int) v1alpha1.BFFPolicy {
	return v1alpha1.BFFPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(noon.Add(time.Duration(minutes) * time.Minute))},
		Spec:       v1alpha1.BFFPolicySpec{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
	}
}

func deleted(p v1alpha1.BFFPolicy) v1alpha1.BFFPolicy {
	p.DeletionTimestamp = &metav1.Time{Time: noon}
	return p
}

func withOperator(p v1alpha1.BFFPolicy, operator metav1.LabelSelectorOperator) v1alpha1.BFFPolicy {
	p.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "tier", Operator: operator}}
	return p
}

func TestChoose(t *testing.T) {
	for name, row := range map[string]struct {
		policies []v1alpha1.BFFPolicy
		labels   map[string]string
		want     string
		losers   []string
	}{
		"no policies": {labels: map[string]string{"app": "shop"}},
		"none selects the pod": {
			policies: []v1alpha1.BFFPolicy{policy("a", "blog", 0)},
			labels:   map[string]string{"app": "shop"},
		},
		"one selects the pod": {
			policies: []v1alpha1.BFFPolicy{policy("a", "blog", 0), policy("b", "shop", 0)},
			labels:   map[string]string{"app": "shop"},
			want:     "b",
		},
		"the oldest of several wins": {
			policies: []v1alpha1.BFFPolicy{policy("a", "shop", 2), policy("b", "shop", 1), policy("c", "shop", 3)},
			labels:   map[string]string{"app": "shop"},
			want:     "b", losers: []string{"a", "c"},
		},
		"of the same age the first by name wins": {
			policies: []v1alpha1.BFFPolicy{policy("b", "shop", 0), policy("a", "shop", 0)},
			labels:   map[string]string{"app": "shop"},
			want:     "a", losers: []string{"b"},
		},
		"one that is being deleted does not count": {
			policies: []v1alpha1.BFFPolicy{deleted(policy("a", "shop", 0)), policy("b", "shop", 1)},
			labels:   map[string]string{"app": "shop"},
			want:     "b",
		},
		"one whose selector is nonsense does not count": {
			policies: []v1alpha1.BFFPolicy{withOperator(policy("a", "shop", 0), "Like"), policy("b", "shop", 1)},
			labels:   map[string]string{"app": "shop"},
			want:     "b",
		},
		"all parts of a selector must hold": {
			policies: []v1alpha1.BFFPolicy{withOperator(policy("a", "shop", 0), metav1.LabelSelectorOpExists)},
			labels:   map[string]string{"app": "shop"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			choice := match.Order(row.policies).Choose(row.labels)
			got := ""
			if choice.Policy != nil {
				got = choice.Policy.Name
			}
			var losers []string
			for _, loser := range choice.Losers {
				losers = append(losers, loser.Name)
			}
			if got != row.want || !slices.Equal(losers, row.losers) {
				t.Errorf("chose %q over %v, want %q over %v", got, losers, row.want, row.losers)
			}
			if warned := choice.Warning() != ""; warned != (len(row.losers) > 0) {
				t.Errorf("warning %q with losers %v", choice.Warning(), row.losers)
			}
		})
	}
}

func TestWarningNamesTheWinnerAndTheCure(t *testing.T) {
	choice := match.Order([]v1alpha1.BFFPolicy{policy("new", "shop", 1), policy("old", "shop", 0)}).Choose(map[string]string{"app": "shop"})
	want := `several BFFPolicies select this pod: "old" is the oldest and wins over new; narrow their selectors so that only one matches`
	if got := choice.Warning(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNoPolicySaysWhatToDo(t *testing.T) {
	podLabels := map[string]string{"app": "shop", "tier": "web", v1alpha1.LabelInject: "true", "pod-template-hash": "abc"}
	many := make([]v1alpha1.BFFPolicy, 0, 7)
	for _, name := range []string{"g", "f", "e", "d", "c", "b", "a"} {
		many = append(many, policy(name, "blog", 0))
	}
	for name, row := range map[string]struct {
		policies []v1alpha1.BFFPolicy
		labels   map[string]string
		want     string
	}{
		"the namespace has no policy": {
			labels: podLabels,
			want: `the label bff-operator.io/inject: "true" asks for the sidecar, but namespace "web" has no BFFPolicy: ` +
				`apply one whose spec.selector matches the pod's labels (app=shop, tier=web), or remove the label`,
		},
		"the pod has no other label": {
			labels: map[string]string{v1alpha1.LabelInject: "true"},
			want: `the label bff-operator.io/inject: "true" asks for the sidecar, but namespace "web" has no BFFPolicy: ` +
				`apply one whose spec.selector matches the pod's labels (none), or remove the label`,
		},
		"none of its policies selects the pod": {
			policies: many,
			labels:   podLabels,
			want: `the label bff-operator.io/inject: "true" asks for the sidecar, but no BFFPolicy of namespace "web" ` +
				`(it has a, b, c, d, e and 2 more) selects the pod's labels (app=shop, tier=web): ` +
				`change the spec.selector of one or the labels of the pod, or remove the label`,
		},
		"a selector is nonsense": {
			policies: []v1alpha1.BFFPolicy{withOperator(policy("shop", "shop", 0), "Like")},
			labels:   podLabels,
			want:     `; the selector of BFFPolicy "shop" cannot be used: "Like" is not a valid label selector operator`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := match.Order(row.policies).NoPolicy("web", row.labels)
			if got.Reason() != denial.NoPolicy || !strings.HasSuffix(got.Error(), row.want) {
				t.Errorf("got  %s: %s\nwant %s", got.Reason(), got, row.want)
			}
		})
	}
}
