package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

// DPOP-07, DPOP-13, DPOP-15, DPOP-19, DPOP-20: a login whose token is bound to a
// key, which replicas share; provider and API have nonces of their own, and the
// browser sees nothing of it all.
func TestBoundTokensAcrossReplicas(t *testing.T) {
	redis := redistest.StartTCP(t, "--port")
	p := providertest.Start(t, providertest.Behaviour{DPoP: true, Nonce: "nonce-of-the-provider", Rotate: true,
		Response: func(response map[string]any) { response["expires_in"] = 20 }})
	var refused atomic.Int32
	api := func(w http.ResponseWriter, r *http.Request) {
		proof := strings.Split(r.Header.Get("DPoP"), ".")
		if !strings.HasPrefix(r.Header.Get("Authorization"), "DPoP "+providertest.MarkerAccess) || len(proof) != 3 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("DPoP-Nonce", "nonce-of-the-api")
		if !strings.Contains(decoded(proof[1]), `"nonce":"nonce-of-the-api"`) {
			refused.Add(1)
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}
	policy := func(text string) string {
		return strings.Replace(inRedis(redis.TCP, "")(text), "    clientID: shop\n", "    clientID: shop\n    dpop: Required\n", 1)
	}
	w := start(t, setup{instead: p, policy: policy, api: api})
	b := w.newBrowser()
	b.enter(p)
	other := b.at(w.replica())
	for range 2 {
		for _, at := range []*browser{b, other} {
			call := at.fetch("POST", "/api/orders")
			if call.StatusCode != http.StatusOK || call.Header.Get("DPoP-Nonce") != "" || call.Header.Get("WWW-Authenticate") != "" {
				t.Fatalf("%s %v %s", call.Status, call.Header, call.body)
			}
		}
	}
	w.clock.advance(30 * time.Second) // the clock of all replicas, and not the provider's
	for _, at := range []*browser{other, b} {
		if call := at.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
			t.Errorf("after a refresh: %s %s", call.Status, call.body)
		}
	}
	if n := refused.Load(); n != 2 {
		t.Errorf("%d calls came without the nonce, want one for each replica", n)
	}
}

// GAP-06: many calls on an expired token, at three replicas, against a provider
// that takes every refresh token once: one refresh, and every call succeeds.
func TestOneRefreshAcrossReplicas(t *testing.T) {
	redis := redistest.StartTCP(t, "--port")
	p := providertest.Start(t, providertest.Behaviour{Rotate: true})
	w := start(t, setup{instead: p, policy: inRedis(redis.TCP, "")})
	b := w.newBrowser()
	b.enter(p)
	at := []*browser{b, b.at(w.replica()), b.at(w.replica())}
	for round := range 3 {
		before := refreshes(p)
		w.clock.advance(70 * time.Second) // more than a token's life; three of them less than an ID token's
		var calls sync.WaitGroup
		for i := range 30 {
			calls.Go(func() {
				if call := at[i%len(at)].fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
					t.Errorf("round %d: %s %s", round, call.Status, call.body)
				}
			})
		}
		calls.Wait()
		if n := refreshes(p) - before; n != 1 {
			t.Errorf("round %d: %d refreshes", round, n)
		}
	}
}

func refreshes(p *providertest.Server) (n int) {
	for _, r := range p.Requests() {
		if r.Form.Get("grant_type") == "refresh_token" {
			n++
		}
	}
	return n
}

// RES-04, RES-07: each route gets a token of its own, by one grant.
func TestTokensByRoute(t *testing.T) {
	p := providertest.Start(t, providertest.Behaviour{Rotate: true})
	w := start(t, setup{instead: p, policy: func(text string) string {
		_, upstream, _ := strings.Cut(text, `path: /api, upstream: {url: "`)
		upstream, _, _ = strings.Cut(upstream, `"`)
		return strings.Replace(text, "routes:\n", fmt.Sprintf("routes:\n  - {name: narrow, path: /narrow, upstream: {url: %q}, token: {resource: \"https://api.example.com/\", scopes: [read]}}\n", upstream), 1)
	}})
	b := w.newBrowser()
	b.enter(p)
	tokens := map[string]string{}
	for range 2 {
		for _, path := range []string{"/api/a", "/narrow/a"} {
			if call := b.fetch("GET", path); call.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s %s", path, call.Status, call.body)
			}
			token := w.api.last(t).Header.Get("Authorization")
			if before, ok := tokens[path]; ok && before != token {
				t.Errorf("%s got another token for no reason", path)
			}
			tokens[path] = token
		}
	}
	if tokens["/api/a"] == tokens["/narrow/a"] {
		t.Error("both routes got one token")
	}
	requests := p.Requests()
	last := requests[len(requests)-1].Form
	if refreshes(p) != 1 || last.Get("resource") != "https://api.example.com/" || last.Get("scope") != "read" {
		t.Errorf("%d refreshes, the last with %v, %v", refreshes(p), last["resource"], last["scope"])
	}
}

