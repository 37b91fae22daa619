//go:build conformance

package conformance

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

func TestOA_01_VerifiersAreFresh(t *testing.T) {
	t.Parallel()
	covers(t, "OA-01")
	w := newWorld(t)
	const logins = 200 // SEC-08 compares the challenges of a thousand
	seen := map[string]bool{}
	for range logins {
		w.UA.Jar.Clear() // one browser that logs in so often is stopped
		w.LoginAt(w.UA, "")
	}
	for _, r := range w.AS.Grants("authorization_code") {
		verifier := r.Form.Get("code_verifier")
		if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") != "" {
			t.Errorf("code_verifier %q", verifier)
		}
		seen[verifier] = true
	}
	if len(seen) != logins {
		t.Errorf("%d verifiers for %d logins", len(seen), logins)
	}
}

func TestOA_03_NoParameterStandsTwice(t *testing.T) {
	t.Parallel()
	covers(t, "OA-03")
	w := newWorld(t)
	for _, name := range []string{"code", "state", "iss"} {
		for _, other := range []string{"same", "other"} {
			a := w.NewAgent()
			callback := spoiled(w, callbackOf(w, a, ""), func(v url.Values) {
				second := v.Get(name)
				if other == "other" {
					second = "other"
				}
				v.Add(name, second)
			})
			if r := a.Go(ua.Navigation{URL: callback, From: w.AS.Issuer}); r.Status < 400 || a.Jar.Value(cookieName) != "" {
				t.Errorf("%s twice, the second %s: %s", name, other, r)
			}
		}
	}
	if n := len(w.AS.Requests(as.Token)); n != 0 {
		t.Errorf("%d token requests", n)
	}
	for _, name := range []string{"error", "error_description"} {
		a := w.NewAgent()
		callback := spoiled(w, callbackOf(w, a, ""), func(v url.Values) {
			v.Del("code")
			v["error"] = []string{"access_denied"}
			v.Add(name, "x")
			v.Add(name, "y")
		})
		if r := a.Go(ua.Navigation{URL: callback, From: w.AS.Issuer}); r.Status < 400 {
			t.Errorf("%s twice: %s", name, r)
		}
	}
}

func TestOA_03_PassedParametersCannotDuplicateOurs(t *testing.T) {
	t.Parallel()
	covers(t, "OA-03", "OIDC-18")
	w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Login.AllowedParameters = []v1alpha1.LoginParameter{"prompt", "login_hint", "acr_values", "max_age", "ui_locales"}
	}))
	const passed = "prompt=login&login_hint=alice%40example.com&acr_values=2&max_age=60&ui_locales=de"
	if r := w.LoginAt(w.UA, passed); r.Status != http.StatusOK {
		t.Fatalf("%s", r)
	}
	pushed := w.AS.Pushed(0)
	if pushed.Get("login_hint") != "alice@example.com" || pushed.Get("acr_values") != "2" || pushed.Get("prompt") == "" {
		t.Errorf("the request has %v", pushed)
	}
	for _, query := range []string{
		"client_id=evil", "redirect_uri=https://attacker.test/", "scope=openid+admin", "state=evil", "nonce=evil", "response_type=token", "response_mode=fragment",
		"code_challenge=evil", "code_challenge_method=plain", "request=evil", "request_uri=urn:evil", "resource=https://evil.test/", "claims=%7B%7D", "id_token_hint=evil",
		"login_hint=a&login_hint=b", "prompt=login&prompt=none", "login_hint=a%26scope%3Dadmin", "acr_values=1%26nonce%3Devil", "max_age=-1", "max_age=1.5", "max_age=999999999999999999999", "prompt=nonsense",
	} {
		w.LoginAt(w.NewAgent(), query) // refused or ignored; AS* refuses duplicates and unknown values
	}
	for i := range w.AS.Requests(as.PAR) {
		request := w.AS.Pushed(i)
		for name, values := range request {
			for _, value := range values {
				if name != "login_hint" && name != "acr_values" && strings.Contains(value, "evil") || strings.Contains(value, "attacker") || strings.Contains(value, "admin") && name != "login_hint" || len(values) > 1 && name != "resource" {
					t.Errorf("request %d has %s=%q", i, name, values)
				}
			}
		}
	}
}

