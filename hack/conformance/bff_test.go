//go:build conformance

package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

func TestBFF_01_EveryCallToTheTokenEndpointIsAuthenticated(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-01")
	w := newWorld(t, behaviour(func(b *as.Behaviour) { b.AccessLifetime = time.Second }))
	w.Login()
	w.Eventually("the access token is renewed", func() bool {
		return w.Call("GET", "/api/x").Status == http.StatusOK && len(w.AS.Grants("refresh_token")) > 0
	})
	for _, r := range w.AS.Requests(as.Token) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") { // right or not, AS* has checked
			t.Errorf("%s without client authentication", r.Form.Get("grant_type"))
		}
	}
}

func TestBFF_01_WithoutACredentialItDoesNotStart(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-01")
	t.Run("secret not mounted", func(t *testing.T) {
		w := prepare(t)
		w.Mounts.Remove(t, "shop-oidc/client-secret")
		w.WantNoStart("client secret")
	})
	t.Run("secret empty", func(t *testing.T) {
		w := prepare(t, secret("shop-oidc/client-secret", "\n"))
		w.WantNoStart("client-secret")
	})
	t.Run("no reference", func(t *testing.T) {
		w := prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ClientAuthentication.SecretRef = nil }))
		w.WantNoStart("secretRef")
	})
	t.Run("method none", func(t *testing.T) {
		w := prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ClientAuthentication.Method = "none" }))
		w.WantNoStart("method")
	})
}

func TestBFF_02_OnlyTheAuthorizationCodeGrant(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-02", "BFF-15")
	w := newWorld(t, behaviour(func(b *as.Behaviour) { b.WithoutPAR, b.AccessLifetime = true, time.Second }))
	for range 3 {
		w.Login()
	}
	w.Eventually("a refresh", func() bool { w.Call("GET", "/api/x"); return len(w.AS.Grants("refresh_token")) > 0 })
	for _, r := range w.AS.Requests(as.Authorize) {
		if r.Param("response_type") != "code" {
			t.Errorf("response_type=%s", r.Param("response_type"))
		}
		if !slices.Contains(strings.Fields(r.Param("scope")), "openid") {
			t.Errorf("scope=%s", r.Param("scope"))
		}
	}
	for _, r := range w.AS.Requests(as.Token) {
		if grant := r.Form.Get("grant_type"); grant != "authorization_code" && grant != "refresh_token" {
			t.Errorf("grant_type=%s", grant)
		}
	}
}

func TestBFF_02_NoSettingChangesTheResponseType(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-02", "BFF-15")
	for name, change := range map[string]option{
		"responseType": policyText(func(text string) string {
			return strings.Replace(text, "  provider:\n", "  provider:\n    responseType: token\n", 1)
		}),
		"responseMode fragment": policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ResponseMode = "fragment" }),
		"scopes":                policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.Scopes = []string{"profile"} }),
	} {
		t.Run(name, func(t *testing.T) { prepare(t, change).WantNoStart(strings.Fields(name)[0]) })
	}
}

func TestBFF_03_NoTokenReachesTheBrowserOnAnyPath(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-03", "BFF-44", "THR-5", "THR-6", "GAP-09", "SEC-19", "OA-10", "TMB-2", "TMB-3")
	w := newWorld(t, behaviour(func(b *as.Behaviour) { b.AccessLifetime, b.RefreshIDToken = time.Second, true }), mayViolate())
	w.Login()
	w.Call("GET", "/api/x")
	w.Eventually("two refreshes", func() bool { w.Call("POST", "/api/x"); return len(w.AS.Grants("refresh_token")) > 1 })
	w.Session()

	// What goes wrong tells no more.
	w.AS.Fault(as.Token, 1, http.StatusInternalServerError)
	w.LoginAt(w.NewAgent(), "")
	w.AS.Drop(as.Token, 1)
	w.LoginAt(w.NewAgent(), "")
	w.AS.Change(func(b *as.Behaviour) {
		b.IDToken = func(_ string, claims, _ map[string]any) string { claims["iss"] = "https://other.test"; return "" }
	})
	w.LoginAt(w.NewAgent(), "")
	w.AS.Change(func(b *as.Behaviour) {
		b.IDToken = nil
		b.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{
			// An error that quotes what it was sent, as some do.
			as.Token: func(rw http.ResponseWriter, r *http.Request) bool {
				body := new(bytes.Buffer)
				_, _ = body.ReadFrom(r.Body)
				http.Error(rw, fmt.Sprintf(`{"error":"invalid_request","error_description":%q}`, body.String()+r.Header.Get("Authorization")), http.StatusBadRequest)
				return true
			},
		}
	})
	w.LoginAt(w.NewAgent(), "")
	time.Sleep(1100 * time.Millisecond) // the access token's life
	w.Call("GET", "/api/x")
	w.AS.Change(func(b *as.Behaviour) { b.Answer = nil })
	for _, path := range []string{"/metrics", "/status", "/readyz", "/debug/pprof/", "/bff/metrics", "/bff/token", "/bff/status", "/bff/callback?code=x&state=y", "/bff/nothing", "/api/../bff/session", "/open/x"} {
		w.UA.Navigate(w.Shop(path))
		w.Call("GET", path)
	}
	w.Logout()
	w.Call("GET", "/api/x")

	if n := w.Leaks.Len(); n < 20 {
		t.Fatalf("only %d secrets are known: the scan proves nothing", n)
	}
}

