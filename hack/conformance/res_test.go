//go:build conformance

package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

// Resources of the tests, as specific as an API's base URI.
const (
	ordersAPI  = "https://api.example.test/orders/v1"
	billingAPI = "https://api.example.test/billing/v2/"
)

// resources has the grant span two APIs: the one behind /api, and another one
// behind /billing.
func resources(billing *rs.Server) option {
	return policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Provider.Resources = []string{ordersAPI, billingAPI}
		s.Routes[0].Token.Resource = ordersAPI
		s.Routes = append(s.Routes[:1], v1alpha1.Route{
			Name: "billing", Path: "/billing", Upstream: v1alpha1.Upstream{URL: billing.URL}, Token: v1alpha1.RouteToken{Resource: billingAPI},
		})
	})
}

func TestRES_01_AResourceIsAnAbsoluteURI(t *testing.T) {
	t.Parallel()
	covers(t, "RES-01")
	for _, bad := range []string{"https://api.example.test/#part", "https://api.example.test/#", "/orders", "api.example.test", "orders", "//api.example.test/", "https://api.example.test/a b", "https://api.example.test/größe", "https://api.example.test/<x>"} {
		t.Run(bad, func(t *testing.T) {
			prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.Resources = []string{bad} })).
				WantNoStart("spec.provider.resources[0]", "absolute URI without fragment")
			prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Routes[0].Token.Resource = bad })).
				WantNoStart("spec.routes[0].token.resource", "absolute URI without fragment")
		})
	}
	for _, good := range []string{"https://api.example.test/", ordersAPI, "urn:example:orders", "https://api.example.test/a?tenant=1"} {
		t.Run(good, func(t *testing.T) {
			w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.Resources = []string{good} }))
			w.Login()
			if got := w.asked()["resource"]; !slices.Equal(got, []string{good}) {
				t.Errorf("the provider was asked for %q", got)
			}
		})
	}
}

func TestRES_02_03_ARequestNamesAllResourcesOfTheGrant(t *testing.T) {
	t.Parallel()
	covers(t, "RES-02", "RES-03")
	signed := policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.RequestObject = v1alpha1.RequestObjectSigned })
	unpushed := behaviour(func(b *as.Behaviour) { b.WithoutPAR = true })
	for name, options := range map[string][]option{
		"pushed": nil, "plain": {unpushed}, "signed": {newClientKey(t).option(), signed, unpushed}, "signed and pushed": {newClientKey(t).option(), signed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(options, resources(rs.Start(t, rs.Options{})))...)
			w.Login()
			asked := w.asked()
			got := asked["resource"]
			if object := asked.Get("request"); object != "" {
				_, claims, err := as.Decode(object)
				if err != nil || asked.Has("resource") {
					t.Fatalf("%v, %v", err, asked)
				}
				list, _ := claims["resource"].([]any)
				for _, one := range list {
					got = append(got, fmt.Sprint(one))
				}
			}
			// Each as the policy has it, down to its path.
			if !slices.Equal(got, []string{ordersAPI, billingAPI}) {
				t.Errorf("the provider was asked for %q", got)
			}
		})
	}
}

func TestRES_04_05_ATokenIsForOneAPIAndKept(t *testing.T) {
	t.Parallel()
	covers(t, "RES-04", "RES-05")
	billing := rs.Start(t, rs.Options{})
	w := newWorld(t, resources(billing))
	w.Login()
	for range 5 {
		for _, path := range []string{"/api/x", "/billing/x"} {
			if r := w.Call("GET", path); r.Status != http.StatusOK {
				t.Errorf("%s: %s", path, r)
			}
		}
	}
	var named []string
	for _, r := range w.AS.Grants("refresh_token") {
		if len(r.Form["resource"]) != 1 {
			t.Errorf("a token request names %q", r.Form["resource"])
		}
		named = append(named, r.Form.Get("resource"))
	}
	if !slices.Equal(named, []string{ordersAPI, billingAPI}) {
		t.Errorf("tokens were asked for %q, want one for each API", named)
	}
	for server, want := range map[*rs.Server]string{w.RS: ordersAPI, billing: billingAPI} {
		for _, r := range server.Requests() {
			if token, ok := w.AS.TokenInfo(r.Token()); !ok || !slices.Equal(token.Resources, []string{want}) {
				t.Errorf("%s was sent a token for %q", want, token.Resources)
			}
		}
	}
}

