package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	admissionreview "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/webhook"
)

// behind is a cache that has seen some policies and no more, or fails.
type behind struct {
	client.Reader
	policies []v1alpha1.BFFPolicy
	err      error
}

func (b behind) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*v1alpha1.BFFPolicyList).Items = b.policies
	return b.err
}

// counted counts the calls to the API server.
type counted struct {
	client.Reader
	lists *int
}

func (c counted) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	*c.lists++
	return c.Reader.List(ctx, list, options...)
}

func TestCacheThatLagsIsAskedPast(t *testing.T) {
	full, empty := plane.Namespace(t), plane.Namespace(t)
	policy := shop(full, "shop")
	plane.Create(t, policy)
	other := shop(full, "other")
	other.Spec.Selector.MatchLabels["app"] = "blog"
	unreachable := errors.New("the API server cannot be reached")

	for name, row := range map[string]struct {
		namespace string
		cached    client.Reader
		live      client.Reader
		code      int32
		says      string
		lists     int
	}{
		"the cache knows the policy":            {full, behind{policies: []v1alpha1.BFFPolicy{*policy}}, plane.Client, http.StatusOK, "", 0},
		"the cache knows nothing yet":           {full, behind{}, plane.Client, http.StatusOK, "", 1},
		"the cache knows another policy":        {full, behind{policies: []v1alpha1.BFFPolicy{*other}}, plane.Client, http.StatusOK, "", 1},
		"the cache has not started":             {full, behind{err: errors.New("not started")}, plane.Client, http.StatusOK, "", 1},
		"there is none":                         {empty, behind{}, plane.Client, http.StatusForbidden, "has no BFFPolicy: apply one", 1},
		"nobody knows: the pod must wait":       {full, behind{}, behind{err: unreachable}, http.StatusInternalServerError, unreachable.Error(), 1},
		"nobody need know but the cache in use": {full, behind{policies: []v1alpha1.BFFPolicy{*policy}}, behind{err: unreachable}, http.StatusOK, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(newPod(""))
			if err != nil {
				t.Fatal(err)
			}
			lists := 0
			injector := webhook.NewInjector(row.cached, counted{row.live, &lists}, plane.Scheme, sidecar)
			response := injector.Handle(t.Context(), admission.Request{AdmissionRequest: admissionreview.AdmissionRequest{
				Namespace: row.namespace, Object: runtime.RawExtension{Raw: raw},
			}})
			if response.Allowed != (row.code == http.StatusOK) || response.Result.Code != row.code || !strings.Contains(response.Result.Message, row.says) {
				t.Errorf("allowed %v, %+v", response.Allowed, response.Result)
			}
			if response.Allowed && len(response.Patches) == 0 {
				t.Error("the pod was admitted as it is")
			}
			if lists != row.lists {
				t.Errorf("the API server was asked %d times, want %d", lists, row.lists)
			}
		})
	}
}
