package login_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/login"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// change edits the parameters of a callback.
func change(t *testing.T, callback string, edit func(url.Values)) string {
	t.Helper()
	u, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	edit(query)
	u.RawQuery = query.Encode()
	return u.String()
}

// Answers that must not log anybody in, and of which the provider must not hear.
func TestCallbackRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		edit   func(url.Values)
		reason flow.Reason
		keeps  bool // the transaction, which is not meant
	}{
		"no state":                {func(q url.Values) { q.Del("state") }, flow.ReasonStateMissing, true},
		"empty state":             {func(q url.Values) { q.Set("state", "") }, flow.ReasonStateMissing, true},
		"SEC-06 another state":    {func(q url.Values) { q.Set("state", strings.Repeat("A", 43)) }, flow.ReasonTransactionMissing, true},
		"state that is none":      {func(q url.Values) { q.Set("state", "x") }, flow.ReasonTransactionMissing, true},
		"OA-03 two states":        {func(q url.Values) { q.Add("state", q.Get("state")) }, flow.ReasonParameters, true},
		"OA-03 two codes":         {func(q url.Values) { q.Add("code", "x") }, flow.ReasonParameters, false},
		"OA-03 two issuers":       {func(q url.Values) { q.Add("iss", q.Get("iss")) }, flow.ReasonParameters, false},
		"code and error":          {func(q url.Values) { q.Set("error", "access_denied") }, flow.ReasonParameters, false},
		"SEC-11 token in the URL": {func(q url.Values) { q.Set("access_token", "x") }, flow.ReasonParameters, false},
		"no code":                 {func(q url.Values) { q.Del("code") }, flow.ReasonCodeMissing, false},
		"ISS-02 another issuer":   {func(q url.Values) { q.Set("iss", "https://evil.example") }, flow.ReasonISSMismatch, false},
		"ISS-05 no issuer":        {func(q url.Values) { q.Del("iss") }, flow.ReasonISSMissing, false},
		"ISS-03 error of another issuer": {func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("iss", "https://evil.example")
		}, flow.ReasonISSMismatch, false},
		"OA-16 denied": {func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("error_description", "<script>MARKER</script>")
		}, flow.ReasonAccessDenied, false},
		"login required, though it was not silent": {func(q url.Values) {
			q.Del("code")
			q.Set("error", "login_required")
			q.Set("error_description", "MARKER")
		}, login.ReasonLoginRequired, false},
		"STEP-05 unmet": {func(q url.Values) {
			q.Del("code")
			q.Set("error", "unmet_authentication_requirements")
		}, login.ReasonUnmetAuthentication, false},
		"an error nobody knows": {func(q url.Values) {
			q.Del("code")
			q.Set("error", "MARKER")
		}, flow.ReasonProviderError, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, setup{})
			b := w.browser()
			callback := change(t, b.throughScripted(b.begin("/orders")), row.edit)
			answer := b.navigate(callback, crossSite)
			if body := bodyOf(answer); answer.StatusCode != http.StatusBadRequest || !strings.Contains(body, `href="/bff/login`) {
				t.Errorf("%s %s", answer.Status, body)
			}
			w.wantFinished(flow.Callback, row.reason)
			if b.sessionCookie() != "" || len(server.Requests()) != 0 {
				t.Errorf("session cookie %q, %d token requests", b.sessionCookie(), len(server.Requests()))
			}
			if kept := b.transactions() == 1; kept != row.keeps {
				t.Errorf("the transaction's cookie is still there: %t", kept)
			}
			w.wantNoSecrets()
		})
	}
}

// SEC-03: a callback opened in another browser, which did not begin the login.
func TestCallbackInAnotherBrowser(t *testing.T) {
	w, server := scripted(t, setup{})
	attacker, victim := w.browser(), w.browser()
	callback := attacker.throughScripted(attacker.begin("/"))
	if answer := victim.navigate(callback, crossSite); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("%s", answer.Status)
	}
	w.wantFinished(flow.Callback, flow.ReasonTransactionMissing)
	// Nor with a pending login of its own, put under the name that is looked for.
	victim.begin("/")
	var own *http.Cookie
	for _, cookie := range victim.cookies {
		own = cookie
	}
	for name := range attacker.cookies {
		victim.cookies = map[string]*http.Cookie{name: {Name: name, Value: own.Value, SameSite: http.SameSiteLaxMode}}
	}
	if answer := victim.navigate(callback, crossSite); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("%s", answer.Status)
	}
	w.wantFinished(flow.Callback, flow.ReasonTransactionInvalid)
	if victim.sessionCookie() != "" || len(server.Requests()) != 0 {
		t.Error("the code was used")
	}
}

// SEC-07: a code of another transaction, with a state that is good.
func TestCodeInjection(t *testing.T) {
	w, _ := scripted(t, setup{})
	attacker, victim := w.browser(), w.browser()
	stolen, _ := url.Parse(attacker.throughScripted(attacker.begin("/")))
	callback := change(t, victim.throughScripted(victim.begin("/")), func(q url.Values) { q.Set("code", stolen.Query().Get("code")) })
	if answer := victim.navigate(callback, crossSite); answer.StatusCode != http.StatusBadRequest || victim.sessionCookie() != "" {
		t.Errorf("%s, cookie %q", answer.Status, victim.sessionCookie())
	}
	w.wantFinished(flow.Callback, "grant_refused")
}

