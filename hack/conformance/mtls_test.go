//go:build conformance

package conformance

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

// calledBy are the endpoints that a client calls itself.
var calledBy = []as.Endpoint{as.PAR, as.Token, as.UserInfo, as.Revocation}

// withUserInfo has UserInfo asked at every login.
func withUserInfo() option {
	return policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.UserInfo = v1alpha1.Enabled })
}

// secureAPI is an API with TLS that takes a token only with the certificate it
// is bound to (RFC 8705 section 3).
func secureAPI(t *testing.T) *rs.Server {
	t.Helper()
	certificate := authority.Issue(t, "127.0.0.1")
	return rs.Start(t, rs.Options{Certificate: &certificate})
}

// boundTo has the API behind a route be this one, and be shown the client's
// certificate or not.
func boundTo(server *rs.Server, shown v1alpha1.UpstreamCertificate) option {
	return policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Routes[0].Upstream = v1alpha1.Upstream{URL: server.URL, CABundle: authority.PEM(), ClientCertificate: shown}
	})
}

// demandsCertificate is how it answers.
func (w *world) demandsCertificate(r *rs.Request) rs.Reply {
	token, ok := w.AS.TokenInfo(r.Token())
	if !ok || token.CertificateThumbprint == "" || r.Certificate == nil || x5t(r.Certificate) != token.CertificateThumbprint {
		return refusal(`Bearer error="invalid_token", error_description="the token is bound to another certificate"`)
	}
	return rs.Echo(r)
}

// x5t is the x5t#S256 of a certificate.
func x5t(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestMTLS_01_02_04_TheClientShowsItsCertificateWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	covers(t, "MTLS-01", "MTLS-02", "MTLS-04")
	for _, test := range []struct {
		method      v1alpha1.ClientAuthenticationMethod
		certificate pki.Certificate
	}{
		{v1alpha1.TLSClientAuth, authority.Issue(t, "shop")}, {v1alpha1.SelfSignedTLSClientAuth, pki.SelfSigned(t, "shop")},
	} {
		t.Run(string(test.method), func(t *testing.T) {
			w := newWorld(t, secureProvider(), clientCertificate(test.method, test.certificate), withUserInfo())
			w.asserted()
			for _, at := range calledBy {
				requests := w.AS.Requests(at)
				if len(requests) == 0 {
					t.Errorf("%s was not called", at)
				}
				for _, r := range requests {
					if !r.Alias || r.Certificate == nil || !r.Certificate.Equal(test.certificate.Leaf) {
						t.Errorf("%s: at the alias %t, with the certificate %t", at, r.Alias, r.Certificate != nil)
					}
					if at != as.UserInfo && (r.Form.Get("client_id") != clientID || r.Header.Get("Authorization") != "" || r.Form.Has("client_secret") || r.Form.Has("client_assertion")) {
						t.Errorf("%s: client_id %q, or another method besides", at, r.Form.Get("client_id"))
					}
				}
			}
			for _, at := range []as.Endpoint{as.Discovery, as.JWKS, as.Authorize} {
				for _, r := range w.AS.Requests(at) {
					if r.Alias {
						t.Errorf("%s: at the listener of the aliases", at)
					}
				}
			}
		})
	}
}

func TestMTLS_02_WhatHasNoAliasIsCalledAsUsual(t *testing.T) {
	t.Parallel()
	covers(t, "MTLS-02")
	// AS* takes certificates at its aliases alone and so does not like the
	// revocation.
	w := newWorld(t, mayViolate(), secureProvider(), clientCertificate(v1alpha1.TLSClientAuth, authority.Issue(t, "shop")), withUserInfo(),
		behaviour(func(b *as.Behaviour) {
			b.Metadata = func(m map[string]any) { delete(m["mtls_endpoint_aliases"].(map[string]any), "revocation_endpoint") }
		}))
	w.asserted()
	for _, at := range calledBy {
		for _, r := range w.AS.Requests(at) {
			if r.Alias != (at != as.Revocation) {
				t.Errorf("%s: at the alias: %t", at, r.Alias)
			}
		}
	}
	// Who does not authenticate by certificate has nothing to do with them.
	other := newWorld(t, secureProvider(), withUserInfo())
	other.asserted()
	for _, at := range calledBy {
		for _, r := range other.AS.Requests(at) {
			if r.Alias || r.Certificate != nil {
				t.Errorf("with a secret, %s: at the alias %t", at, r.Alias)
			}
		}
	}
}

