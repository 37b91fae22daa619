package login_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/login"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

func allowing(parameters ...v1alpha1.LoginParameter) setup {
	return setup{login: v1alpha1.Login{AllowedParameters: parameters}}
}

// refusing is a provider that answers with an error.
func refusing(code string) providertest.Behaviour {
	return providertest.Behaviour{Redirect: func(q url.Values) {
		q.Del("code")
		q.Set("error", code)
		q.Set("error_description", "MARKER")
	}}
}

// asking is a provider that shows a page to the user.
func asking() providertest.Behaviour {
	return providertest.Behaviour{Serve: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/authorize" {
			return false
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><h1 id="asking">Who are you?</h1>`)
		return true
	}}
}

// beginWith starts a login with parameters and returns where the browser is
// sent.
func (b *browser) beginWith(parameters url.Values) *url.URL {
	b.w.t.Helper()
	answer := b.navigate("/bff/login?"+parameters.Encode(), sameOrigin)
	location, err := answer.Location()
	if answer.StatusCode != http.StatusSeeOther || err != nil {
		b.w.t.Fatalf("login answers %s: %s", answer.Status, bodyOf(answer))
	}
	return location
}

// OIDC-14: to a login without questions these errors are usual answers. The
// browser is back where it was, as it was.
func TestSilentLogin(t *testing.T) {
	silent := url.Values{"prompt": {"none"}, "returnTo": {"/orders"}}
	for code, reason := range map[string]flow.Reason{
		"login_required":             login.ReasonLoginRequired,
		"interaction_required":       flow.ReasonInteraction,
		"consent_required":           login.ReasonConsentRequired,
		"account_selection_required": login.ReasonAccountSelectionRequired,
	} {
		t.Run(code, func(t *testing.T) {
			w, server := scripted(t, allowing("prompt"))
			b := w.browser()
			server.Behave(refusing(code))
			if target := bounceOf(t, b.navigate(b.throughScripted(b.beginWith(silent)), crossSite)); target != "/orders" {
				t.Errorf("the browser goes on to %q", target)
			}
			w.wantFinished(flow.Callback, reason)
			if b.sessionCookie() != "" || b.transactions() != 0 || len(server.Requests()) != 0 {
				t.Errorf("cookies %v, %d token requests", b.cookies, len(server.Requests()))
			}
			w.wantNoSecrets()
		})
	}
	t.Run("with a session", func(t *testing.T) {
		w, server := scripted(t, allowing("prompt"))
		b := w.browser()
		b.logIn("/")
		before := b.sessionCookie()
		server.Behave(refusing("login_required"))
		bounceOf(t, b.navigate(b.throughScripted(b.beginWith(silent)), crossSite))
		if b.sessionCookie() != before || !b.session().Authenticated {
			t.Error("the session was touched")
		}
	})
	t.Run("logged in there", func(t *testing.T) {
		w, _ := scripted(t, allowing("prompt"))
		b := w.browser()
		authorization := b.beginWith(silent)
		if got := authorization.Query()["prompt"]; len(got) != 1 || got[0] != "none" {
			t.Errorf("prompt %q", got)
		}
		bounceOf(t, b.navigate(b.throughScripted(authorization), crossSite))
		if !b.session().Authenticated {
			t.Error("not logged in")
		}
	})
	// ISS-03: also an expected error has to come from the provider.
	t.Run("from somebody else", func(t *testing.T) {
		w, server := scripted(t, allowing("prompt"))
		b := w.browser()
		server.Behave(refusing("login_required"))
		callback := change(t, b.throughScripted(b.beginWith(silent)), func(q url.Values) { q.Set("iss", "https://evil.example") })
		if answer := b.navigate(callback, crossSite); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s", answer.Status)
		}
		w.wantFinished(flow.Callback, flow.ReasonISSMismatch)
	})
	// FM-05: not even a silent login runs in a frame.
	t.Run("in a frame", func(t *testing.T) {
		w, server := scripted(t, allowing("prompt"))
		b := w.browser()
		answer := b.do(http.MethodGet, "/bff/login?prompt=none", sameOrigin, http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}})
		if answer.StatusCode != http.StatusBadRequest || answer.Header.Get("X-Frame-Options") != "DENY" || server.Count("/authorize") != 0 {
			t.Errorf("%s %v", answer.Status, answer.Header)
		}
	})
}

// What the policy allows is passed on, once each, beside what is always there.
func TestParametersArePassedOn(t *testing.T) {
	w, _ := scripted(t, allowing("prompt", "login_hint", "acr_values", "max_age", "ui_locales"))
	b := w.browser()
	q := b.beginWith(url.Values{
		"prompt": {"login"}, "login_hint": {"alice@example.com"}, "acr_values": {"gold silver"}, "max_age": {"0"}, "ui_locales": {"de-CH en"},
		"scope": {"admin"}, "redirect_uri": {"https://evil.example"}, "state": {"x"}, "client_id": {"x"}, "response_type": {"token"}, "request": {"x"},
	}).Query()
	for name, want := range map[string]string{
		"prompt":     "login consent", // OIDC-15, for offline_access
		"login_hint": "alice@example.com", "acr_values": "gold silver", "max_age": "0", "ui_locales": "de-CH en",
		"client_id": providertest.ClientID, "response_type": "code", "redirect_uri": publicURL + "/bff/callback", "code_challenge_method": "S256",
	} {
		if got := q[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if scopes := q["scope"]; len(scopes) != 1 || !strings.HasPrefix(scopes[0], "openid ") || strings.Contains(scopes[0], "admin") {
		t.Errorf("scope %q", scopes)
	}
	if q.Has("request") || q.Has("response_mode") || len(q["state"]) != 1 || q.Get("state") == "x" { // OIDC-03
		t.Errorf("%v", q)
	}
}

// Whatever is refused, the answer names the parameter and not its value, and
// nothing was begun.
func TestParametersAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		query, parameter string
		reason           flow.Reason
		code             string
	}{
		"not allowed": {"ui_locales=MARKER", "ui_locales", flow.ReasonNotAllowed, "not_allowed_parameter"},
		"malformed":   {"max_age=MARKER", "max_age", login.ReasonParameter, "bad_request"},
		"twice":       {"prompt=login&prompt=MARKER", "prompt", login.ReasonParameter, "bad_request"},
		"unsupported": {"returnTo=/x&acr_values=MARKER", "acr_values", flow.ReasonUnsupported, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, allowing("prompt", "max_age", "acr_values"))
			server.Behave(providertest.Behaviour{Metadata: func(m map[string]any) { m["acr_values_supported"] = []string{"gold"} }})
			b := w.browser()
			answer := b.navigate("/bff/login?"+row.query, sameOrigin)
			if body := bodyOf(answer); answer.StatusCode != http.StatusBadRequest || !strings.Contains(body, "parameter "+row.parameter+" ") || len(b.cookies) != 0 {
				t.Errorf("%s %s, cookies %v", answer.Status, body, b.cookies)
			}
			w.wantFinished(flow.Login, row.reason)
			answer = b.do(http.MethodGet, "/bff/login?"+row.query, sameOrigin, http.Header{"Accept": {"*/*"}})
			if body := bodyOf(answer); !strings.Contains(body, `"`+row.code+`"`) || !strings.Contains(body, "parameter "+row.parameter+" ") {
				t.Errorf("%s %s", answer.Status, body)
			}
			w.wantNoSecrets()
		})
	}
}
