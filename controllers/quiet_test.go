package controllers_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/controlplane"
)

func TestIdlePolicyIsNotTouched(t *testing.T) {
	sidecar := installation()
	operate(t, sidecar, "s3cret")
	policy := apply(t, shop(plane.Namespace(t), "shop"))
	p := injectedPod(t, sidecar, policy, "one")
	plane.Create(t, p)
	setReady(t, p, true)
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	configMap := rendered(t, policy, func(*v1alpha1.BFFPolicy) error { return nil })
	secret := keysSecret(t, policy.Namespace)

	if err := plane.Client.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
		t.Fatal(err)
	}
	before := map[client.Object]string{}
	for _, object := range []client.Object{policy, configMap, secret} {
		before[object] = object.GetResourceVersion()
	}
	// Not quite idle: a neighbour makes the operator look all the time.
	neighbour := newPod(policy.Namespace, "neighbour")
	neighbour.Labels["app"] = "blog"
	plane.Create(t, neighbour)
	looks := 0
	controlplane.Always(t, 2500*time.Millisecond, func(ctx context.Context) error {
		looks++
		neighbour.Labels["look"] = fmt.Sprint(looks)
		if err := plane.Client.Update(ctx, neighbour); err != nil {
			return err
		}
		for object, was := range before {
			if err := plane.Client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
				return err
			}
			if now := object.GetResourceVersion(); now != was {
				return fmt.Errorf("%T went from resource version %s to %s", object, was, now)
			}
		}
		return nil
	})
}

func TestEventsTellTransitionsOnly(t *testing.T) {
	sidecar := installation()
	operate(t, sidecar, "s3cret")
	policy := apply(t, shop(plane.Namespace(t), "shop"))
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonNoPods)
	plane.Create(t, newPod(policy.Namespace, "plain"))
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPodsNotInjected)

	want := []string{"Normal NoPods Ready", "Warning PodsNotInjected Ready"}
	told := func(ctx context.Context) ([]string, error) {
		var list eventsv1.EventList
		if err := plane.Client.List(ctx, &list, client.InNamespace(policy.Namespace)); err != nil {
			return nil, err
		}
		var got []string
		for _, event := range list.Items {
			if event.Regarding.UID == policy.UID {
				got = append(got, event.Type+" "+event.Reason+" "+event.Action)
			}
		}
		slices.Sort(got)
		return got, nil
	}
	matches := func(ctx context.Context) error {
		if got, err := told(ctx); err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("the events are %q, want %q (%v)", got, want, err)
		}
		return nil
	}
	controlplane.Eventually(t, matches)
	controlplane.Always(t, time.Second, matches)
}

func TestDeletedPolicyStaysDeleted(t *testing.T) {
	operate(t, installation(), "s3cret")
	policy := apply(t, shop(plane.Namespace(t), "shop"))
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonNoPods)
	if err := plane.Client.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	controlplane.Eventually(t, func(ctx context.Context) error {
		if err := plane.Client.Get(ctx, client.ObjectKeyFromObject(policy), policy); !apierrors.IsNotFound(err) {
			return fmt.Errorf("a finalizer holds the policy: %v (%v)", policy.Finalizers, err)
		}
		return nil
	})
}
