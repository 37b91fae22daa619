package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook/internal/denial"
	"github.com/bff-operator/bff-operator/webhook/internal/inject"
	"github.com/bff-operator/bff-operator/webhook/internal/match"
)

// injector answers the API server. It decodes, asks the pure packages, and
// encodes; a pod that is not injected is refused.
type injector struct {
	// cached reads policies from memory. It may lag behind.
	cached client.Reader
	// live reads policies from the API server.
	live    client.Reader
	decoder admission.Decoder
	sidecar Sidecar
}

var _ admission.Handler = (*injector)(nil)

// Handle injects the pod of the request.
func (i *injector) Handle(ctx context.Context, req admission.Request) admission.Response {
	started := time.Now()
	response, reason := i.handle(ctx, req)
	observe(response.Allowed, reason, time.Since(started))
	return response
}

func (i *injector) handle(ctx context.Context, req admission.Request) (admission.Response, string) {
	pod := &corev1.Pod{}
	if err := i.decoder.Decode(req, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, fmt.Errorf("decode pod: %w", err)), reasonError
	}
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues("generateName", pod.GenerateName))
	// The pod of a Deployment has no namespace of its own yet. The request has.
	choice, err := i.choose(ctx, req.Namespace, pod)
	if err != nil {
		return i.refuse(ctx, err)
	}
	injected, err := inject.Inject(pod, i.sidecar.plan(choice.Policy))
	if err != nil {
		return i.refuse(ctx, err)
	}
	patch, err := inject.Patch(pod, injected)
	if err != nil {
		return i.refuse(ctx, fmt.Errorf("make patch: %w", err))
	}
	response := admission.Patched("", patch...)
	if warning := choice.Warning(); warning != "" {
		response = response.WithWarnings(warning)
	}
	log.FromContext(ctx).V(1).Info("injected", "policy", choice.Policy.Name, "operations", len(patch))
	return response, reasonInjected
}

// choose finds the pod's policy in the cache and, since that may not have seen a
// policy that was created a moment ago, asks the API server before it says no.
// Only pods with the label get here, so a refused one costs one list of one
// namespace.
func (i *injector) choose(ctx context.Context, namespace string, pod *corev1.Pod) (match.Choice, error) {
	var policies v1alpha1.BFFPolicyList
	// A cache that has not started is as good as an empty one.
	if err := i.cached.List(ctx, &policies, client.InNamespace(namespace)); err == nil {
		if choice := match.Order(policies.Items).Choose(pod.Labels); choice.Policy != nil {
			return choice, nil
		}
	}
	if err := i.live.List(ctx, &policies, client.InNamespace(namespace)); err != nil {
		return match.Choice{}, fmt.Errorf("list the BFFPolicies of namespace %q: %w", namespace, err)
	}
	candidates := match.Order(policies.Items)
	choice := candidates.Choose(pod.Labels)
	if choice.Policy == nil {
		return choice, candidates.NoPolicy(namespace, pod.Labels)
	}
	return choice, nil
}

// refuse turns an error into an answer: a denial into its text, everything else
// into a failure that whoever creates the pod will retry.
func (i *injector) refuse(ctx context.Context, err error) (admission.Response, string) {
	if denied := (*denial.Denial)(nil); errors.As(err, &denied) {
		log.FromContext(ctx).Info("denied", "reason", denied.Reason(), "message", denied.Error())
		return admission.Denied(denied.Error()), string(denied.Reason())
	}
	log.FromContext(ctx).Error(err, "could not inject")
	return admission.Errored(http.StatusInternalServerError, err), reasonError
}