func TestMTLS_03_ABoundTokenGoesWithItsCertificate(t *testing.T) {
	t.Parallel()
	covers(t, "MTLS-03")
	for _, test := range []struct {
		method      v1alpha1.ClientAuthenticationMethod
		certificate pki.Certificate
	}{
		{v1alpha1.TLSClientAuth, authority.Issue(t, "shop")}, {v1alpha1.SelfSignedTLSClientAuth, pki.SelfSigned(t, "shop")},
	} {
		server := secureAPI(t)
		w := newWorld(t, secureProvider(), clientCertificate(test.method, test.certificate), boundTo(server, v1alpha1.UpstreamCertificateProvider))
		server.Answer(w.demandsCertificate)
		w.Login()
		for _, method := range []string{"GET", "POST"} {
			if r := w.Call(method, "/api/x"); r.Status != http.StatusOK {
				t.Errorf("%s: %s", test.method, r)
			}
		}
		if n := len(w.AS.Grants("refresh_token")); n != 0 {
			t.Errorf("%s: %d refreshes", test.method, n)
		}
	}
	// It is shown to nobody whom the policy does not name.
	server := secureAPI(t)
	w := newWorld(t, secureProvider(), clientCertificate(v1alpha1.TLSClientAuth, authority.Issue(t, "shop")), boundTo(server, ""))
	w.Login()
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK || server.Last().Certificate != nil {
		t.Errorf("%s; the certificate was shown: %t", r, server.Last().Certificate != nil)
	}
}

func TestMTLS_05_ARenewedCertificateCostsARefreshAndNoLogin(t *testing.T) {
	t.Parallel()
	covers(t, "MTLS-05", "MTLS-06")
	for _, test := range []struct {
		method        v1alpha1.ClientAuthenticationMethod
		before, after pki.Certificate
	}{
		{v1alpha1.TLSClientAuth, authority.Issue(t, "shop"), authority.Issue(t, "shop")},
		{v1alpha1.SelfSignedTLSClientAuth, pki.SelfSigned(t, "shop"), pki.SelfSigned(t, "shop")},
	} {
		t.Run(string(test.method), func(t *testing.T) {
			server := secureAPI(t)
			w := newWorld(t, secureProvider(), clientCertificate(test.method, test.before), boundTo(server, v1alpha1.UpstreamCertificateProvider))
			server.Answer(w.demandsCertificate)
			w.Login()
			cookie := w.Cookie()
			if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
				t.Fatal(r)
			}
			if test.method == v1alpha1.SelfSignedTLSClientAuth {
				w.AS.Register(func(c *as.Client) { c.Certificate = test.after.Leaf })
			}
			w.Mounts.Secret(t, "shop-tls/tls.crt", test.after.CertPEM)
			w.Mounts.Secret(t, "shop-tls/tls.key", test.after.KeyPEM)
			w.Eventually("the new certificate is shown to the API", func() bool {
				if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
					t.Fatalf("%s", r)
				}
				return server.Last().Certificate.Equal(test.after.Leaf)
			})
			refreshes := w.AS.Grants("refresh_token")
			if len(refreshes) != 1 || !refreshes[0].Certificate.Equal(test.after.Leaf) {
				t.Errorf("%d refreshes, want one, with the new certificate", len(refreshes))
			}
			if token, _ := w.AS.TokenInfo(server.Last().Token()); token.CertificateThumbprint != x5t(test.after.Leaf) {
				t.Error("the API was sent a token that is bound to the old certificate")
			}
			// No connection goes on under the old one.
			server.Forget()
			var calls sync.WaitGroup
			for range 20 {
				calls.Go(func() {
					if r, err := w.UA.TryFetch(w.CallOf("GET", "/api/x")); err != nil || r.Status != http.StatusOK {
						t.Errorf("%v, %v", r, err)
					}
				})
			}
			calls.Wait()
			if slices.ContainsFunc(server.Requests(), func(r *rs.Request) bool { return !r.Certificate.Equal(test.after.Leaf) }) {
				t.Error("a connection still shows the old certificate")
			}
			if w.Cookie() != cookie || len(w.AS.Requests(as.Authorize)) != 1 {
				t.Error("the user had to log in again")
			}
		})
	}
}

func TestMTLS_06_ConnectionsAreOfOneIdentity(t *testing.T) {
	t.Parallel()
	covers(t, "MTLS-06")
	server := secureAPI(t)
	w := newWorld(t, secureProvider(), clientCertificate(v1alpha1.TLSClientAuth, authority.Issue(t, "shop")), boundTo(server, v1alpha1.UpstreamCertificateProvider),
		policy(func(s *v1alpha1.BFFPolicySpec) {
			without := s.Routes[0].Upstream
			without.ClientCertificate = v1alpha1.UpstreamCertificateNone
			s.Routes = append(s.Routes[:1], v1alpha1.Route{Name: "nobody", Path: "/nobody", Upstream: without, Token: v1alpha1.RouteToken{Type: v1alpha1.TokenNone}})
		}))
	w.Login()
	for range 5 {
		for _, path := range []string{"/api/x", "/nobody/x"} {
			if r := w.Call("GET", path); r.Status != http.StatusOK {
				t.Errorf("%s: %s", path, r)
			}
		}
	}
	shown := map[string]bool{} // by connection
	for _, r := range server.Requests() {
		has := r.Certificate != nil
		if has != (r.Target == "/api/x") {
			t.Errorf("%s: with the certificate %t", r.Target, has)
		}
		if before, seen := shown[r.Peer]; seen && before != has {
			t.Errorf("connection %s is used by both", r.Peer)
		}
		shown[r.Peer] = has
	}
}
