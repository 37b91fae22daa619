package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// The whole story of a login: RFC 10017 section 6.1.1, steps A to L, and its
// end.
func TestLoginCallRefreshLogout(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()

	if page := b.navigate("/", "none"); page.StatusCode != http.StatusOK || page.body != "<!doctype html>the page" {
		t.Fatalf("the page: %s %s", page.Status, page.body)
	}
	if s := b.fetch("GET", "/bff/session").json(t); s["authenticated"] != false {
		t.Fatalf("session before the login: %v", s)
	}
	b.expectProblem(b.fetch("GET", "/api/orders"), 401, "no_session")

	b.login()
	s := b.fetch("GET", "/bff/session").json(t)
	if s["authenticated"] != true || s["claims"].(map[string]any)["sub"] != "alice" {
		t.Fatalf("session after the login: %v", s)
	}

	// BFF-05: a token and no cookie.
	call := b.fetch("GET", "/api/orders?x=1")
	if call.StatusCode != http.StatusOK || call.body != `{"path":"/api/orders?x=1"}` {
		t.Fatalf("call: %s %s", call.Status, call.body)
	}
	seen := w.api.last(t)
	first := seen.Header.Get("Authorization")
	if !strings.HasPrefix(first, "Bearer ") || len(w.secrets.in(first)) != 1 || len(seen.Header["Cookie"]) > 0 {
		t.Errorf("the API saw %v", seen.Header)
	}
	if open := b.fetch("GET", "/open"); open.StatusCode != http.StatusOK || w.api.last(t).Header.Get("Authorization") != "" {
		t.Errorf("a route without a token: %s, %v", open.Status, w.api.last(t).Header)
	}

	// BFF-11: the access token expires, the call goes on with another.
	w.clock.advance(2 * time.Minute)
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Fatalf("call after the token's life: %s %s", call.Status, call.body)
	}
	if second := w.api.last(t).Header.Get("Authorization"); second == first || len(w.secrets.in(second)) != 1 {
		t.Error("the old access token was used after its life")
	}
	if n := w.provider.Count(idp.EventRefresh); n != 1 {
		t.Errorf("%d refreshes", n)
	}

	// BFF-10: logged out, the old cookie is dead.
	old := b.cookie()
	out := b.fetch("POST", "/bff/logout")
	if logoutURL, _ := out.json(t)["logoutURL"].(string); out.StatusCode != http.StatusOK || logoutURL != "/bff/logout/continue" {
		t.Errorf("logout: %s %s", out.Status, out.body)
	}
	// The rest of the logout is at the provider, and its hint stays out of URLs.
	if rest := b.navigate("/bff/logout/continue", "same-origin"); rest.StatusCode != http.StatusOK || !strings.Contains(rest.body, `action="`+w.issuer) ||
		!strings.Contains(rest.body, "id_token_hint") {
		t.Errorf("the rest of the logout: %s %s", rest.Status, rest.body)
	}
	if b.cookie() != "" {
		t.Error("the cookie stays")
	}
	thief := w.newBrowser()
	b.expectProblem(thief.fetch("GET", "/api/orders", "Cookie: "+session.CookieName+"="+old), 401, "session_ended")
	eventually(t, "refresh token and access token are revoked", func() bool { return w.provider.Count(idp.EventRevoke) == 2 })
}

// BFF-03, GAP-09: through all of that, and through what goes wrong, nobody sees
// what only the sidecar may know.
func TestNothingLeaks(t *testing.T) {
	w := start(t, setup{})
	w.secrets.add("client secret", clientSecret)
	b := w.newBrowser()
	b.login()
	b.fetch("GET", "/bff/session")
	b.fetch("GET", "/api/orders")
	w.clock.advance(2 * time.Minute)
	b.fetch("POST", "/api/orders")
	b.fetch("GET", "/api/../etc")
	b.fetch("DELETE", "/api/admin")
	b.navigate("/bff/callback?code=x&state=y", "cross-site")
	b.navigate("/bff/login?returnTo=//evil.example", "none")
	w.clock.advance(2 * time.Minute)
	w.replaceProvider(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
	b.expectProblem(b.fetch("GET", "/api/orders"), 503, "provider_unavailable")
	w.replaceProvider(nil)
	w.clock.advance(time.Minute)
	b.fetch("GET", "/api/orders")
	w.api.Close()
	b.expectProblem(b.fetch("GET", "/api/orders"), 502, "upstream_unreachable")
	b.navigate("/bff/logout", "none")
	b.fetch("POST", "/bff/logout")
	w.provider.LogOut("alice")

	_, metrics := w.adminGet("/metrics")
	_, status := w.adminGet("/status")
	if len(w.secrets.values) < 7 {
		t.Fatalf("only %d secrets to look for", len(w.secrets.values))
	}
	for where, text := range map[string]string{"the browser": b.seen.String(), "the log": w.log.String(), "the metrics": metrics, "the status": status} {
		if found := w.secrets.in(text); len(found) > 0 {
			t.Errorf("%s saw: %v", where, found)
		}
	}
	for _, identity := range []string{"alice", "Liddell"} {
		if strings.Contains(w.log.String()+metrics+status, identity) {
			t.Errorf("%q stands in log, metrics or status", identity) // BFF-36
		}
	}
}

// BFF-13: the provider ends the login; the next call says so.
func TestProviderEndsTheLogin(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	w.provider.LogOut("alice")
	w.clock.advance(2 * time.Minute)
	b.expectProblem(b.fetch("GET", "/api/orders"), 401, "session_ended")
	if b.cookie() != "" || len(w.api.requests()) > 0 {
		t.Error("the cookie stays, or the call went on")
	}
	b.expectProblem(b.fetch("GET", "/api/orders"), 401, "no_session")
	_, metrics := w.adminGet("/metrics")
	for _, line := range []string{`bff_sessions_ended_total{reason="refused"} 1`, `bff_token_refreshes_total{reason="grant_refused",result="failure"} 1`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no metric %s", line)
		}
	}
}

