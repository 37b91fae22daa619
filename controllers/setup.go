package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/internal/render"
)

// CacheOptions bounds what the controller holds in memory: the pods that asked
// for the sidecar, without most of what is in a pod, and the ConfigMaps it made
// itself.
func CacheOptions() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&corev1.Pod{}: {
			Label:     labels.SelectorFromSet(labels.Set{v1alpha1.LabelInject: v1alpha1.LabelInjectTrue}),
			Transform: keepWhatCounts,
		},
		&corev1.ConfigMap{}: {
			Label: labels.SelectorFromSet(labels.Set{render.LabelManagedBy: render.ManagedBy}),
		},
	}
}

// SetupWithManager starts the reconciler when a policy's spec changes, when
// somebody touches what was rendered for it, and when a policy or a labelled
// pod beside it changes, since those may take its pods away or be its pods.
func (r *PolicyReconciler) SetupWithManager(mgr manager.Manager) error {
	specChanged := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	err := builder.ControllerManagedBy(mgr).
		Named("bffpolicy").
		For(&v1alpha1.BFFPolicy{}, specChanged).
		Owns(&corev1.ConfigMap{}, builder.WithPredicates(touched)).
		Watches(&v1alpha1.BFFPolicy{}, handler.EnqueueRequestsFromMapFunc(r.policiesBeside), specChanged).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(r.policiesBeside), builder.WithPredicates(podChanged)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the policy controller: %w", err)
	}
	return nil
}

// policiesBeside are the policies in an object's namespace, but for the object
// itself.
func (r *PolicyReconciler) policiesBeside(ctx context.Context, object client.Object) []reconcile.Request {
	var policies v1alpha1.BFFPolicyList
	if err := r.Client.List(ctx, &policies, client.InNamespace(object.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		return nil // a cache cannot fail once it has started
	}
	requests := make([]reconcile.Request, 0, len(policies.Items))
	for i := range policies.Items {
		if policies.Items[i].UID != object.GetUID() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&policies.Items[i])})
		}
	}
	return requests
}

// touched lets pass what may need repair. What is new was made by ourselves.
var touched = predicate.Funcs{CreateFunc: func(event.CreateEvent) bool { return false }}

// podChanged lets pass what may change a count. The kubelet writes a pod's
// status far more often than that.
var podChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*corev1.Pod)
	after, isPod := e.ObjectNew.(*corev1.Pod)
	if !ok || !isPod {
		return true
	}
	before, after = before.DeepCopy(), after.DeepCopy()
	before.ResourceVersion, after.ResourceVersion = "", ""
	return !equality.Semantic.DeepEqual(before, after)
}}
