package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/controlplane"
)

// condition waits until a condition of the policy has the given status and
// reason, and returns its message.
func condition(t *testing.T, policy *v1alpha1.BFFPolicy, kind string, status metav1.ConditionStatus, reason string) string {
	t.Helper()
	var message string
	controlplane.Eventually(t, func(ctx context.Context) error {
		var now v1alpha1.BFFPolicy
		if err := plane.Client.Get(ctx, client.ObjectKeyFromObject(policy), &now); err != nil {
			return err
		}
		found := meta.FindStatusCondition(now.Status.Conditions, kind)
		if found == nil || found.Status != status || found.Reason != reason {
			return fmt.Errorf("%s is %+v, want %s/%s", kind, found, status, reason)
		}
		if found.ObservedGeneration != now.Generation || now.Status.ObservedGeneration != now.Generation {
			return fmt.Errorf("%s speaks of generation %d, want %d", kind, found.ObservedGeneration, now.Generation)
		}
		message = found.Message
		return nil
	})
	return message
}

// pods waits until the policy counts its pods so.
func pods(t *testing.T, policy *v1alpha1.BFFPolicy, want v1alpha1.PodCounts) {
	t.Helper()
	controlplane.Eventually(t, func(ctx context.Context) error {
		var now v1alpha1.BFFPolicy
		if err := plane.Client.Get(ctx, client.ObjectKeyFromObject(policy), &now); err != nil {
			return err
		}
		if now.Status.Pods != want {
			return fmt.Errorf("the policy counts %+v, want %+v", now.Status.Pods, want)
		}
		return nil
	})
}

// rendered waits for the policy's ConfigMap and reads the policy in it.
func rendered(t *testing.T, policy *v1alpha1.BFFPolicy, holds func(*v1alpha1.BFFPolicy) error) *corev1.ConfigMap {
	t.Helper()
	configMap := &corev1.ConfigMap{}
	controlplane.Eventually(t, func(ctx context.Context) error {
		key := client.ObjectKey{Namespace: policy.Namespace, Name: "bff-" + policy.Name}
		if err := plane.Client.Get(ctx, key, configMap); err != nil {
			return err
		}
		var copied v1alpha1.BFFPolicy
		if err := yaml.UnmarshalStrict([]byte(configMap.Data[pod.PolicyFile]), &copied); err != nil {
			return err
		}
		return holds(&copied)
	})
	return configMap
}

func TestPolicyIsRenderedForItsPods(t *testing.T) {
	operate(t, installation(), "s3cret")
	policy := shop(plane.Namespace(t), "shop")
	policy.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: `{"old":true}`}
	apply(t, policy)

	configMap := rendered(t, policy, func(copied *v1alpha1.BFFPolicy) error {
		if copied.UID != policy.UID || copied.Generation != policy.Generation || copied.Name != "shop" || copied.Namespace != policy.Namespace {
			return fmt.Errorf("it is the copy of another policy: %+v", copied.ObjectMeta)
		}
		return nil
	})
	text := configMap.Data[pod.PolicyFile]
	for _, absent := range []string{"annotations", "managedFields", "resourceVersion", "status", "s3cret", "creationTimestamp"} {
		if strings.Contains(text, absent) {
			t.Errorf("the rendered policy contains %q:\n%s", absent, text)
		}
	}
	for _, present := range []string{
		"apiVersion: bff-operator.io/v1alpha1", "kind: BFFPolicy",
		"address: valkey.bff-system.svc:6379", "username: bff", "name: bff-operator-keys", "key: store-password",
	} {
		if !strings.Contains(text, present) {
			t.Errorf("the rendered policy lacks %q:\n%s", present, text)
		}
	}
	if !metav1.IsControlledBy(configMap, policy) {
		t.Error("the ConfigMap would outlive its policy")
	}
	if got := configMap.Labels["app.kubernetes.io/managed-by"]; got != "bff-operator" {
		t.Errorf("the ConfigMap is managed by %q", got)
	}
}