func TestOA_04_UnknownParametersAreIgnored(t *testing.T) {
	t.Parallel()
	covers(t, "OA-04", "IDT-18")
	w := newWorld(t, behaviour(func(b *as.Behaviour) {
		b.AuthorizeResponse = func(response, _ url.Values) {
			response.Set("session_state", "x.y")
			response.Set("scope", "openid")
			response.Set("unknown", "<b>&")
		}
		b.TokenResponse = func(_ string, body map[string]any) {
			body["not-before-policy"], body["unknown"], body["session_state"] = 0, map[string]any{"a": []int{1}}, "x"
		}
		b.IDToken = func(_ string, claims, _ map[string]any) string {
			claims["unknown"] = map[string]any{"a": []any{1, nil, "x"}}
			return ""
		}
	}))
	w.WantLogin(w.LoginAt(w.UA, ""))
}

func TestOA_06_BasicAuthenticationIsFormEncoded(t *testing.T) {
	t.Parallel()
	covers(t, "OA-06", "OIDC-05", "CT-17")
	for name, test := range map[string]struct{ id, secret string }{
		"awkward secret":     {"shop", `MARKER-:+%&é =/?#@"'\` + "~"},
		"awkward identifier": {"https://shop.example.test/a b:c", "MARKER-plain-secret"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, client(func(c *as.Client) { c.ID, c.Secret = test.id, test.secret }))
			w.WantLogin(w.LoginAt(w.UA, ""))
			for _, r := range append(w.AS.Requests(as.Token), w.AS.Requests(as.PAR)...) {
				raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
				if want := url.QueryEscape(test.id) + ":" + url.QueryEscape(test.secret); err != nil || string(raw) != want {
					t.Errorf("%s: Basic %q, want %q", r.Endpoint, raw, want)
				}
				if r.Form.Has("client_secret") || r.Form.Has("client_assertion") || strings.Contains(r.URL.String(), "secret") {
					t.Errorf("%s: a second method: %v", r.Endpoint, r.Form)
				}
			}
		})
	}
	t.Run("in the body", func(t *testing.T) {
		w := newWorld(t, client(func(c *as.Client) { c.Method, c.Secret = "client_secret_post", `MARKER-:+%&é =/?#` }))
		w.WantLogin(w.LoginAt(w.UA, ""))
		for _, r := range w.AS.Requests(as.Token) {
			if r.Header.Get("Authorization") != "" || len(r.Query) > 0 {
				t.Errorf("a second method: %v %v", r.Header, r.Query)
			}
		}
	})
}

func TestOA_07_OnlyKnownTokenTypesAreUsed(t *testing.T) {
	t.Parallel()
	covers(t, "OA-07")
	for kind, works := range map[any]bool{"bearer": true, "BEARER": true, "Bearer": true, "mac": false, "": false, "N_A": false, "DPoP": false, "Bearer x": false, nil: false, 1: false} {
		w := newWorld(t, behaviour(func(b *as.Behaviour) {
			b.TokenResponse = func(_ string, body map[string]any) {
				body["token_type"] = kind
				if kind == nil {
					delete(body, "token_type")
				}
			}
		}))
		r := w.LoginAt(w.UA, "")
		if !works {
			w.WantNoLogin(r)
			continue
		}
		w.WantLogin(r)
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK || w.RS.Last().Scheme() != "Bearer" {
			t.Errorf("%v: %s, with scheme %q", kind, r, w.RS.Last().Scheme())
		}
	}
}

func TestOA_08_WithoutExpiresInTheTokenIsRenewedWhenItIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, "OA-08")
	w := newWorld(t, behaviour(func(b *as.Behaviour) {
		b.TokenResponse = func(_ string, body map[string]any) { delete(body, "expires_in"); delete(body, "scope") }
	}))
	w.Login()
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Fatal(r)
	}
	w.AS.ExpireAccessTokens()
	w.Eventually("the API answers again", func() bool { return w.Call("GET", "/api/x").Status == http.StatusOK })
	if n := len(w.AS.Grants("refresh_token")); n != 1 {
		t.Errorf("%d refreshes, want one", n)
	}
}

func TestOA_08_AnAPIThatRefusesEveryTokenMakesNoLoop(t *testing.T) {
	t.Parallel()
	covers(t, "OA-08")
	refuse := func(*rs.Request) rs.Reply {
		return rs.Reply{Status: http.StatusUnauthorized, Fields: rs.Fields("WWW-Authenticate", `Bearer error="invalid_token"`)}
	}
	w := newWorld(t, api(refuse))
	w.Login()
	for range 10 {
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusUnauthorized {
			t.Error(r)
		}
	}
	if n := len(w.AS.Grants("refresh_token")); n > 2 {
		t.Errorf("%d refreshes for ten refused calls", n)
	}
	if n := len(w.RS.Requests()); n > 20 {
		t.Errorf("%d calls for ten", n)
	}
	if !w.Session().Authenticated {
		t.Error("the session has ended")
	}
}

