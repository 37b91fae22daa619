//go:build conformance

package conformance

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/oidcprovider"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/proof"
)

// agreement is one way to work with the provider.
type agreement struct {
	name    string
	client  oidcprovider.Client
	options []option
	// check is told of the provider's counts once the session is over.
	check func(w *world, g *guard, counts map[string]int)
}

// only says that all calls of an endpoint were authenticated in one way.
func only(path, way string) func(*world, *guard, map[string]int) {
	return func(w *world, _ *guard, counts map[string]int) {
		w.Helper()
		for what, n := range counts {
			if strings.HasPrefix(what, path+" with ") && what != path+" with "+way {
				w.Errorf("%d times %s, want only %s", n, what, way)
			}
		}
		if counts[path+" with "+way] == 0 {
			w.Errorf("never %s with %s: %v", path, way, counts)
		}
	}
}

func agreements(t *testing.T) []agreement {
	t.Helper()
	noPush := policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.PushedAuthorizationRequests = v1alpha1.PushDisabled })
	method := func(name string) oidcprovider.Client {
		return registered(name, map[string]any{"token_endpoint_auth_method": name})
	}
	key, certificate, own := newClientKey(t), authority.Issue(t, "shop"), pki.SelfSigned(t, "shop")
	keyed := func(id string, changes map[string]any) oidcprovider.Client {
		c := registered(id, map[string]any{
			"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
			"jwks": map[string]any{"keys": []jose.JSONWebKey{key.public}},
		})
		delete(c, "client_secret")
		for name, value := range changes {
			c[name] = value
		}
		return c
	}
	shown := func(id, method string, changes map[string]any) oidcprovider.Client {
		c := registered(id, changes)
		c["token_endpoint_auth_method"] = method
		delete(c, "client_secret")
		return c
	}
	signed := policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.RequestObject = v1alpha1.RequestObjectSigned })
	objects := map[string]any{"require_signed_request_object": true, "request_object_signing_alg": "ES256"}
	return []agreement{
		{"client_secret_basic", method("client_secret_basic"), nil, only("/token", "header")},
		{"client_secret_post", method("client_secret_post"), []option{noPush}, only("/token", "client_secret")},
		{"client_secret_jwt", method("client_secret_jwt"), nil, only("/token", "client_assertion")},
		{"private_key_jwt", keyed("private_key_jwt", nil), []option{key.option()}, only("/token", "client_assertion")},
		{"private_key_jwt for the token endpoint", keyed("old_private_key_jwt", nil), []option{key.option(), policy(func(s *v1alpha1.BFFPolicySpec) {
			s.Provider.ClientAuthentication.AssertionAudience = v1alpha1.AudienceTokenEndpoint
		})}, only("/token", "client_assertion")},
		{"tls_client_auth", shown("tls_client_auth", "tls_client_auth", map[string]any{"tls_client_auth_subject_dn": certificate.Leaf.Subject.String()}),
			[]option{clientCertificate(v1alpha1.TLSClientAuth, certificate)}, only("/token", "certificate")},
		{"self_signed_tls_client_auth", shown("self_signed", "self_signed_tls_client_auth", map[string]any{
			"jwks": map[string]any{"keys": []jose.JSONWebKey{{Key: own.Leaf.PublicKey, KeyID: "own", Use: "sig", Certificates: chainOf(own)}}},
			"tls_client_certificate_bound_access_tokens": true,
		}), []option{clientCertificate(v1alpha1.SelfSignedTLSClientAuth, own)}, certificateBound},
		{"PAR required", registered("par", map[string]any{"require_pushed_authorization_requests": true}),
			[]option{policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.PushedAuthorizationRequests = v1alpha1.PushRequired })}, pushed},
		{"DPoP required, with nonces", registered("dpop", map[string]any{"dpop_bound_access_tokens": true}),
			[]option{policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.DPoP = v1alpha1.DPoPRequired })}, proofBound},
		{"request object", keyed("jar", objects), []option{key.option(), signed, noPush}, requestObject},
		{"request object, pushed", keyed("pushed_jar", objects), []option{key.option(), signed}, func(w *world, g *guard, counts map[string]int) {
			requestObject(w, g, counts)
			pushed(w, g, counts)
		}},
		{"form_post", registered("form_post", nil),
			[]option{noPush, policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ResponseMode = v1alpha1.ResponseModeFormPost })}, nil},
		{"UserInfo", registered("userinfo", nil),
			[]option{policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.UserInfo = v1alpha1.Enabled })}, userInfo},
	}
}

func TestInteropWithOIDCProvider(t *testing.T) {
	t.Parallel()
	all := agreements(t)
	var clients []oidcprovider.Client
	for _, a := range all {
		clients = append(clients, a.client)
	}
	p := oidcprovider.Start(t, oidcprovider.Options{Clients: clients, AccessTokenTTL: 2 * time.Second, Authority: authority, DPoPNonces: true})
	g := &guard{provider: p}
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			measured(t, "interop: "+a.name)
			w := newWorld(t, append(a.options, agreed(g, a.client), hintInForm())...)
			lifeAt(w, p, a.client.ID())
			if a.check != nil {
				a.check(w, g, p.Counts(t, a.client.ID()))
			}
		})
	}
}