// STEP-01, STEP-03, STEP-05: an API asks for a stronger login; the page is told
// where to go, and what came back is checked.
func TestStepUpStory(t *testing.T) {
	var weak atomic.Bool
	p := providertest.Start(t, providertest.Behaviour{Claims: func(claims map[string]any) {
		if weak.Load() {
			claims["acr"] = "bronze"
		}
	}})
	var taken atomic.Value
	taken.Store("")
	api := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != taken.Load() {
			w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", acr_values="gold silver", max_age=300`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}
	w := start(t, setup{instead: p, api: api, policy: func(text string) string {
		return strings.Replace(text, "  session: {", "  login: {allowedParameters: [acr_values, max_age]}\n  session: {", 1)
	}})
	b := w.newBrowser()
	b.enter(p)
	before := b.cookie()

	call := b.fetch("GET", "/api/orders")
	b.expectProblem(call, 401, "step_up_required")
	login, _ := call.json(t)["loginURL"].(string)
	if login != "/bff/login?acr_values=gold+silver&max_age=300" || b.cookie() != before {
		t.Fatalf("loginURL %q", login)
	}

	weak.Store(true) // the provider does not do what it was asked
	if landed := b.loginAt(p, login+"&returnTo=/orders"); landed.StatusCode < 400 {
		t.Errorf("a login of another class was taken: %s", landed.Status)
	}
	if b.cookie() != before || b.fetch("GET", "/bff/session").json(t)["authenticated"] != true {
		t.Error("the session before is gone")
	}

	weak.Store(false)
	if landed := b.loginAt(p, login+"&returnTo=/orders"); landed.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", landed.Status, landed.body)
	}
	b.fetch("GET", "/api/orders") // shows the API the new token
	taken.Store(w.api.last(t).Header.Get("Authorization"))
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK || b.cookie() == before {
		t.Errorf("%s %s", call.Status, call.body)
	}

	// STEP-07: an API that is never content does not send the user round and round.
	taken.Store("nobody's")
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusUnauthorized || strings.Contains(call.body, "step_up_required") {
		t.Errorf("%s %s", call.Status, call.body)
	}
}

// MTLS-03, MTLS-05, MTLS-06: an API is shown the client's own certificate, and
// the renewed one as soon as it is mounted.
func TestUpstreamSeesTheClientsCertificate(t *testing.T) {
	p := providertest.StartTLS(t, providertest.Behaviour{})
	var seen atomic.Value
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.TLS.PeerCertificates[0].SerialNumber.String())
		_, _ = io.WriteString(w, "{}")
	}))
	api.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	api.StartTLS()
	t.Cleanup(api.Close)

	bundle := func(pemText string) string { return fmt.Sprintf("%q", pemText) }
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}))
	first, firstKey, leaf := certificate(t, 1)
	p.RegisterCertificate(leaf)
	w := start(t, setup{instead: p, policy: func(text string) string {
		text = strings.Replace(text, "clientAuthentication: {method: client_secret_basic, secretRef: {name: shop-oidc, key: client-secret}}",
			"clientAuthentication: {method: self_signed_tls_client_auth, certificateRef: {name: shop-tls}}\n    caBundle: "+bundle(p.CABundle()), 1)
		return strings.Replace(text, "routes:\n", fmt.Sprintf("routes:\n  - {name: mtls, path: /mtls, upstream: {url: %q, caBundle: %s, clientCertificate: Provider}}\n",
			api.URL, bundle(authority)), 1)
	}, secrets: map[string]string{"shop-tls/tls.crt": first, "shop-tls/tls.key": firstKey}})
	w.secrets.add("private key", firstKey)
	b := w.newBrowser()
	b.enter(p)
	if call := b.fetch("GET", "/mtls/x"); call.StatusCode != http.StatusOK || seen.Load() != "1" {
		t.Fatalf("%s %s, certificate %v", call.Status, call.body, seen.Load())
	}

	renewed, renewedKey, leaf := certificate(t, 2)
	p.RegisterCertificate(leaf)
	w.writeSecret("shop-tls/tls.key", renewedKey)
	w.writeSecret("shop-tls/tls.crt", renewed)
	eventually(t, "the renewed certificate is shown", func() bool {
		call := b.fetch("GET", "/mtls/x")
		return call.StatusCode == http.StatusOK && seen.Load() == "2"
	})
	if found := w.secrets.in(w.log.String()); len(found) > 0 {
		t.Errorf("the log saw %v", found)
	}
}

// certificate makes one in PEM, with its private key.
func certificate(t *testing.T, serial int64) (chain, key string, leaf *x509.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	leaf, err = x509.ParseCertificate(der)
	must(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})), leaf
}