func TestBFF_04_EveryCallGetsTheSessionsToken(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-04", "BFF-16", "TMB-1", "OA-11")
	w := newWorld(t)
	w.WantProblem(w.Call("GET", "/api/x"), http.StatusUnauthorized, "no_session")
	w.WantUpstream(0)
	w.Login()
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		if r := w.Call(method, "/api/x?q=1"); r.Status != http.StatusOK {
			t.Errorf("%s: %s", method, r)
		}
	}
	w.WantUpstream(7)
	other := w.NewAgent()
	w.AS.Change(func(b *as.Behaviour) { b.User = as.User{Subject: "bob"} })
	w.LoginAt(other, "")
	w.RS.Forget()
	other.Fetch(w.CallOf("GET", "/api/x"))
	w.Call("GET", "/api/x")
	for i, subject := range []string{"bob", "alice"} {
		token, ok := w.AS.TokenInfo(w.RS.Requests()[i].Token())
		if !ok || token.Subject != subject {
			t.Errorf("call %d carries a token of %q, want %s", i, token.Subject, subject)
		}
	}
	// A page of the application needs none.
	if r := w.UA.Navigate(w.Shop("/deep/page")); !strings.Contains(r.Body, "the application") {
		t.Error(r)
	}
	if a := w.App.Last(); a.Header.Get("Authorization") != "" {
		t.Error("the application was sent a token")
	}
}

func TestBFF_07_TheSessionEndpointSaysWhoIsLoggedIn(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-07", "BFF-15", "BFF-45", "GAP-08")
	w := newWorld(t, behaviour(func(b *as.Behaviour) {
		b.User = as.User{Subject: "alice", Claims: map[string]any{
			"name": "Alice", "email": "alice@example.com", "groups": []string{"internal-group"}, "ssn": "078-05-1120", "phone_number": "+1", "address": map[string]any{"country": "XX"}}}
	}))
	r := w.UA.Fetch(w.CallOf("GET", "/bff/session"))
	if r.Status != http.StatusOK || !strings.Contains(r.Body, `"authenticated":false`) || len(r.Cookies()) != 0 {
		t.Errorf("without a session: %s, cookies %v", r, r.Cookies())
	}
	w.Login()
	before := w.Session()
	if !before.Authenticated || before.Claims["sub"] != "alice" || before.Claims["name"] != "Alice" {
		t.Errorf("%+v", before)
	}
	for _, hidden := range []string{"groups", "ssn", "phone_number", "address", "nonce", "at_hash", "marker", "iss", "aud"} {
		if before.Claims[hidden] != nil {
			t.Errorf("claim %s is shown, which nobody asked for", hidden)
		}
	}
	r = w.UA.Fetch(w.CallOf("GET", "/bff/session"))
	if !strings.Contains(r.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("Cache-Control: %s", r.Header.Get("Cache-Control"))
	}
	if len(w.AS.Grants("refresh_token"))+len(w.RS.Requests()) != 0 {
		t.Error("asking has had an effect elsewhere")
	}
}

func TestBFF_07_OtherClaimsAreAskedForByName(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-45")
	w := newWorld(t,
		policy(func(s *v1alpha1.BFFPolicySpec) { s.Session.Claims = []string{"sub", "department"} }),
		behaviour(func(b *as.Behaviour) {
			b.User = as.User{Subject: "alice", Claims: map[string]any{"department": "ships", "email": "alice@example.com"}}
		}))
	w.Login()
	if s := w.Session(); s.Claims["department"] != "ships" || s.Claims["email"] != nil {
		t.Errorf("%v", s.Claims)
	}
}

func TestBFF_08_09_LoginGoesByNavigation(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-08", "BFF-09")
	w := newWorld(t)
	r := w.Login()
	login, callback := r.Hop("/bff/login"), r.Hop("/bff/callback")
	if login.Status != http.StatusFound && login.Status != http.StatusSeeOther || !strings.HasPrefix(login.Header.Get("Location"), w.AS.URL(as.Authorize)) {
		t.Errorf("%s leads to %s", login, login.Header.Get("Location"))
	}
	for _, name := range []string{"code", "state"} {
		value := callback.URL.Query().Get(name)
		if value == "" || strings.Contains(callback.Body+fmt.Sprint(callback.Header), value) || strings.Contains(r.URL.String(), value) {
			t.Errorf("the %s %q is in the callback's answer, or was never there", name, value)
		}
	}
	if callback.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Error("the callback's address may go into a Referer")
	}
	exchange := w.AS.Grants("authorization_code")
	if len(exchange) != 1 || exchange[0].Form.Get("code_verifier") == "" || exchange[0].Header.Get("Authorization") == "" {
		t.Errorf("%d exchanges, the first with %v", len(exchange), exchange)
	}
	for _, path := range []string{"/bff/login", callback.URL.RequestURI()} {
		w.WantProblem(w.Call("GET", path), http.StatusBadRequest, "not_navigation")
	}
}

func TestBFF_36_LogsHoldNeitherBodiesNorClaims(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-36")
	w := newWorld(t, behaviour(func(b *as.Behaviour) {
		b.User = as.User{Subject: "alice", Claims: map[string]any{"name": "Alicia Private-Name", "email": "private@example.com"}}
	}), api(func(*rs.Request) rs.Reply {
		return rs.JSON(http.StatusOK, map[string]string{"answer": "private-answer"})
	}))
	w.Login()
	call := w.CallOf("POST", "/api/x?secret=private-query")
	call.Body, _ = json.Marshal(map[string]string{"a": "private-body"})
	call.Header.Set("X-Thing", "private-header")
	w.UA.Fetch(call)
	w.Session()
	w.Logout()
	for _, private := range []string{"Private-Name", "private@", "private-answer", "private-query", "private-body", "private-header"} {
		if strings.Contains(w.Logs(), private) {
			t.Errorf("the log holds %s", private)
		}
	}
}