func TestCallbackTooLate(t *testing.T) {
	w, server := scripted(t, setup{})
	b := w.browser()
	callback := b.throughScripted(b.begin("/orders"))
	w.advance(10 * time.Minute)
	answer := b.navigate(callback, crossSite)
	if body := bodyOf(answer); answer.StatusCode != http.StatusBadRequest || !strings.Contains(body, `href="/bff/login?returnTo=%2Forders"`) {
		t.Errorf("%s %s", answer.Status, body)
	}
	w.wantFinished(flow.Callback, flow.ReasonTransactionExpired)
	if len(server.Requests()) != 0 || b.transactions() != 0 {
		t.Error("the code was used, or the transaction is still there")
	}
}

// FM-05: a callback in a frame or by script uses nothing up.
func TestCallbackIsForNavigations(t *testing.T) {
	w, server := scripted(t, setup{})
	b := w.browser()
	callback := b.throughScripted(b.begin("/"))
	for _, header := range []http.Header{
		{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}},
		{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}},
		{"X-Csrf": {"1"}},
	} {
		if answer := b.do(http.MethodGet, callback, sameOrigin, header); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %s", header, answer.Status)
		}
	}
	if answer := b.do(http.MethodPost, callback, crossSite, http.Header{}); answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", answer.Status)
	}
	if len(server.Requests()) != 0 {
		t.Error("the code was used")
	}
	if answer := b.navigate(callback, crossSite); answer.StatusCode != http.StatusOK {
		t.Errorf("the login itself: %s", answer.Status)
	}
}

// What the provider does wrong ends in a page of ours that shows none of it, in
// no session, and in a reason for whoever looks for it.
func TestCallbackWithMisbehavingProvider(t *testing.T) {
	fail := func(status int, code string) providertest.Behaviour {
		return providertest.Behaviour{Serve: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/token" {
				return false
			}
			providertest.Fail(w, status, code)
			return true
		}}
	}
	for name, row := range map[string]struct {
		b      providertest.Behaviour
		status int
		reason flow.Reason
	}{
		"SEC-10 nonce":      {providertest.Behaviour{Claims: func(c map[string]any) { c["nonce"] = "MARKER" }}, 400, "nonce_mismatch"},
		"IDT-03 audience":   {providertest.Behaviour{Claims: func(c map[string]any) { c["aud"] = "MARKER" }}, 400, "id_token_audience_mismatch"},
		"OIDC-06 ID token":  {providertest.Behaviour{Response: func(r map[string]any) { delete(r, "id_token") }}, 400, "id_token_missing"},
		"OA-07 token type":  {providertest.Behaviour{Response: func(r map[string]any) { r["token_type"] = "MARKER" }}, 400, "token_type_unknown"},
		"grant refused":     {fail(400, "invalid_grant"), 400, "grant_refused"},
		"client refused":    {fail(401, "invalid_client"), 400, "client_refused"},
		"overloaded":        {fail(429, "slow_down"), 503, "provider_status"},
		"out of order":      {fail(500, "server_error"), 503, "provider_status"},
		"session too large": {providertest.Behaviour{Response: func(r map[string]any) { r["refresh_token"] = strings.Repeat("MARKER", 30000) }}, 500, flow.ReasonSessionTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, setup{})
			b := w.browser()
			callback := b.throughScripted(b.begin("/orders"))
			server.Behave(row.b)
			answer := b.navigate(callback, crossSite)
			body := bodyOf(answer)
			if answer.StatusCode != row.status || !strings.Contains(body, `href="/bff/login?returnTo=%2Forders"`) {
				t.Errorf("%s %s", answer.Status, body)
			}
			if (answer.Header.Get("Retry-After") != "") != (row.status == http.StatusServiceUnavailable) {
				t.Errorf("Retry-After %q", answer.Header.Get("Retry-After"))
			}
			w.wantFinished(flow.Callback, row.reason)
			if b.sessionCookie() != "" || b.transactions() != 0 {
				t.Errorf("cookies left: %v", b.cookies)
			}
			if discarded := w.discards() == 1; discarded != (row.reason == flow.ReasonSessionTooLarge) {
				t.Errorf("tokens that no session holds were discarded: %t", discarded)
			}
			if !strings.Contains(w.log.String(), string(row.reason)) {
				t.Error("the log does not say why")
			}
			w.wantNoSecrets()
		})
	}
}

// The store is away: nobody is logged in, and nothing that is there is lost.
func TestCallbackWithoutStore(t *testing.T) {
	w, _ := scripted(t, setup{})
	b := w.browser()
	b.logIn("/")
	cookie := b.sessionCookie()
	callback := b.throughScripted(b.begin("/"))
	w.outage.fail(fmt.Errorf("create session: %w", session.ErrUnavailable))
	if answer := b.navigate(callback, crossSite); answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("%s", answer.Status)
	}
	w.wantFinished(flow.Callback, flow.ReasonStoreUnavailable)
	w.outage.fail(nil)
	if w.discards() != 0 {
		t.Error("the grant was given up, and with it perhaps that of the session that is there")
	}
	if b.sessionCookie() != cookie || !b.session().Authenticated {
		t.Error("the session that was there is gone")
	}
}
