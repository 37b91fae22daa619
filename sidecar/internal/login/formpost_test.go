package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

// answerTo is what a provider sends back for an authorization request, in the
// way it was asked to.
func answerTo(t *testing.T, server *providertest.Server, authorization *url.URL) url.Values {
	t.Helper()
	target, answer, err := server.SignIn(authorization.String())
	if err != nil || target != publicURL+"/bff/callback" {
		t.Fatalf("the provider sends the browser to %q, %v", target, err)
	}
	return answer
}

var formPost = setup{responseMode: v1alpha1.ResponseModeFormPost}

// OAuth 2.0 Form Post Response Mode, SEC-27: the page of the provider posts the
// answer from another site, and the browser goes on by GET.
func TestFormPost(t *testing.T) {
	w, server := scripted(t, formPost)
	b := w.browser()
	authorization := b.begin("/orders")
	if got := authorization.Query().Get("response_mode"); got != "form_post" {
		t.Errorf("response_mode %q", got)
	}
	answer := b.post("/bff/callback", crossSite, answerTo(t, server, authorization))
	if target := bounceOf(t, answer); target != "/orders" || answer.Header.Get("Location") != "" {
		t.Errorf("the browser goes on to %q, %q", target, answer.Header.Get("Location"))
	}
	if !b.session().Authenticated || b.transactions() != 0 {
		t.Errorf("not logged in, or the transaction is still there: %v", b.cookies)
	}
}

func TestFormPostRefuses(t *testing.T) {
	navigation := func(contentType string) http.Header {
		return http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {crossSite}, "Content-Type": {contentType}}
	}
	const urlencoded = "application/x-www-form-urlencoded"
	for name, row := range map[string]struct {
		header http.Header
		edit   func(url.Values)
		query  string // in place of the body
		reason flow.Reason
	}{
		"OA-03 two codes":    {navigation(urlencoded), func(q url.Values) { q.Add("code", "x") }, "", flow.ReasonParameters},
		"ISS-02 another":     {navigation(urlencoded), func(q url.Values) { q.Set("iss", "https://evil.example") }, "", flow.ReasonISSMismatch},
		"another type":       {navigation("application/json"), func(url.Values) {}, "", flow.ReasonParameters},
		"no type":            {navigation(""), func(url.Values) {}, "", flow.ReasonParameters},
		"too large":          {navigation(urlencoded), func(q url.Values) { q.Set("x", strings.Repeat("x", 64<<10)) }, "", flow.ReasonParameters},
		"in the query":       {navigation(urlencoded), func(q url.Values) { clear(q) }, "all", flow.ReasonStateMissing},
		"FM-05 into a frame": {http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Content-Type": {urlencoded}}, func(url.Values) {}, "", flow.ReasonNotNavigation},
		"by script, no-cors": {http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"empty"}, "Content-Type": {urlencoded}}, func(url.Values) {}, "", flow.ReasonNotNavigation},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, formPost)
			b := w.browser()
			form := answerTo(t, server, b.begin("/"))
			target := "/bff/callback"
			if row.query != "" {
				target += "?" + form.Encode()
			}
			row.edit(form)
			answer := b.send(http.MethodPost, target, crossSite, row.header, form.Encode())
			if answer.StatusCode != http.StatusBadRequest || b.sessionCookie() != "" || len(server.Requests()) != 0 {
				t.Errorf("%s, session cookie %q, %d token requests", answer.Status, b.sessionCookie(), len(server.Requests()))
			}
			w.wantFinished(flow.Callback, row.reason)
			w.wantNoSecrets()
		})
	}
}

// There is one way back: the other one is closed, and uses nothing up.
func TestResponseModesExcludeEachOther(t *testing.T) {
	for name, s := range map[string]setup{"query": {}, "form_post": formPost} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, s)
			b := w.browser()
			form := answerTo(t, server, b.begin("/"))
			byGet := func() *http.Response { return b.navigate("/bff/callback?"+form.Encode(), crossSite) }
			byPost := func() *http.Response { return b.post("/bff/callback", crossSite, form) }
			right, wrong, allow := byGet, byPost, "GET"
			if name == "form_post" {
				right, wrong, allow = byPost, byGet, "POST"
			}
			if answer := wrong(); answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != allow {
				t.Errorf("the wrong way: %s, Allow %q", answer.Status, answer.Header.Get("Allow"))
			}
			if answer := right(); answer.StatusCode != http.StatusOK {
				t.Errorf("the right way: %s", answer.Status)
			}
		})
	}
}
