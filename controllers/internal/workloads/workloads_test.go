package workloads_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/internal/workloads"
	"github.com/bff-operator/bff-operator/webhook"
)

// pod is a pod of app=shop with the current sidecar that is not ready.
func pod(name string, changes ...func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{"app": "shop"},
			Annotations: map[string]string{v1alpha1.AnnotationPodShape: "current"},
		},
		Spec: corev1.PodSpec{InitContainers: []corev1.Container{
			{Name: "bff", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)},
		}},
	}
	for _, change := range changes {
		change(&p)
	}
	return p
}

func ready(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
}
func old(p *corev1.Pod)      { p.Annotations[v1alpha1.AnnotationPodShape] = "old" }
func bare(p *corev1.Pod)     { p.Spec.InitContainers = nil }
func blog(p *corev1.Pod)     { p.Labels["app"] = "blog" }
func deleted(p *corev1.Pod)  { p.DeletionTimestamp = &metav1.Time{} }
func failed(p *corev1.Pod)   { p.Status.Phase = corev1.PodFailed }
func finished(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }
func refused(p *corev1.Pod)  { p.Annotations["refused"] = "" }
func initOnly(p *corev1.Pod) { p.Spec.InitContainers[0].RestartPolicy = nil }

func policy(name string, age time.Duration) v1alpha1.BFFPolicy {
	return v1alpha1.BFFPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-age))},
		Spec:       v1alpha1.BFFPolicySpec{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}},
	}
}

func shape(p *corev1.Pod) (string, error) {
	if _, has := p.Annotations["refused"]; has {
		return "", errors.New("a new pod like this one would be refused")
	}
	return "current", nil
}

func TestCount(t *testing.T) {
	all := func(pods ...corev1.Pod) []corev1.Pod { return pods }
	for name, row := range map[string]struct {
		pods []corev1.Pod
		want workloads.Tally
	}{
		"none":                           {nil, workloads.Tally{Counts: v1alpha1.PodCounts{Summary: "0/0"}}},
		"another's":                      {all(pod("a", blog)), workloads.Tally{Counts: v1alpha1.PodCounts{Summary: "0/0"}}},
		"injected":                       {all(pod("a")), workloads.Tally{Counts: v1alpha1.PodCounts{Matched: 1, Injected: 1, Summary: "0/1"}}},
		"ready":                          {all(pod("a", ready), pod("b")), workloads.Tally{Counts: v1alpha1.PodCounts{Matched: 2, Injected: 2, Ready: 1, Summary: "1/2"}}},
		"outdated":                       {all(pod("a", ready, old)), workloads.Tally{Counts: v1alpha1.PodCounts{Matched: 1, Injected: 1, Ready: 1, Outdated: 1, Summary: "1/1"}}},
		"would be refused now":           {all(pod("a", refused)), workloads.Tally{Counts: v1alpha1.PodCounts{Matched: 1, Injected: 1, Outdated: 1, Summary: "0/1"}}},
		"ended or ending":                {all(pod("a", failed), pod("b", finished), pod("c", deleted)), workloads.Tally{Counts: v1alpha1.PodCounts{Summary: "0/0"}}},
		"ready without the sidecar":      {all(pod("b", ready, bare), pod("a", bare)), workloads.Tally{Counts: v1alpha1.PodCounts{Matched: 2, Summary: "0/2"}, NotInjected: []string{"a", "b"}}},
		"an init container of that name": {all(pod("a", initOnly)), workloads.Tally{Counts: v1alpha1.PodCounts{Matched: 1, Summary: "0/1"}, NotInjected: []string{"a"}}},
		"more bare ones than are named": {
			all(pod("a", bare), pod("b", bare), pod("c", bare), pod("d", bare), pod("e", bare), pod("f", bare)),
			workloads.Tally{Counts: v1alpha1.PodCounts{Matched: 6, Summary: "0/6"}, NotInjected: []string{"a", "b", "c", "d", "e"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := policy("shop", 0)
			if got := workloads.Count(&p, row.pods, webhook.Order([]v1alpha1.BFFPolicy{p}), shape); !reflect.DeepEqual(got, row.want) {
				t.Errorf("got  %+v\nwant %+v", got, row.want)
			}
		})
	}
}

func TestPodsAreLostToOlderPoliciesOnly(t *testing.T) {
	older, middle, younger := policy("older", 2*time.Hour), policy("middle", time.Hour), policy("younger", 0)
	other := policy("other", 3*time.Hour)
	other.Spec.Selector.MatchLabels["app"] = "blog"
	candidates := webhook.Order([]v1alpha1.BFFPolicy{younger, older, other, middle})
	pods := []corev1.Pod{pod("a"), pod("b"), pod("c", blog)}
	for _, row := range []struct {
		policy  v1alpha1.BFFPolicy
		matched int32
		lostTo  []string
	}{
		{older, 2, nil},
		{middle, 0, []string{"older"}},
		{younger, 0, []string{"older"}},
		{other, 1, nil},
	} {
		got := workloads.Count(&row.policy, pods, candidates, shape)
		if got.Counts.Matched != row.matched || !reflect.DeepEqual(got.LostTo, row.lostTo) {
			t.Errorf("%s has %d pods and lost some to %v, want %d and %v", row.policy.Name, got.Counts.Matched, got.LostTo, row.matched, row.lostTo)
		}
	}
}
