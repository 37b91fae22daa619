//go:build conformance

package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

func TestCOOK_07_08_ALoginWithAClickOnAnotherSiteEndsLoggedIn(t *testing.T) {
	t.Parallel()
	covers(t, "COOK-07", "COOK-08", "COOK-01", "COOK-02", "COOK-03", "COOK-04", "FM-02", "FM-05")
	for name, mode := range map[string]v1alpha1.ResponseMode{"query": v1alpha1.ResponseModeQuery, "form_post": v1alpha1.ResponseModeFormPost} {
		t.Run(name, func(t *testing.T) {
			// Every page needs a session, so a landing without the cookie would go back to
			// the provider for ever.
			w, b := withChromium(t, secureProvider(), behaviour(func(b *as.Behaviour) { b.Click = true }), policy(func(s *v1alpha1.BFFPolicySpec) {
				s.Provider.ResponseMode, s.Application.RequireLogin = mode, true
			}))
			b.Open(shopURL + "/deep/page?a=1")
			b.WaitFor(w.AS.Issuer)
			b.Do("log in at the provider", chromedp.Click(chromedp.CSS("#login")))
			b.WaitFor(shopURL + "/deep/page?a=1")
			if s := b.Session(); !strings.Contains(s, `"authenticated":true`) {
				t.Errorf("%s", s)
			}
			if n := len(w.AS.Requests(as.Authorize)); n != 1 {
				t.Errorf("%d authorization requests, want one", n)
			}
			b.Do("reload", chromedp.Reload())
			b.WaitFor(shopURL + "/deep/page?a=1")
			if n := len(w.AS.Requests(as.Authorize)); n != 1 {
				t.Errorf("after a reload %d authorization requests, want one", n)
			}
			landed := slices.ContainsFunc(w.App.Requests(), func(r *rs.Request) bool {
				return r.Target == "/deep/page?a=1" && r.Header.Get("Sec-Fetch-Dest") == "document"
			})
			if !landed {
				t.Error("the application has not seen the navigation")
			}
		})
	}
}

func TestCOOK_08_TheLandingCarriesTheStrictCookie(t *testing.T) {
	t.Parallel()
	covers(t, "COOK-07", "COOK-08")
	for name, mode := range map[string]v1alpha1.ResponseMode{"query": v1alpha1.ResponseModeQuery, "form_post": v1alpha1.ResponseModeFormPost} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, behaviour(func(b *as.Behaviour) { b.Click = true }), policy(func(s *v1alpha1.BFFPolicySpec) {
				s.Provider.ResponseMode, s.Application.RequireLogin = mode, true
			}))
			page := w.UA.Navigate(w.Shop("/deep/page"))
			action, fields, ok := ua.FormOf(page)
			if !ok {
				t.Fatalf("no login page: %s", page)
			}
			r := w.UA.Go(ua.Navigation{URL: action.String(), Form: fields, From: page.URL.String()})
			if r.Status != http.StatusOK || r.URL.Path != "/deep/page" || len(w.AS.Requests(as.Authorize)) != 1 {
				t.Errorf("%s at %s, after %d authorization requests", r, r.URL, len(w.AS.Requests(as.Authorize)))
			}
		})
	}
}

func TestCOOK_09_ALinkFromAnEMailDoesNotLogOut(t *testing.T) {
	t.Parallel()
	covers(t, "COOK-09")
	w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Application.RequireLogin = true }))
	w.Login()
	cookie := w.Cookie()
	before := len(w.AS.Requests(as.Authorize))
	r := w.UA.Go(ua.Navigation{URL: w.Shop("/deep/page"), From: attackerURL + "/mail"})
	if r.Status != http.StatusOK || r.URL.Path != "/deep/page" || w.Cookie() != cookie || !w.Session().Authenticated {
		t.Errorf("%s at %s; the cookie has changed: %t", r, r.URL, w.Cookie() != cookie)
	}
	if n := len(w.AS.Requests(as.Authorize)); n != before {
		t.Errorf("a login was started: %d authorization requests", n-before)
	}
}

func TestCOOK_11_NoCookieIsTooLargeForABrowser(t *testing.T) {
	t.Parallel()
	covers(t, "COOK-11")
	big := map[string]any{"name": strings.Repeat("n", 2000)}
	for i := range 200 {
		big[fmt.Sprintf("group_%d", i)] = strings.Repeat("g", 100)
	}
	w := newWorld(t, behaviour(func(b *as.Behaviour) { b.User = as.User{Subject: "alice", Claims: big} }))
	for i := range 10 {
		w.UA.Go(ua.Navigation{URL: w.Shop("/bff/login?returnTo=/" + strings.Repeat("p", 100*i)), From: w.Shop("/"), Stay: true})
	}
	w.WantLogin(w.LoginAt(w.UA, ""))
	if refused := w.UA.Jar.Refused(); len(refused) > 0 {
		t.Errorf("a browser refuses %v", refused)
	}
	size := 0
	for _, c := range w.UA.Jar.All() {
		if c.Host == hostOf(shopURL) {
			size += len(c.Name) + len(c.Value) + 3
		}
	}
	if size > 8<<10 {
		t.Errorf("the Cookie header has %d bytes", size)
	}
}

func TestCOOK_12_13_CookiesEndAndAreDeletedWithTheirAttributes(t *testing.T) {
	t.Parallel()
	covers(t, "COOK-12", "COOK-13")
	w := newWorld(t, hintInForm()) // in the form for the provider
	w.Login()
	w.UA.Go(ua.Navigation{URL: w.Shop(w.Logout()), From: w.Shop("/")})
	for _, c := range w.UA.Jar.All() {
		if c.Host == hostOf(shopURL) && c.Name != chainCookie { // which lives for seconds
			t.Errorf("after the logout the browser still has %s", c.Name)
		}
	}
	for _, line := range w.UA.SetCookies() {
		c, err := http.ParseSetCookie(line.Line)
		if err != nil || c.MaxAge > 24*60*60 {
			t.Errorf("%s: %s", line.Path, line.Line)
		}
		if c.Name == cookieName && c.MaxAge > 0 {
			t.Errorf("the session cookie outlives the browser: %s", line.Line)
		}
	}
}

func TestCOOK_14_SecurityDoesNotDependOnARequestHeader(t *testing.T) {
	t.Parallel()
	covers(t, "COOK-14")
	w := newWorld(t)
	answer := w.UA.Raw(shopURL, "GET /bff/login HTTP/1.1\r\nHost: localhost:8080\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: localhost\r\nForwarded: proto=http\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nConnection: close\r\n\r\n")
	for line := range strings.SplitSeq(answer, "\r\n") {
		if strings.HasPrefix(line, "Set-Cookie:") && !(strings.Contains(line, "; Secure") && strings.Contains(line, "__Host-Http-")) {
			t.Error(line)
		}
	}
	// The same on a laptop, where there is no TLS: the browser is trusted to treat
	// localhost as it should, and no attribute is left out.
	local := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.PublicURL = "http://localhost:18099" }), mayViolate())
	r := local.UA.Go(ua.Navigation{URL: local.Shop("/bff/login"), Stay: true})
	for _, c := range r.Cookies() {
		if !c.Secure || !c.HttpOnly || !strings.HasPrefix(c.Name, "__Host-Http-") {
			t.Errorf("on localhost: %s", c)
		}
	}
}