// A session that is not used ends; asking for it is no use.
func TestIdleSessionEnds(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	for range 3 {
		w.clock.advance(12 * time.Minute)
		b.fetch("GET", "/bff/session")
	}
	b.expectProblem(b.fetch("GET", "/api/orders"), 401, "session_ended")
}

func TestSessionInUseStays(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	for range 4 {
		w.clock.advance(20 * time.Minute)
		// A route without a token: the provider does not share this test's clock.
		if call := b.fetch("GET", "/open"); call.StatusCode != http.StatusOK {
			t.Fatalf("a session in use: %s %s", call.Status, call.body)
		}
	}
}

// The provider is away when the sidecar starts. What needs no login works, and
// logins work once it is there.
func TestStartsWithoutTheProvider(t *testing.T) {
	gone := func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) }
	w := start(t, setup{})
	w.replaceProvider(gone)
	must(t, w.end())
	w.run()

	b := w.newBrowser()
	if page := b.navigate("/", "none"); page.StatusCode != http.StatusOK {
		t.Errorf("the page: %s", page.Status)
	}
	if code, body := w.adminGet("/readyz?verbose"); code != http.StatusOK {
		t.Errorf("not ready: %s", body)
	}
	if login := b.navigate("/bff/login", "none"); login.StatusCode != http.StatusServiceUnavailable || login.Header.Get("Retry-After") == "" {
		t.Errorf("login: %s %s", login.Status, login.body)
	}
	w.replaceProvider(nil)
	eventually(t, "the login works", func() bool {
		w.clock.advance(time.Second) // past the pause after a failed discovery
		return b.navigate("/bff/login", "none").StatusCode == http.StatusSeeOther
	})
}

// The store is away. Nobody is logged out, and the page is served.
func TestStoreIsAway(t *testing.T) {
	w := start(t, setup{policy: func(text string) string {
		return strings.Replace(text, "{type: Memory}", `{type: Redis, redis: {address: "127.0.0.1:1"}}`, 1)
	}})
	b := w.newBrowser()
	cookie := "Cookie: " + session.CookieName + "=" + strings.Repeat("A", 43)
	answer := b.fetch("GET", "/api/orders", cookie)
	b.expectProblem(answer, 503, "store_unavailable")
	if answer.Header.Get("Retry-After") == "" || len(answer.Header["Set-Cookie"]) > 0 {
		t.Errorf("%v", answer.Header)
	}
	if page := b.navigate("/", "none"); page.StatusCode != http.StatusOK {
		t.Errorf("the page: %s", page.Status)
	}
	if code, _ := w.adminGet("/readyz"); code != http.StatusOK {
		t.Error("not ready since the store is away")
	}
	if _, status := w.adminGet("/status"); !strings.Contains(status, `"unavailable"`) {
		t.Errorf("status: %s", status)
	}
	if _, metrics := w.adminGet("/metrics"); !strings.Contains(metrics, `bff_store_errors_total{operation="load"} 1`) {
		t.Error("the failure is not counted")
	}
}

// GAP-04: somebody makes the browser start logins all the time. The session
// that is there stays, and so does the size of its headers.
func TestForcedLoginsHarmNobody(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	for range 40 {
		b.navigate("/bff/login?returnTo=/", "cross-site")
	}
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Errorf("the session is gone: %s %s", call.Status, call.body)
	}
	u, _ := url.Parse(publicURL)
	size := 0
	for _, c := range b.client.Jar.Cookies(u) {
		size += len(c.Name) + len(c.Value) + 3
	}
	if size > 8<<10 {
		t.Errorf("%d bytes of cookies", size)
	}
}

// GAP-03: a new login is a new cookie, and the old one is dead.
func TestLoginMakesANewCookie(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	first := b.cookie()
	b.login()
	if b.cookie() == first {
		t.Fatal("the same cookie")
	}
	other := w.newBrowser()
	b.expectProblem(other.fetch("GET", "/api/orders", "Cookie: "+session.CookieName+"="+first), 401, "session_ended")
}

// A code that somebody else's browser got is of no use to ours.
func TestCallbackNeedsItsOwnLogin(t *testing.T) {
	w := start(t, setup{})
	victim, attacker := w.newBrowser(), w.newBrowser()
	away := attacker.navigate("/bff/login", "none")
	back, err := idptest.SignIn(t.Context(), attacker.client, away.Header.Get("Location"), "bob", "bob-demo-pw")
	must(t, err)
	if landed := victim.navigate(back.String(), "cross-site"); landed.StatusCode == http.StatusOK || victim.cookie() != "" {
		t.Errorf("%s, cookie set: %t", landed.Status, victim.cookie() != "")
	}
}