func TestOA_08_ANarrowerScopeIsTheAPIsBusiness(t *testing.T) {
	t.Parallel()
	covers(t, "OA-08")
	w := newWorld(t, behaviour(func(b *as.Behaviour) {
		b.TokenResponse = func(_ string, body map[string]any) { body["scope"] = "openid" }
	}), api(func(r *rs.Request) rs.Reply {
		return rs.Reply{Status: http.StatusForbidden, Fields: rs.Fields("WWW-Authenticate", `Bearer error="insufficient_scope", scope="orders"`)}
	}))
	w.WantLogin(w.LoginAt(w.UA, ""))
	for range 5 {
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusForbidden {
			t.Error(r)
		}
	}
	if n := len(w.AS.Grants("refresh_token")); n != 0 {
		t.Errorf("%d refreshes, which cannot help", n)
	}
	w.WantUpstream(5)
}

func TestOA_09_TheRefreshTokenInForceIsTheLastOneIssued(t *testing.T) {
	t.Parallel()
	covers(t, "OA-09")
	for name, rotation := range map[string]as.Rotation{"rotating": as.Rotate, "kept": as.Keep} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, behaviour(func(b *as.Behaviour) { b.AccessLifetime, b.Rotation = time.Second, rotation }))
			w.Login()
			for cycle := 1; cycle <= 3; cycle++ {
				time.Sleep(1100 * time.Millisecond) // the access token's life
				if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
					t.Fatalf("cycle %d: %s", cycle, r)
				}
			}
			for _, r := range w.AS.Grants("refresh_token") {
				if r.Header.Get("Authorization") == "" {
					t.Error("a refresh without client authentication")
				}
			}
			if n := len(w.AS.Grants("refresh_token")); n != 3 { // reuse would have been a violation
				t.Errorf("%d refreshes, want 3", n)
			}
		})
	}
}

func TestOA_16_AnErrorFromTheProviderIsShownAndNotFollowed(t *testing.T) {
	t.Parallel()
	covers(t, "OA-16", "OIDC-04")
	const evil = `<script>alert(1)</script><img src=x onerror=alert(1)>"'&`
	for _, code := range []string{"access_denied", "server_error", "temporarily_unavailable", "invalid_scope", "made_up", evil, ""} {
		w := newWorld(t, behaviour(func(b *as.Behaviour) {
			b.AuthorizeResponse = func(response, _ url.Values) {
				response.Del("code")
				response.Set("error", code)
				response.Set("error_description", evil)
				response.Set("error_uri", "https://attacker.test/")
			}
		}))
		r := w.LoginAt(w.UA, "")
		w.WantNoLogin(r)
		if strings.Contains(r.Body, "<script>alert") || strings.Contains(r.Body, "onerror=alert(1)>") || strings.Contains(r.Body, "attacker.test") {
			t.Errorf("%q: the page shows what the provider said as it stands:\n%s", code, r.Body)
		}
		if n := len(w.AS.Requests(as.Authorize)); n != 1 {
			t.Errorf("%q: %d authorization requests, want one", code, n)
		}
		for _, c := range w.UA.Jar.All() {
			if strings.HasPrefix(c.Name, transactions) {
				t.Errorf("%q: the transaction is still open", code)
			}
		}
	}
}

func TestOA_15_MetadataOfAnotherIssuerIsNotUsed(t *testing.T) {
	t.Parallel()
	covers(t, "OA-15", "DISC-01", "CT-29")
	for name, change := range map[string]func(issuer string) any{
		"another":      func(string) any { return "https://other.test" },
		"with a slash": func(issuer string) any { return issuer + "/" },
		"in capitals":  func(issuer string) any { return strings.ToUpper(issuer) },
		"missing":      func(string) any { return nil },
		"a list":       func(issuer string) any { return []string{issuer} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, behaviour(func(b *as.Behaviour) {
				b.Metadata = func(m map[string]any) { m["issuer"] = change(m["issuer"].(string)) }
			}))
			w.WantNoLogin(w.LoginAt(w.UA, ""))
			if n := len(w.AS.Requests(as.Authorize)) + len(w.AS.Requests(as.PAR)); n != 0 {
				t.Errorf("%d authorization requests", n)
			}
		})
	}
}
