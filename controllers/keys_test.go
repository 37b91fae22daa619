package controllers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/controlplane"
)

// keysSecret waits until the namespace has a key ring.
func keysSecret(t *testing.T, namespace string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	controlplane.Eventually(t, func(ctx context.Context) error {
		if err := plane.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: pod.KeysSecretName}, secret); err != nil {
			return err
		}
		_, err := keyring.Parse(secret.Data[pod.KeyRingKey])
		return err
	})
	return secret
}

func TestNamespaceGetsAKeyRingAndTheStoresPassword(t *testing.T) {
	operate(t, installation(), "s3cret")
	policy := apply(t, shop(plane.Namespace(t), "shop"))
	secret := keysSecret(t, policy.Namespace)
	controlplane.Eventually(t, func(ctx context.Context) error {
		if err := plane.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret); err != nil {
			return err
		}
		if got := string(secret.Data[pod.StorePasswordKey]); got != "s3cret" {
			return fmt.Errorf("the password has %d bytes", len(got))
		}
		return nil
	})
	if secret.Type != corev1.SecretTypeOpaque || secret.Labels["app.kubernetes.io/managed-by"] != "bff-operator" {
		t.Errorf("the Secret is of type %s with labels %v", secret.Type, secret.Labels)
	}
	if len(secret.OwnerReferences) > 0 {
		t.Errorf("the Secret would go with %s", secret.OwnerReferences[0].Name)
	}
}

func TestPasswordIsOnlyWhereItIsNeeded(t *testing.T) {
	operate(t, installation(), "s3cret")
	policy := shop(plane.Namespace(t), "shop")
	policy.Spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory}
	apply(t, policy)
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonNoPods)
	if _, has := keysSecret(t, policy.Namespace).Data[pod.StorePasswordKey]; has {
		t.Error("a namespace whose policies have stores of their own got the operator's password")
	}
}

func TestKeyRingIsNeverReplaced(t *testing.T) {
	stop := operate(t, installation(), "s3cret")
	namespace := plane.Namespace(t)
	one, two := apply(t, shop(namespace, "one")), apply(t, shop(namespace, "two"))
	condition(t, one, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonNoPods)
	condition(t, two, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonNoPods)
	ring := keysSecret(t, namespace).Data[pod.KeyRingKey]
	same := func(t *testing.T) {
		t.Helper()
		if !bytes.Equal(keysSecret(t, namespace).Data[pod.KeyRingKey], ring) {
			t.Fatal("the key ring was replaced")
		}
	}

	t.Run("when a policy goes", func(t *testing.T) {
		if err := plane.Client.Delete(t.Context(), two); err != nil {
			t.Fatal(err)
		}
		three := apply(t, shop(namespace, "three"))
		condition(t, three, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonNoPods)
		same(t)
	})
	stop()
	t.Run("when the operator and its password change", func(t *testing.T) {
		operate(t, installation(), "another")
		controlplane.Eventually(t, func(ctx context.Context) error {
			if string(keysSecret(t, namespace).Data[pod.StorePasswordKey]) != "another" {
				return errors.New("the password is still the old one")
			}
			return nil
		})
		same(t)
	})
	t.Run("when it is damaged", func(t *testing.T) {
		secret := keysSecret(t, namespace)
		secret.Data[pod.KeyRingKey] = []byte(`{"primary":"gone"}`)
		if err := plane.Client.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		operate(t, installation(), "another")
		for _, kind := range []string{v1alpha1.ConditionStoreReady, v1alpha1.ConditionReady} {
			message := condition(t, one, kind, metav1.ConditionFalse, v1alpha1.ReasonKeyRingDamaged)
			if !strings.Contains(message, "restore it from a backup, or delete the Secret") || strings.Contains(message, "gone") {
				t.Errorf("%s: %s", kind, message)
			}
		}
		controlplane.Always(t, time.Second, func(ctx context.Context) error {
			if err := plane.Client.Get(ctx, client.ObjectKeyFromObject(secret), secret); err != nil {
				return err
			}
			if string(secret.Data[pod.KeyRingKey]) != `{"primary":"gone"}` {
				return errors.New("the damaged key ring was replaced")
			}
			return nil
		})
	})
}