func TestRES_06_AnAPIWithoutATokenFailsAlone(t *testing.T) {
	t.Parallel()
	covers(t, "RES-06")
	billing := rs.Start(t, rs.Options{})
	w := newWorld(t, resources(billing))
	w.Login()
	w.AS.Change(func(b *as.Behaviour) { b.Resources = []string{ordersAPI} })
	for range 10 {
		w.WantProblem(w.Call("GET", "/billing/x"), http.StatusBadGateway, "token_unavailable")
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			t.Errorf("the other API: %s", r)
		}
	}
	if n := len(billing.Requests()); n != 0 {
		t.Errorf("%d calls, with whatever token", n)
	}
	if n := len(w.AS.Grants("refresh_token")); n != 2 { // one for each API
		t.Errorf("%d refreshes, want 2", n)
	}
	if !w.Session().Authenticated {
		t.Error("the session has ended")
	}
}

func TestRES_06_ALoginForAnUnknownResourceIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, "RES-06")
	for name, change := range map[string]func(*as.Behaviour){
		"pushed": func(*as.Behaviour) {}, "plain": func(b *as.Behaviour) { b.WithoutPAR = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, mayViolate(), resources(rs.Start(t, rs.Options{})), behaviour(func(b *as.Behaviour) {
				b.Resources = []string{ordersAPI}
				change(b)
			}))
			r := w.LoginAt(w.UA, "")
			w.WantNoLogin(r)
			if n := len(w.AS.Requests(as.Authorize)); n > 1 || strings.Contains(r.Body, billingAPI) {
				t.Errorf("%d authorization requests, and %s", n, r)
			}
		})
	}
}

func TestRES_07_RefreshesForSeveralAPIsTakeTurns(t *testing.T) {
	t.Parallel()
	covers(t, "RES-07", "RES-04")
	billing := rs.Start(t, rs.Options{})
	w := newWorld(t, resources(billing), replicas(2), policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Routes = append(s.Routes, v1alpha1.Route{Name: "all", Path: "/all", Upstream: s.Routes[0].Upstream})
	}), behaviour(func(b *as.Behaviour) { b.AccessLifetime = time.Second })) // a refresh token used twice is a violation
	w.Login()
	cookie := w.Cookie()
	enough := func() bool {
		times := map[string]int{}
		for _, r := range w.AS.Grants("refresh_token") {
			times[r.Form.Get("resource")]++
		}
		return times[""] >= 2 && times[ordersAPI] >= 2 && times[billingAPI] >= 2
	}
	w.Eventually("refreshes of all kinds", func() bool {
		var calls sync.WaitGroup
		for i := range w.Replicas {
			w.Target(i)
			for _, path := range []string{"/api/x", "/billing/x", "/all/x", "/api/y", "/billing/y"} {
				calls.Go(func() {
					if r, err := w.UA.TryFetch(w.CallOf("GET", path)); err != nil || r.Status != http.StatusOK {
						t.Errorf("%s: %v, %v", path, r, err)
					}
				})
			}
		}
		calls.Wait()
		return t.Failed() || enough()
	})
	spent := map[string]bool{}
	for _, r := range w.AS.Grants("refresh_token") {
		spent[r.Form.Get("refresh_token")] = true
	}
	if n := len(w.AS.Grants("refresh_token")); len(spent) != n {
		t.Errorf("%d refreshes with %d refresh tokens", n, len(spent))
	}
	if w.Cookie() != cookie || !w.Session().Authenticated {
		t.Error("the session has ended")
	}
	for _, r := range billing.Requests() {
		if token, _ := w.AS.TokenInfo(r.Token()); !slices.Equal(token.Resources, []string{billingAPI}) {
			t.Errorf("%s was sent a token for %q", billingAPI, token.Resources)
		}
	}
}
