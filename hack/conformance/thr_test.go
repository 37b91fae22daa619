//go:build conformance

package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// dump is what hostile script in the application's origin can get hold of: every
// storage there is, and every answer it can read.
const dump = `(async () => {
	const found = [document.cookie, document.documentElement.outerHTML, JSON.stringify(localStorage), JSON.stringify(sessionStorage), location.href, document.referrer, window.name];
	for (const db of await indexedDB.databases()) found.push(JSON.stringify(db));
	if (self.caches) for (const name of await caches.keys()) found.push(name);
	if (self.cookieStore) found.push(JSON.stringify(await cookieStore.getAll()));
	for (const entry of performance.getEntries()) found.push(JSON.stringify(entry));
	const csrf = {headers: {"X-CSRF": "1"}};
	for (const path of ["/bff/session", "/bff/login", "/bff/callback", "/bff/events", "/bff/client.js", "/bff/token", "/bff/userinfo", "/api/x", "/open/x", "/", "/metrics", "/status"]) {
		for (const options of [csrf, {}, {method: "POST", ...csrf}]) {
			const stop = new AbortController();
			const timer = setTimeout(() => stop.abort(), 300);
			try {
				const r = await fetch(path, {...options, redirect: "manual", signal: stop.signal});
				found.push(path, JSON.stringify([...r.headers]), await r.text());
			} catch (e) { found.push(String(e)) }
			clearTimeout(timer);
		}
	}
	return found.join("\n");
})()`

func TestTHR_1_2_HostileScriptFindsNoToken(t *testing.T) {
	t.Parallel()
	covers(t, "THR-1", "THR-2", "BFF-03", "TMB-2")
	w, b := withChromium(t, behaviour(func(b *as.Behaviour) { b.AccessLifetime, b.RefreshIDToken = time.Second, true }))
	b.Login()
	for refreshes := 0; refreshes < 3; refreshes = len(w.AS.Grants("refresh_token")) {
		seen := b.Script(dump)
		if !strings.Contains(seen, `"authenticated":true`) || !strings.Contains(seen, `"target":"/api/x"`) {
			t.Fatalf("the script has not read what it should be able to read: %.500s", seen)
		}
		w.report("hostile script found", w.Leaks.InBrowser(seen))
		if cookie := b.Cookie(cookieName); cookie == "" || strings.Contains(seen, cookie) {
			t.Error("hostile script found the session cookie, or there is none")
		}
	}
}

func TestTHR_3_ACodeOfTheAttackersOwnFlowIsUseless(t *testing.T) {
	t.Parallel()
	covers(t, "THR-3", "SEC-07", "SEC-03")
	w := newWorld(t, mayViolate()) // it is the attacker who violates
	w.Login()
	cookie := w.Cookie()

	// Script in the page runs a silent flow of its own with the BFF's client_id and
	// reads the code.
	parameters := url.Values{"client_id": {clientID}, "redirect_uri": {callbackURL}, "response_type": {"code"}, "scope": {"openid offline_access"},
		"state": {"attacker-state-0123456789"}, "nonce": {"attacker-nonce-0123456789"}, "code_challenge_method": {"S256"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "prompt": {"none"}}
	code := w.AS.Code(parameters)

	for _, form := range []url.Values{
		{"client_id": {clientID}},
		{"client_id": {clientID}, "client_secret": {""}},
		{},
	} {
		form.Set("grant_type", "authorization_code")
		form.Set("code", code)
		form.Set("redirect_uri", callbackURL)
		form.Set("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
		r := w.UA.Fetch(ua.Call{Method: "POST", URL: w.AS.URL(as.Token), From: w.Shop("/"), Body: []byte(form.Encode()),
			Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
		if r.Status != http.StatusUnauthorized {
			t.Errorf("the token endpoint gave the attacker %s", r)
		}
	}

	// The code fed to the callback in the victim's session: with a state of the
	// attacker's making, and with one of a login the attacker has started there.
	before := len(w.AS.Requests(as.Token))
	for _, state := range []string{"attacker-state-0123456789", ""} {
		query := url.Values{"code": {code}, "state": {state}, "iss": {w.AS.Issuer}}
		r := w.UA.Go(ua.Navigation{URL: callbackURL + "?" + query.Encode(), From: w.Shop("/")})
		if r.Status < 400 {
			t.Errorf("state %q: %s", state, r)
		}
	}
	if n := len(w.AS.Requests(as.Token)); n != before {
		t.Error("the code was taken to the token endpoint, with a state that is none of ours")
	}
	login := w.UA.Go(ua.Navigation{URL: w.Shop("/bff/login"), From: w.Shop("/"), Stay: true})
	state := stateOf(w, login)
	r := w.UA.Go(ua.Navigation{URL: callbackURL + "?" + url.Values{"code": {code}, "state": {state}, "iss": {w.AS.Issuer}}.Encode(), From: w.Shop("/")})
	if r.Status < 400 {
		t.Errorf("a code of another flow: %s", r)
	}
	if w.Cookie() != cookie || !w.Session().Authenticated {
		t.Error("the victim's session has suffered")
	}
}

// stateOf is the state of the authorization request that a login's answer leads
// to, pushed or not.
func stateOf(w *world, login *ua.Response) string {
	w.Helper()
	if state := login.Location().Query().Get("state"); state != "" {
		return state
	}
	pushed := w.AS.Last(as.PAR)
	if pushed == nil {
		w.Fatalf("no authorization request: %s", login)
	}
	return pushed.Form.Get("state")
}

func TestTHR_4_ScriptGetsNoFurtherThanTheRoutes(t *testing.T) {
	t.Parallel()
	covers(t, "THR-4")
	w := newWorld(t)
	w.Login()
	w.RS.Forget()
	for _, path := range []string{"/api/readonly/x", "/admin", "/apis", "/bff/token", "/bff/../api", "/internal"} {
		w.Call("DELETE", path)
	}
	for _, got := range w.RS.Requests() {
		if !strings.HasPrefix(got.Target, "/api/") || strings.HasPrefix(got.Target, "/api/readonly") {
			t.Errorf("%s %s has reached the API", got.Method, got.Target)
		}
	}
}

func TestTHR_7_APlantedCookieIsWorthless(t *testing.T) {
	t.Parallel()
	covers(t, "THR-7", "GAP-03")
	w := newWorld(t)
	attacker := w.NewAgent()
	w.LoginAt(attacker, "") // a session of the attacker's own
	theirs := attacker.Jar.Value(cookieName)
	for name, planted := range map[string]string{
		"made up":        strings.Repeat("A", 43),
		"the attacker's": theirs,
	} {
		t.Run(name, func(t *testing.T) {
			w.UA.Jar.Clear()
			w.UA.Jar.Put(ua.Cookie{Name: cookieName, Value: planted, Host: hostOf(shopURL), HostOnly: true, Path: "/", Secure: true, HTTPOnly: true, SameSite: http.SameSiteStrictMode})
			w.Login()
			if w.Cookie() == planted {
				t.Error("the planted value was taken over")
			}
			call := w.CallOf("GET", "/bff/session")
			call.Header.Set("Cookie", cookieName+"="+planted)
			r := w.NewAgent().Fetch(call)
			var s session
			if err := json.Unmarshal([]byte(r.Body), &s); err != nil || s.Authenticated {
				t.Errorf("the planted cookie is worth a session: %s, %v", r, err)
			}
		})
	}
}
