package controllers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	clientretry "k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/internal/keys"
	"github.com/bff-operator/bff-operator/controllers/internal/render"
	"github.com/bff-operator/bff-operator/controllers/internal/status"
)

// writeConfigMap renders the policy for its pods.
func (r *PolicyReconciler) writeConfigMap(ctx context.Context, policy *v1alpha1.BFFPolicy) error {
	rendered, err := render.Policy(policy, r.Sidecar.Store)
	if err != nil {
		return stuckError{err}
	}
	key := client.ObjectKey{Namespace: policy.Namespace, Name: v1alpha1.ConfigMapName(policy.Name)}
	found := &corev1.ConfigMap{}
	err = r.Client.Get(ctx, key, found)
	if apierrors.IsNotFound(err) {
		// The cache holds our ConfigMaps only. Before the first write it must be sure
		// that there is none of somebody else's.
		err = r.Live.Get(ctx, key, found)
	}
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("get ConfigMap %q: %w", key.Name, err)
	case render.IsForeign(found, policy):
		return stuckError{fmt.Errorf("ConfigMap %q exists already and is not the operator's: delete or rename it, or rename the policy", key.Name)}
	case render.IsCurrent(found, policy, rendered):
		return nil
	}
	if err := r.Client.Apply(ctx, render.ConfigMap(policy, rendered), fieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("apply ConfigMap %q: %w", key.Name, err)
	}
	return nil
}

// writeKeys sees to it that the namespace has a key ring and, if withPassword,
// the password of the operator's store.
//
// The Secret belongs to no policy: it outlives all of them, since the next one
// may have the same sessions.
func (r *PolicyReconciler) writeKeys(ctx context.Context, namespace string, withPassword bool) error {
	var password []byte
	if withPassword && r.StorePassword != nil {
		var err error
		if password, err = r.StorePassword(); err != nil {
			return fmt.Errorf("read the store's password: %w", err)
		}
	}
	// Whoever loses a race reads again and finds the winner's work.
	return clientretry.RetryOnConflict(clientretry.DefaultRetry, func() error {
		return r.ensureKeys(ctx, namespace, password)
	})
}

func (r *PolicyReconciler) ensureKeys(ctx context.Context, namespace string, password []byte) error {
	secret := &corev1.Secret{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: pod.KeysSecretName}, secret)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get Secret %q: %w", pod.KeysSecretName, err)
	}
	needs, refused := keys.Decide(keys.Input{Secret: secret, Password: password, Schedule: r.schedule(), Now: r.Clock(), Random: rand.Reader})
	if needs.Ring {
		if err := r.createRing(ctx, namespace); err != nil {
			return fmt.Errorf("create the key ring in Secret %q: %w", pod.KeysSecretName, err)
		}
	}
	if needs.Password {
		desired := keysSecret(namespace).WithData(map[string][]byte{pod.StorePasswordKey: password})
		if err := r.Client.Apply(ctx, desired, fieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("apply the store's password in Secret %q: %w", pod.KeysSecretName, err)
		}
	}
	if needs.Rotated != nil {
		if err := r.rotateRing(ctx, secret, needs.Rotated); err != nil {
			return fmt.Errorf("rotate the key ring in Secret %q: %w", pod.KeysSecretName, err)
		}
	}
	if damaged := (*keys.DamagedError)(nil); errors.As(refused, &damaged) {
		return stuckError{damaged}
	}
	return refused
}

// rotateRing replaces the ring that was read, and no other: whoever comes second
// gets a conflict and looks again.
func (r *PolicyReconciler) rotateRing(ctx context.Context, read *corev1.Secret, ring *keyring.Ring) error {
	data, err := ring.Marshal()
	if err != nil {
		return fmt.Errorf("marshal key ring: %w", err)
	}
	desired := keysSecret(read.Namespace).WithUID(read.UID).WithResourceVersion(read.ResourceVersion).
		WithData(map[string][]byte{pod.KeyRingKey: data})
	return r.Client.Apply(ctx, desired, keyringOwner, client.ForceOwnership)
}

// keyringOwner owns the key ring once it was rotated.
const keyringOwner = client.FieldOwner(render.ManagedBy + "-keyring")

// createRing writes a fresh key ring, unless there is one. Each attempt applies
// as a field owner of its own and does not force, so whoever comes second, in
// this process or in another, gets a conflict instead of replacing the ring.
// What it owns is the ring alone, so no later apply of the operator's can drop
// it.
func (r *PolicyReconciler) createRing(ctx context.Context, namespace string) error {
	ring, err := keyring.New(r.Clock(), rand.Reader)
	if err != nil {
		return err
	}
	data, err := ring.Marshal()
	if err != nil {
		return fmt.Errorf("marshal key ring: %w", err)
	}
	attempt := client.FieldOwner(render.ManagedBy + "-keyring-" + rand.Text()[:8])
	return r.Client.Apply(ctx, keysSecret(namespace).WithData(map[string][]byte{pod.KeyRingKey: data}), attempt)
}

func keysSecret(namespace string) *corev1ac.SecretApplyConfiguration {
	return corev1ac.Secret(pod.KeysSecretName, namespace).
		WithLabels(map[string]string{render.LabelManagedBy: render.ManagedBy}).
		WithType(corev1.SecretTypeOpaque)
}

// writeStatus applies the status, unless it is there already, and tells what
// changed.
func (r *PolicyReconciler) writeStatus(ctx context.Context, policy *v1alpha1.BFFPolicy, desired v1alpha1.BFFPolicyStatus) error {
	if equality.Semantic.DeepEqual(policy.Status, desired) {
		return nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&desired)
	if err != nil {
		return fmt.Errorf("convert status: %w", err)
	}
	patch := &unstructured.Unstructured{Object: map[string]any{"status": content}}
	patch.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
	patch.SetNamespace(policy.Namespace)
	patch.SetName(policy.Name)
	// The status speaks of this very policy, not of one that was created under its
	// name since.
	patch.SetUID(policy.UID)
	err = r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(patch), fieldOwner, client.ForceOwnership)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone in the meantime
	}
	if err != nil {
		return fmt.Errorf("apply status: %w", err)
	}
	for _, changed := range status.Transitions(policy.Status.Conditions, desired.Conditions) {
		kind := corev1.EventTypeNormal
		if changed.Status != metav1.ConditionTrue {
			kind = corev1.EventTypeWarning
		}
		r.Events.Eventf(policy, nil, kind, changed.Reason, changed.Type, "%s", note(changed.Message))
	}
	return nil
}

// note fits a message into an event, which the API limits to 1024 bytes.
func note(message string) string {
	const limit = 1024
	if len(message) <= limit {
		return message
	}
	return message[:limit-3] + "..."
}