// A ring is rotated in steps that every sidecar can follow: the successor is
// carried along first, and what was sealed before can be opened after.
func TestKeyRingRotates(t *testing.T) {
	namespace := plane.Namespace(t)
	start := time.Now()
	at := func(age time.Duration) func() time.Time {
		return func() time.Time { return start.Add(age) }
	}
	stop := operateAt(t, installation(), "s3cret", at(0))
	policy := apply(t, shop(namespace, "shop"))
	condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonNoPods)
	ring := func() *keyring.Ring {
		t.Helper()
		ring, err := keyring.Parse(keysSecret(t, namespace).Data[pod.KeyRingKey])
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	first := ring().Primary().ID
	stop()

	stop = operateAt(t, installation(), "s3cret", at(keyRotation+time.Minute))
	controlplane.Eventually(t, func(ctx context.Context) error {
		if bytes.Count(keysSecret(t, namespace).Data[pod.KeyRingKey], []byte(`"id"`)) != 2 {
			return errors.New("there is no second key")
		}
		return nil
	})
	if ring().Primary().ID != first {
		t.Fatal("the new key is primary before the sidecars have it")
	}
	stop()

	operateAt(t, installation(), "s3cret", at(keyRotation+time.Hour))
	controlplane.Eventually(t, func(ctx context.Context) error {
		if ring().Primary().ID == first {
			return errors.New("the first key is still primary")
		}
		return nil
	})
	if _, kept := ring().Key(first); !kept {
		t.Error("the first key is gone, and with it every session")
	}
	if string(keysSecret(t, namespace).Data[pod.StorePasswordKey]) != "s3cret" {
		t.Error("the rotation took the store's password away")
	}
}

// TestRacingOperatorsMakeOneKeyRing starts several operators, which both know
// several new policies of one namespace, at once.
func TestRacingOperatorsMakeOneKeyRing(t *testing.T) {
	namespaces := make([]string, 8)
	var policies []*v1alpha1.BFFPolicy
	for i := range namespaces {
		namespaces[i] = plane.Namespace(t)
		for _, name := range []string{"a", "b", "c"} {
			policies = append(policies, apply(t, shop(namespaces[i], name)))
		}
	}
	rings := watchRings(t)
	for range 3 {
		operate(t, installation(), "s3cret")
	}
	for _, policy := range policies {
		condition(t, policy, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonNoPods)
	}
	for _, namespace := range namespaces {
		final := string(keysSecret(t, namespace).Data[pod.KeyRingKey])
		controlplane.Eventually(t, func(context.Context) error {
			if got := rings(namespace); len(got) == 0 || got[len(got)-1] != final {
				return errors.New("the watch is behind")
			}
			return nil
		})
		if got := rings(namespace); len(got) != 1 {
			t.Errorf("namespace %s has had %d key rings", namespace, len(got))
		}
	}
}

// watchRings collects the key rings that each namespace has from now on, in
// their order.
func watchRings(t *testing.T) func(namespace string) []string {
	t.Helper()
	api, err := client.NewWithWatch(plane.Config, client.Options{Scheme: plane.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := api.Watch(t.Context(), &corev1.SecretList{})
	if err != nil {
		t.Fatal(err)
	}
	var mutex sync.Mutex
	rings := map[string][]string{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range watcher.ResultChan() {
			secret, ok := event.Object.(*corev1.Secret)
			if !ok || secret.Name != pod.KeysSecretName || secret.Data[pod.KeyRingKey] == nil {
				continue
			}
			ring := string(secret.Data[pod.KeyRingKey])
			mutex.Lock()
			if known := rings[secret.Namespace]; len(known) == 0 || known[len(known)-1] != ring {
				rings[secret.Namespace] = append(known, ring)
			}
			mutex.Unlock()
		}
	}()
	t.Cleanup(func() { watcher.Stop(); <-done })
	return func(namespace string) []string {
		mutex.Lock()
		defer mutex.Unlock()
		return slices.Clone(rings[namespace])
	}
}

// TestOperatorSeesNoOtherSecret proves what config/rbac/role.yaml grants: one
// Secret by name, to read and to apply.
func TestOperatorSeesNoOtherSecret(t *testing.T) {
	operator, err := client.New(plane.Operator(t), client.Options{Scheme: plane.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	namespace := plane.Namespace(t)
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-oidc"}}
	plane.Create(t, theirs)

	ctx := t.Context()
	mine := func(name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	for what, err := range map[string]error{
		"list Secrets":               operator.List(ctx, &corev1.SecretList{}),
		"list a namespace's Secrets": operator.List(ctx, &corev1.SecretList{}, client.InNamespace(namespace)),
		"get another Secret":         operator.Get(ctx, client.ObjectKeyFromObject(theirs), &corev1.Secret{}),
		"create any Secret":          operator.Create(ctx, mine("other")),
		"post its own Secret":        operator.Create(ctx, mine(pod.KeysSecretName)),
		"update another Secret":      operator.Update(ctx, theirs),
		"delete a Secret":            operator.Delete(ctx, theirs),
		"write a policy":             operator.Create(ctx, shop(namespace, "shop")),
		"create a pod":               operator.Create(ctx, newPod(namespace, "p")),
		"delete a pod":               operator.Delete(ctx, newPod(namespace, "p")),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("the operator may %s (%v)", what, err)
		}
	}
}