// lifeAt is the life of a session: login, call, refresh, logout at the provider,
// and then the provider asks who the user is.
func lifeAt(w *world, p *oidcprovider.Server, client string) {
	w.Helper()
	w.Login()
	if s := w.Session(); s.Claims["sub"] != "user" {
		w.Errorf("logged in with %v", s.Claims)
	}
	w.Eventually("two refreshes", func() bool {
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			w.Fatalf("%s", r)
		}
		return p.Refreshes(w, client) >= 2
	})
	to := w.Logout()
	if to != "/bff/logout/continue" {
		w.Errorf("the logout goes on at %s", to)
	}
	if end := w.UA.Navigate(w.Shop(to)); end.URL.String() != shopURL+"/" || end.Status != http.StatusOK {
		w.Errorf("the logout has ended with %s at %s", end, end.URL)
	}
	counts := p.Counts(w, client)
	if counts["logout cross-site POST with the session cookie"] != 1 {
		w.Errorf("the provider's session cookie was not with the form: %v", counts)
	}
	w.Eventually("the revocation", func() bool { return p.Counts(w, client)["POST "+oidcprovider.RevokePath+" 200"] > 0 })
	w.Login()
	if n := p.Counts(w, client)["prompt login"]; n != 2 {
		w.Errorf("the provider has asked %d times who the user is, want 2", n)
	}
}

func pushed(w *world, _ *guard, counts map[string]int) {
	w.Helper()
	if n := counts["POST "+oidcprovider.PushPath+" 201"]; n != 2 {
		w.Errorf("%d authorization requests were pushed, want those of both logins", n)
	}
}

func requestObject(w *world, _ *guard, counts map[string]int) {
	w.Helper()
	if counts["request object"] < 2 {
		w.Errorf("%d requests had a request object, want those of both logins", counts["request object"])
	}
}

func userInfo(w *world, _ *guard, counts map[string]int) {
	w.Helper()
	if n := counts["GET /me 200"]; n != 2 {
		w.Errorf("UserInfo was asked %d times, want at both logins: %v", n, counts)
	}
	if email := w.Session().Claims["email"]; email != "user@example.com" {
		w.Errorf("the email is %v", email)
	}
}

func certificateBound(w *world, g *guard, counts map[string]int) {
	w.Helper()
	only("/token", "certificate")(w, g, counts)
	if token, err := g.look(w.RS.Last().Token()); err != nil || token.Confirms.Thumbprint == "" {
		w.Errorf("the access token is not bound to the certificate: %+v, %v", token, err)
	}
}

func proofBound(w *world, g *guard, counts map[string]int) {
	w.Helper()
	only("/token", "header and DPoP")(w, g, counts)
	if counts["POST /token authorization_code 400"]+counts["POST "+oidcprovider.PushPath+" 400"] == 0 {
		w.Errorf("the provider never had to ask for its nonce: %v", counts)
	}
	if n := counts["POST /token refresh_token 400"]; n != 0 {
		w.Errorf("%d refreshes were without the nonce in force", n)
	}
	var seen proof.Checker
	for _, r := range w.RS.Requests() {
		shown, err := seen.Check(proof.Request{Header: r.Header, Method: r.Method, URL: w.RS.URL + r.Target, AccessToken: r.Token(), Now: r.Time})
		token, unknown := g.look(r.Token())
		if err != nil || unknown != nil || r.Scheme() != "DPoP" || token.Confirms.JKT != shown.Thumbprint {
			w.Fatalf("%s token of key %q, proof of key %q: %v, %v", r.Scheme(), token.Confirms.JKT, shown.Thumbprint, err, unknown)
		}
	}
}

// A user who logs out at the provider is logged out here, whichever replica the
// provider tells of it.
func TestInteropBackChannelLogoutEndsTheSessionOnAllReplicas(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-01", "BCL-12", "BCL-15")
	measured(t, "interop: back-channel logout to another replica")
	c := registered("shop", nil)
	p := oidcprovider.Start(t, oidcprovider.Options{Clients: []oidcprovider.Client{c}, Authority: authority})
	g := &guard{provider: p}
	w := newWorld(t, agreed(g, c), replicas(2))
	p.BackChannel(t, c.ID(), "http://"+w.Replicas[1].Traffic+"/bff/backchannel-logout")
	w.Login()
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Fatal(r)
	}
	query := url.Values{"client_id": {c.ID()}, "post_logout_redirect_uri": {shopURL + "/"}}
	if end := w.UA.Navigate(p.Issuer + "/session/end?" + query.Encode()); end.URL.String() != shopURL+"/" {
		t.Errorf("the logout has ended with %s at %s", end, end.URL)
	}
	if counts := p.Counts(t, c.ID()); counts["backchannel success"] != 1 || counts["backchannel error"] != 0 {
		t.Errorf("%v\n%s", counts, p.Output())
	}
	cookie := w.Cookie()
	for replica := range w.Replicas { // the first has the session in memory
		w.Target(replica)
		w.Eventually("the session is over everywhere", func() bool { return w.Call("GET", "/api/x").Status == http.StatusUnauthorized })
		r := w.UA.Fetch(withCookie(w.CallOf("GET", "/api/x"), cookie))
		if told := w.WantProblem(r, http.StatusUnauthorized, "session_ended"); !strings.Contains(told.Detail, "identity provider has ended") {
			t.Errorf("it says %q", told.Detail)
		}
	}
	w.Login()
}

