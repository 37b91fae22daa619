package login_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/login"
)

// OIDC-16: another site sends the browser to log in, by GET or POST, and what it
// says of the user and the place to go counts. A browser that holds its cookies
// back comes again first.
func TestInitiatedLogin(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			w, server := scripted(t, setup{})
			b := w.browser()
			form := url.Values{"iss": {server.Issuer}, "login_hint": {"alice@example.com"}, "target_link_uri": {publicURL + "/orders?page=2"},
				"prompt": {"none"}, "acr_values": {"low"}, "scope": {"admin"}, "x": {"1", "2"}}
			var answer *http.Response
			if method == http.MethodPost {
				answer = b.post("/bff/login", crossSite, form)
			} else {
				answer = b.navigate("/bff/login?"+form.Encode(), crossSite)
			}
			answer = b.navigate(bounceOf(t, answer), sameOrigin)
			authorization, err := answer.Location()
			if answer.StatusCode != http.StatusSeeOther || err != nil {
				t.Fatalf("%s %s", answer.Status, bodyOf(answer))
			}
			if q := authorization.Query(); q.Get("login_hint") != "alice@example.com" || q.Get("prompt") == "none" || q.Has("acr_values") || q.Has("x") {
				t.Errorf("OIDC-18: the link has shaped the request: %v", q)
			}
			if target := bounceOf(t, b.navigate(b.throughScripted(authorization), crossSite)); target != "/orders?page=2" {
				t.Errorf("the browser goes on to %q", target)
			}
			if b.sessionCookie() == "" {
				t.Error("nobody was logged in")
			}
		})
	}
}

// GAP-04: who is logged in is not logged in again because another site wants it.
// The provider may have somebody else's session by now, whose login would take
// the place of the user's own in silence.
func TestAnotherSiteReplacesNoSession(t *testing.T) {
	w, server := scripted(t, setup{})
	b := w.browser()
	b.logIn("/")
	first := b.sessionCookie()
	for name, ask := range map[string]func() *http.Response{
		"a link to the login": func() *http.Response { return b.navigate("/bff/login?returnTo=/orders", crossSite) },
		"a third party's link": func() *http.Response {
			return b.navigate("/bff/login?"+url.Values{"iss": {server.Issuer}, "target_link_uri": {publicURL + "/orders"}}.Encode(), crossSite)
		},
		"a third party's form": func() *http.Response {
			return b.post("/bff/login", crossSite, url.Values{"iss": {server.Issuer}, "target_link_uri": {publicURL + "/orders"}})
		},
	} {
		answer := b.navigate(bounceOf(t, ask()), sameOrigin)
		if location := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || location != "/orders" {
			t.Errorf("%s leads to %s %q, want the application", name, answer.Status, location)
		}
		if b.sessionCookie() != first {
			t.Errorf("%s has replaced the session", name)
		}
	}
	// A sibling's page need not be held back: the browser shows it the session at
	// once, and it is another origin all the same (FM-03).
	if location := b.navigate("/bff/login?returnTo=/orders", sameSite).Header.Get("Location"); location != "/orders" || b.sessionCookie() != first {
		t.Errorf("a sibling's link leads to %q", location)
	}
	// Nor does a mistake in a link make it one of this site.
	refused := b.navigate("/bff/login?prompt=login&returnTo=/orders", crossSite)
	if again := linkOf(t, refused); b.navigate(again, sameOrigin).Header.Get("Location") != "/orders" || b.sessionCookie() != first {
		t.Errorf("who tries again at %q is logged in again", again)
	}
	// A page of this site may.
	if location := b.navigate("/bff/login?returnTo=/orders", sameOrigin).Header.Get("Location"); location == "/orders" {
		t.Error("a page of this site cannot log in again")
	}
}

func TestInitiatedLoginRefuses(t *testing.T) {
	w, server := scripted(t, allowing("prompt", "login_hint"))
	for name, row := range map[string]struct {
		form   url.Values
		reason flow.Reason
	}{
		"OIDC-16 unknown iss":   {url.Values{"iss": {"https://evil.example"}}, flow.ReasonIssuer},
		"OIDC-17 another site":  {url.Values{"iss": {server.Issuer}, "target_link_uri": {"https://evil.example/"}}, login.ReasonTargetLink},
		"OIDC-17 a path alone":  {url.Values{"iss": {server.Issuer}, "target_link_uri": {"//evil.example/"}}, login.ReasonTargetLink},
		"hint of several lines": {url.Values{"iss": {server.Issuer}, "login_hint": {"a\nMARKER"}}, login.ReasonParameter},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.browser()
			for method, answer := range map[string]*http.Response{
				"POST": b.post("/bff/login", crossSite, row.form),
				"GET":  b.navigate("/bff/login?"+row.form.Encode(), sameOrigin),
			} {
				if answer.StatusCode != http.StatusBadRequest || len(b.cookies) != 0 || answer.Header.Get("Location") != "" {
					t.Errorf("%s: %s, cookies %v", method, answer.Status, b.cookies)
				}
				w.wantFinished(flow.Login, row.reason)
			}
		})
	}
	// POST is for third parties alone.
	b := w.browser()
	if answer := b.post("/bff/login?iss="+url.QueryEscape(server.Issuer), crossSite, url.Values{"returnTo": {"/"}}); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("without iss: %s", answer.Status)
	}
	w.wantFinished(flow.Login, flow.ReasonIssuer)
	framed := http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	if answer := b.send(http.MethodPost, "/bff/login", crossSite, framed, "iss="+url.QueryEscape(server.Issuer)); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("OIDC-18: framed: %s", answer.Status)
	}
	w.wantFinished(flow.Login, flow.ReasonNotNavigation)
	if server.Count("/authorize") != 0 || len(b.cookies) != 0 {
		t.Errorf("%d authorization requests, cookies %v", server.Count("/authorize"), b.cookies)
	}
}
