//go:build conformance

package conformance

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

func TestSEC_15_NoTokenStandsInAURL(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-15", "OA-11")
	w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.UserInfo = v1alpha1.Enabled }), behaviour(func(b *as.Behaviour) { b.AccessLifetime = time.Second }))
	w.Login()
	w.Eventually("a refresh", func() bool { w.Call("GET", "/api/x?a=1"); return len(w.AS.Grants("refresh_token")) > 0 })
	w.Logout()
	w.Eventually("a revocation", func() bool { return len(w.AS.Requests(as.Revocation)) > 0 })
	for _, r := range w.RS.Requests() {
		if found := w.Leaks.InBrowser(r.Target); len(found) > 0 {
			t.Errorf("RS*: %v in %s", found, r.Target)
		}
	}
	for _, at := range []as.Endpoint{as.Token, as.UserInfo, as.Revocation, as.EndSession, as.PAR, as.JWKS, as.Discovery, as.Authorize} {
		for _, r := range w.AS.Requests(at) {
			if found := w.Leaks.InBrowser(r.URL.String()); len(found) > 0 {
				t.Errorf("%s: %v in %s", at, found, r.URL)
			}
		}
	}
}

func TestSEC_18_EveryKindOfRotationWorks(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-18", "OA-09")
	for name, rotation := range map[string]as.Rotation{"rotating": as.Rotate, "not rotating": as.Keep, "with a grace": as.Reissue} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, behaviour(func(b *as.Behaviour) { b.AccessLifetime, b.Rotation = time.Second, rotation }))
			w.Login()
			for cycle := 1; cycle <= 3; cycle++ {
				w.Eventually(fmt.Sprintf("refresh %d", cycle), func() bool {
					r := w.Call("GET", "/api/x")
					if r.Status != http.StatusOK {
						t.Fatalf("cycle %d: %s", cycle, r)
					}
					return len(w.AS.Grants("refresh_token")) >= cycle
				})
			}
			sent := map[string]bool{}
			for _, r := range w.AS.Grants("refresh_token") {
				sent[r.Form.Get("refresh_token")] = true
			}
			if n := len(w.AS.Grants("refresh_token")); rotation == as.Keep && len(sent) != 1 || rotation != as.Keep && len(sent) != n {
				t.Errorf("%d refreshes with %d different refresh tokens", n, len(sent))
			}
		})
	}
}

func TestSEC_20_AnAPIGetsOnlyTheTokenThatIsMeantForIt(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-20", "BFF-42", "RES-04")
	const one, two = "https://one.example.test/", "https://two.example.test/"
	other := rs.Start(t, rs.Options{})
	w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Provider.Resources = []string{one, two}
		s.Routes[0].Token.Resource = one
		s.Routes = append(s.Routes[:1], v1alpha1.Route{Name: "two", Path: "/two", Upstream: v1alpha1.Upstream{URL: other.URL}, Token: v1alpha1.RouteToken{Resource: two}})
	}))
	w.Login()
	for range 3 {
		for _, path := range []string{"/api/x", "/two/x"} {
			if r := w.Call("GET", path); r.Status != http.StatusOK {
				t.Errorf("%s: %s", path, r)
			}
		}
	}
	for resource, requests := range map[string][]*rs.Request{one: w.RS.Requests(), two: other.Requests()} {
		if len(requests) != 3 {
			t.Errorf("%s was called %d times, want 3", resource, len(requests))
		}
		for _, r := range requests {
			if token, ok := w.AS.TokenInfo(r.Token()); !ok || len(token.Resources) != 1 || token.Resources[0] != resource {
				t.Errorf("%s was sent a token for %v", resource, token.Resources)
			}
		}
	}
}

func TestSEC_24_AnAPIWithABadCertificateGetsNoToken(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-24", "OA-13")
	past := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	for name, certificate := range map[string]pki.Certificate{
		"other name":        authority.Issue(t, "other.example.test"),
		"self-signed":       pki.SelfSigned(t, "127.0.0.1"),
		"unknown authority": pki.New(t).Issue(t, "127.0.0.1"),
		"expired":           authority.Issue(t, "127.0.0.1", past),
		"for clients only":  authority.Issue(t, "127.0.0.1", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
	} {
		t.Run(name, func(t *testing.T) {
			secure := rs.Start(t, rs.Options{Certificate: &certificate})
			w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) {
				s.Routes[0].Upstream = v1alpha1.Upstream{URL: secure.URL, CABundle: authority.PEM()}
			}))
			w.Login()
			w.WantProblem(w.Call("GET", "/api/x"), http.StatusBadGateway)
			if len(secure.Requests()) != 0 {
				t.Error("it was sent a request")
			}
		})
	}
	t.Run("good", func(t *testing.T) {
		certificate := authority.Issue(t, "127.0.0.1")
		secure := rs.Start(t, rs.Options{Certificate: &certificate})
		w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) {
			s.Routes[0].Upstream = v1alpha1.Upstream{URL: secure.URL, CABundle: authority.PEM()}
		}))
		w.Login()
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			t.Error(r)
		}
	})
}

func TestSEC_24_AProviderWithABadCertificateGetsNothing(t *testing.T) {
	t.Parallel()
	covers(t, "OA-13", "DISC-02")
	stranger := pki.New(t)
	w := newWorld(t, secureProvider(), policyOf(func(_ *world, s *v1alpha1.BFFPolicySpec) { s.Provider.CABundle = stranger.PEM() }))
	w.WantNoLogin(w.LoginAt(w.UA, ""))
	if n := len(w.AS.Requests(as.Discovery)); n != 0 {
		t.Error("discovery was read over a connection nobody vouches for")
	}
	good := newWorld(t, secureProvider())
	good.WantLogin(good.LoginAt(good.UA, ""))
}

func TestSEC_17_21_SenderConstrainedTokensAndAsymmetricAuthenticationAreThere(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-17", "SEC-21", "BFF-38", "TMB-4", "TMB-8")
	key := newClientKey(t)
	w := newWorld(t, key.option(), policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.DPoP = v1alpha1.DPoPRequired }), api(rs.Echo))
	w.Login()
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Fatal(r)
	}
	token, ok := w.AS.TokenInfo(w.RS.Last().Token())
	if !ok || token.Thumbprint == "" || !strings.EqualFold(w.RS.Last().Scheme(), "DPoP") {
		t.Errorf("the API was sent a token that is bound to %q, with scheme %s", token.Thumbprint, w.RS.Last().Scheme())
	}
}