func TestRenderedPolicyFollowsTheSpecAndRepairsEdits(t *testing.T) {
	operate(t, installation(), "s3cret")
	policy := apply(t, shop(plane.Namespace(t), "shop"))
	clientID := func(want string) func(*v1alpha1.BFFPolicy) error {
		return func(copied *v1alpha1.BFFPolicy) error {
			if got := copied.Spec.Provider.ClientID; got != want {
				return fmt.Errorf("the rendered clientID is %q, want %q", got, want)
			}
			return nil
		}
	}
	configMap := rendered(t, policy, clientID("shop"))

	configMap.Data[pod.PolicyFile] = "{}"
	if err := plane.Client.Update(t.Context(), configMap); err != nil {
		t.Fatal(err)
	}
	configMap = rendered(t, policy, clientID("shop"))

	delete(configMap.Labels, "app.kubernetes.io/managed-by")
	if err := plane.Client.Update(t.Context(), configMap); err != nil {
		t.Fatal(err)
	}
	controlplane.Eventually(t, func(ctx context.Context) error {
		if err := plane.Client.Get(ctx, client.ObjectKeyFromObject(configMap), configMap); err != nil {
			return err
		}
		if configMap.Labels["app.kubernetes.io/managed-by"] == "" {
			return errors.New("the label is not back")
		}
		return nil
	})

	if err := plane.Client.Delete(t.Context(), configMap); err != nil {
		t.Fatal(err)
	}
	rendered(t, policy, clientID("shop"))

	edit(t, policy, func(p *v1alpha1.BFFPolicy) { p.Spec.Provider.ClientID = "other" })
	rendered(t, policy, clientID("other"))
	condition(t, policy, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
}

func TestPolicysOwnStoreStays(t *testing.T) {
	operate(t, installation(), "s3cret")
	policy := shop(plane.Namespace(t), "shop")
	policy.Spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}
	apply(t, policy)
	rendered(t, policy, func(copied *v1alpha1.BFFPolicy) error {
		if copied.Spec.Session.Store.Type != v1alpha1.StoreMemory {
			return fmt.Errorf("the store is %+v", copied.Spec.Session.Store)
		}
		return nil
	})
	message := condition(t, policy, v1alpha1.ConditionStoreReady, metav1.ConditionTrue, v1alpha1.ReasonStoreConfigured)
	if !strings.Contains(message, "with more than one replica users are logged out") {
		t.Errorf("the message does not warn of memory: %s", message)
	}
}

func TestWithoutAnyStoreThePolicySaysWhatToDo(t *testing.T) {
	sidecar := installation()
	sidecar.Store = nil
	operate(t, sidecar, "")
	policy := apply(t, shop(plane.Namespace(t), "shop"))
	for _, kind := range []string{v1alpha1.ConditionStoreReady, v1alpha1.ConditionReady} {
		message := condition(t, policy, kind, metav1.ConditionFalse, v1alpha1.ReasonNoStore)
		if !strings.Contains(message, "write spec.session.store") {
			t.Errorf("%s: %s", kind, message)
		}
	}
}

func TestSomebodyElsesConfigMapIsLeftAlone(t *testing.T) {
	operate(t, installation(), "s3cret")
	namespace := plane.Namespace(t)
	theirs := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "bff-shop"},
		Data:       map[string]string{"theirs": "yes"},
	}
	plane.Create(t, theirs)
	policy := apply(t, shop(namespace, "shop"))

	message := condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRenderFailed)
	if !strings.Contains(message, `ConfigMap "bff-shop" exists already and is not the operator's: delete or rename it`) {
		t.Error(message)
	}
	before := theirs.ResourceVersion
	if err := plane.Client.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); err != nil || theirs.ResourceVersion != before {
		t.Errorf("the ConfigMap was changed (%v)", err)
	}
}

