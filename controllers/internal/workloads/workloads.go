// Package workloads counts the pods a policy acts on. It is pure.
package workloads

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook"
)

// named bounds how many pods a tally names.
const named = 5

// Tally is what became of a policy's pods.
type Tally struct {
	Counts v1alpha1.PodCounts
	// NotInjected names some of the pods that run without the sidecar.
	NotInjected []string
	// LostTo names the older policies that won pods this one selects.
	LostTo []string
}

// Count goes through the labelled pods of the policy's namespace. candidates
// are the namespace's policies; shape is what a new pod would be annotated with
// (webhook.Sidecar.PodShape for this policy). Pods that have ended or are about
// to do not count.
func Count(policy *v1alpha1.BFFPolicy, pods []corev1.Pod, candidates webhook.Candidates, shape func(*corev1.Pod) (string, error)) Tally {
	var tally Tally
	counts := &tally.Counts
	for i := range pods {
		p := &pods[i]
		if isOver(p) {
			continue
		}
		chosen, losers := candidates.Choose(p.Labels)
		switch {
		case chosen == nil:
			continue
		case chosen.Name != policy.Name:
			lost := slices.ContainsFunc(losers, func(loser *v1alpha1.BFFPolicy) bool { return loser.Name == policy.Name })
			if lost && !slices.Contains(tally.LostTo, chosen.Name) {
				tally.LostTo = append(tally.LostTo, chosen.Name)
			}
			continue
		}
		counts.Matched++
		if !isInjected(p) {
			if len(tally.NotInjected) < named {
				tally.NotInjected = append(tally.NotInjected, p.Name)
			}
			continue
		}
		counts.Injected++
		if isReady(p) {
			counts.Ready++
		}
		// A pod that could not be created any more is outdated too: its port was
		// renamed in the policy, say.
		if want, err := shape(p); err != nil || p.Annotations[v1alpha1.AnnotationPodShape] != want {
			counts.Outdated++
		}
	}
	counts.Summary = fmt.Sprintf("%d/%d", counts.Ready, counts.Matched)
	slices.Sort(tally.NotInjected)
	slices.Sort(tally.LostTo)
	return tally
}

func isOver(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func isInjected(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == pod.ContainerName && ptr.Deref(c.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways
	})
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