// A route's access token is good for its own API alone.
func TestInteropTokensAreNarrowedToResources(t *testing.T) {
	t.Parallel()
	covers(t, "RES-03", "RES-04", "RES-05")
	measured(t, "interop: tokens narrowed to resources")
	const orders, stock = "https://orders.example.test", "https://stock.example.test"
	c := registered("shop", nil)
	p := oidcprovider.Start(t, oidcprovider.Options{Clients: []oidcprovider.Client{c}, AccessTokenTTL: 3 * time.Second, Authority: authority})
	g := &guard{provider: p}
	w := newWorld(t, agreed(g, c), policyOf(func(w *world, s *v1alpha1.BFFPolicySpec) {
		s.Provider.Resources, s.Provider.Scopes = []string{orders, stock}, []string{"openid", "offline_access", "orders"}
		for _, resource := range s.Provider.Resources {
			name := strings.TrimSuffix(hostOf(resource), ".example.test")
			s.Routes = append(s.Routes, v1alpha1.Route{Name: name, Path: "/api/" + name, Upstream: v1alpha1.Upstream{URL: w.RS.URL},
				Token: v1alpha1.RouteToken{Resource: resource}})
		}
	}))
	w.Login()
	seen := map[string]string{}
	w.Eventually("both tokens were renewed", func() bool {
		for path, resource := range map[string]string{"/api/orders/1": orders, "/api/stock/1": stock} {
			if r := w.Call("GET", path); r.Status != http.StatusOK {
				t.Fatal(r)
			}
			token := w.RS.Last().Token()
			known, err := g.look(token)
			if err != nil || known.Audience != resource || !strings.Contains(known.Scope, "orders") {
				t.Fatalf("%s got a token for %q with the scopes %q, %v", path, known.Audience, known.Scope, err)
			}
			if other, ok := seen[token]; ok && other != resource {
				t.Fatalf("one token for %s and %s", other, resource)
			}
			seen[token] = resource
		}
		return len(seen) >= 6
	})
	if failed := p.Counts(t, c.ID())["POST /token refresh_token 400"]; failed != 0 {
		t.Errorf("%d refreshes were refused", failed)
	}
}

// The form that takes the ID token to the provider is a cross-site POST from a
// document with an opaque origin. A browser sends cookies with it that are
// SameSite=None, and no others: what that means with a provider whose cookies
// are Lax is measured here.
func TestInteropLogoutAtTheProviderInARealBrowser(t *testing.T) {
	t.Parallel()
	for sameSite, cookie := range map[string]string{"none": "with", "lax": "without"} {
		t.Run("SameSite="+sameSite, func(t *testing.T) {
			covers(t, "RPL-01", "RPL-02", "RPL-04")
			row := measured(t, "interop: logout in Chromium, the provider's cookie SameSite="+sameSite)
			c := registered("shop", nil)
			p := oidcprovider.Start(t, oidcprovider.Options{Clients: []oidcprovider.Client{c}, Authority: authority, SessionCookieSameSite: sameSite})
			g := &guard{provider: p}
			w, b := withChromium(t, agreed(g, c), hintInForm())
			p.BackChannel(t, c.ID(), "http://"+w.Replicas[0].Traffic+"/bff/backchannel-logout")
			b.Login()
			b.Script(`fetch("/bff/logout", {method: "POST", headers: {"X-CSRF": "1"}}).then(r => r.json()).then(l => { setTimeout(() => location.assign(l.logoutURL)); return l.logoutURL })`)
			w.Eventually("the logout at the provider has ended", func() bool {
				return p.Counts(t, c.ID())["POST /session/end/confirm 303"] == 1 && b.Location() == shopURL+"/"
			})
			if s := b.Session(); !strings.Contains(s, `"authenticated":false`) {
				t.Errorf("%s", s)
			}
			counts := p.Counts(t, c.ID())
			if counts["logout cross-site POST "+cookie+" the session cookie"] != 1 {
				t.Errorf("want the form %s the provider's session cookie: %v", cookie, counts)
			}
			b.Login()
			row.note("the form came %s the cookie, %d logout tokens were sent, and the next login asked for the user %d times in all",
				cookie, counts["backchannel success"], p.Counts(t, c.ID())["prompt login"])
			if n := p.Counts(t, c.ID())["prompt login"]; n != 2 {
				t.Errorf("the provider has asked %d times who the user is, want 2", n)
			}
		})
	}
}

func chainOf(c pki.Certificate) []*x509.Certificate { return []*x509.Certificate{c.Leaf} }