func TestOlderPolicyWinsAndTheOtherSaysSo(t *testing.T) {
	operate(t, installation(), "s3cret")
	namespace := plane.Namespace(t)
	// Of policies created within one second the first by name wins.
	first, second := apply(t, shop(namespace, "a")), apply(t, shop(namespace, "b"))

	// Without a pod nothing is lost.
	condition(t, second, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)

	plane.Create(t, injectedPod(t, installation(), first, "p"))
	message := condition(t, second, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonConflicted)
	if !strings.Contains(message, "(a)") {
		t.Errorf("the message does not name the winner: %s", message)
	}
	condition(t, second, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonConflicted)
	condition(t, first, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	pods(t, first, v1alpha1.PodCounts{Matched: 1, Injected: 1, Summary: "0/1"})
	pods(t, second, v1alpha1.PodCounts{Summary: "0/0"})

	// When the winner changes its mind, the loser learns of it.
	edit(t, first, func(p *v1alpha1.BFFPolicy) { p.Spec.Selector.MatchLabels = map[string]string{"app": "blog"} })
	condition(t, second, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	// The pod still follows the other policy, and a new one would not.
	pods(t, second, v1alpha1.PodCounts{Matched: 1, Injected: 1, Outdated: 1, Summary: "0/1"})
}

func TestPodsAreCounted(t *testing.T) {
	sidecar := installation()
	stop := operate(t, sidecar, "s3cret")
	policy := apply(t, shop(plane.Namespace(t), "shop"))
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonNoPods)
	pods(t, policy, v1alpha1.PodCounts{Summary: "0/0"})

	one, two := injectedPod(t, sidecar, policy, "one"), injectedPod(t, sidecar, policy, "two")
	plane.Create(t, one)
	plane.Create(t, two)
	pods(t, policy, v1alpha1.PodCounts{Matched: 2, Injected: 2, Summary: "0/2"})
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPodsNotReady)

	setReady(t, one, true)
	pods(t, policy, v1alpha1.PodCounts{Matched: 2, Injected: 2, Ready: 1, Summary: "1/2"})
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

	plain := newPod(policy.Namespace, "plain")
	plane.Create(t, plain)
	pods(t, policy, v1alpha1.PodCounts{Matched: 3, Injected: 2, Ready: 1, Summary: "1/3"})
	message := condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPodsNotInjected)
	if !strings.Contains(message, "1 of 3 pods run without the sidecar") || !strings.Contains(message, "(plain): delete them") {
		t.Error(message)
	}
	if err := plane.Client.Delete(t.Context(), plain, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

	// Pods that have ended do not count.
	done := injectedPod(t, sidecar, policy, "done")
	plane.Create(t, done)
	pods(t, policy, v1alpha1.PodCounts{Matched: 3, Injected: 3, Ready: 1, Summary: "1/3"})
	done.Status.Phase = corev1.PodSucceeded
	if err := plane.Client.Status().Update(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	pods(t, policy, v1alpha1.PodCounts{Matched: 2, Injected: 2, Ready: 1, Summary: "1/2"})
	condition(t, policy, v1alpha1.ConditionUpToDate, metav1.ConditionTrue, v1alpha1.ReasonCurrent)

	// A change that a reload brings to the pods leaves them current, a change of
	// what they mount does not.
	edit(t, policy, func(p *v1alpha1.BFFPolicy) { p.Spec.Provider.ClientID = "other" })
	condition(t, policy, v1alpha1.ConditionUpToDate, metav1.ConditionTrue, v1alpha1.ReasonCurrent)
	edit(t, policy, func(p *v1alpha1.BFFPolicy) {
		p.Spec.Provider.ClientAuthentication.SecretRef.Name = "other"
	})
	pods(t, policy, v1alpha1.PodCounts{Matched: 2, Injected: 2, Ready: 1, Outdated: 2, Summary: "1/2"})
	edit(t, policy, func(p *v1alpha1.BFFPolicy) {
		p.Spec.Provider.ClientAuthentication.SecretRef.Name = "shop-oidc"
	})
	pods(t, policy, v1alpha1.PodCounts{Matched: 2, Injected: 2, Ready: 1, Summary: "1/2"})

	// A new version of the operator brings another sidecar. The pods go on, so the
	// policy stays ready.
	stop()
	sidecar.Image = "registry.example.com/bff-sidecar:v2"
	t.Run("after an upgrade", func(t *testing.T) {
		operate(t, sidecar, "s3cret")
		message := condition(t, policy, v1alpha1.ConditionUpToDate, metav1.ConditionFalse, v1alpha1.ReasonOutdated)
		if !strings.Contains(message, "2 of 2 pods") || !strings.Contains(message, "kubectl rollout restart") {
			t.Error(message)
		}
		condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	})
}

func TestSelectorThatCannotBeEvaluated(t *testing.T) {
	operate(t, installation(), "s3cret")
	policy := shop(plane.Namespace(t), "shop")
	policy.Spec.Selector.MatchLabels = map[string]string{"not a label": "x"}
	apply(t, policy)
	message := condition(t, policy, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalid)
	if !strings.Contains(message, "spec.selector cannot be evaluated") {
		t.Error(message)
	}
}

func edit(t *testing.T, policy *v1alpha1.BFFPolicy, change func(*v1alpha1.BFFPolicy)) {
	t.Helper()
	controlplane.Eventually(t, func(ctx context.Context) error {
		if err := plane.Client.Get(ctx, client.ObjectKeyFromObject(policy), policy); err != nil {
			return err
		}
		change(policy)
		return plane.Client.Update(ctx, policy)
	})
}
