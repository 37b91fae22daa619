package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/internal/render"
	"github.com/bff-operator/bff-operator/controllers/internal/status"
	"github.com/bff-operator/bff-operator/controllers/internal/workloads"
	"github.com/bff-operator/bff-operator/webhook"
)

// resync is how often a policy is looked at without an event, give or take a
// tenth. It repairs the one thing nothing reports: a change to the Secret,
// which is not watched.
const resync = 10 * time.Minute

// fieldOwner owns every field the controller applies, but for the key ring.
const fieldOwner = client.FieldOwner(render.ManagedBy)

// PolicyReconciler keeps what the pods of a BFFPolicy mount, and its status.
type PolicyReconciler struct {
	// Client reads from the cache, Secrets live.
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Events tells what changed.
	Events events.EventRecorder
	// Sidecar is what the webhook injects.
	Sidecar webhook.Sidecar
	// StorePassword reads the password of Sidecar.Store. Nil, if it has none.
	StorePassword func() ([]byte, error)
	// KeyRotation is how long a key seals new sessions before another one does. 0
	// is for ever.
	KeyRotation time.Duration
	// Clock tells the time.
	Clock func() time.Time
}

// schedule is that of the key rings. A key stays as long as a session may live,
// and a little longer.
func (r *PolicyReconciler) schedule() keyring.Schedule {
	return keyring.Schedule{Interval: r.KeyRotation, Propagation: keyPropagation, Keep: longestSession + time.Hour}
}

const (
	// keyPropagation is what a new key gets to reach all sidecars. The kubelet takes
	// up to about two minutes to bring a changed Secret into a pod.
	keyPropagation = 15 * time.Minute
	// longestSession is the greatest spec.session.lifetime.
	longestSession = 720 * time.Hour
)

// observed is the world of one policy.
type observed struct {
	policy   *v1alpha1.BFFPolicy
	siblings []v1alpha1.BFFPolicy
	pods     []corev1.Pod
}

// Reconcile looks at one policy, writes what its pods mount where that differs,
// and then its status where that differs.
func (r *PolicyReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	seen, err := r.observe(ctx, req.NamespacedName)
	if err != nil || seen == nil {
		return reconcile.Result{}, err
	}
	policy := seen.policy

	renderErr := r.writeConfigMap(ctx, policy)
	keysErr := r.writeKeys(ctx, policy.Namespace, seen.usesOperatorStore())
	desired := status.Decide(status.Input{
		Policy:        policy,
		SelectorError: webhook.SelectorError(policy),
		Store:         policy.WithStore(r.Sidecar.Store).Spec.Session.Store,
		Pods: workloads.Count(policy, seen.pods, webhook.Order(seen.siblings), func(pod *corev1.Pod) (string, error) {
			return r.Sidecar.PodShape(pod, policy)
		}),
		RenderError: renderErr,
		KeysError:   keysErr,
	}, metav1.Now().Rfc3339Copy())
	statusErr := r.writeStatus(ctx, policy, desired)

	if err := errors.Join(retry(renderErr), retry(keysErr), statusErr); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: wait.Jitter(resync, .1)}, nil
}

// observe reads the policy and what lives beside it. It is nil when the policy
// is gone or going.
func (r *PolicyReconciler) observe(ctx context.Context, key client.ObjectKey) (*observed, error) {
	seen := &observed{policy: &v1alpha1.BFFPolicy{}}
	if err := r.Client.Get(ctx, key, seen.policy); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("get BFFPolicy: %w", err)
	}
	if seen.policy.DeletionTimestamp != nil {
		return nil, nil
	}
	var policies v1alpha1.BFFPolicyList
	if err := r.Client.List(ctx, &policies, client.InNamespace(key.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list BFFPolicies: %w", err)
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(key.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	seen.siblings, seen.pods = policies.Items, pods.Items
	return seen, nil
}

// usesOperatorStore says whether a policy of the namespace relies on the
// operator's session store.
func (o *observed) usesOperatorStore() bool {
	for i := range o.siblings {
		if o.siblings[i].Spec.Session.Store == nil {
			return true
		}
	}
	return o.policy.Spec.Session.Store == nil
}

// stuckError is a problem that only a person can solve. It is told in the
// status and not tried again before the next event or resync.
type stuckError struct{ error }

func (e stuckError) Unwrap() error { return e.error }

// retry drops what trying again would not change.
func retry(err error) error {
	if stuck := (stuckError{}); errors.As(err, &stuck) {
		return nil
	}
	// In a namespace that is being deleted nothing can be made, nor needs to be.
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}

var _ reconcile.Reconciler = (*PolicyReconciler)(nil)
