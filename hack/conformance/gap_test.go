//go:build conformance

package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

func TestGAP_01_AWebSocketNeedsOurOrigin(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-01", "BFF-29")
	w := newWorld(t, api(rs.WebSocketEcho))
	w.Login()
	for _, page := range []string{attackerURL + "/", siblingURL + "/", "null", "-", "http://shop.example.test/", "https://shop.example.test:8443/", "https://shop.example.test.attacker.test/"} {
		if s := w.UA.WebSocket(w.Shop("/api/socket"), page); s.Status != http.StatusForbidden && s.Status != http.StatusUnauthorized {
			t.Errorf("from %s: %d %s", page, s.Status, s.Body)
		}
	}
	w.WantUpstream(0)
	s := w.UA.WebSocket(w.Shop("/api/socket"), w.Shop("/"))
	if s.Status != http.StatusSwitchingProtocols {
		t.Fatalf("our own page: %d %s", s.Status, s.Body)
	}
	if _, err := io.WriteString(s, "ping"); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 4)
	if _, err := io.ReadFull(s.In, echo); err != nil || string(echo) != "ping" {
		t.Errorf("%q, %v", echo, err)
	}
	// An event stream has no Origin either: the browser has to vouch for it.
	w.RS.Answer(w.protected)
	w.RS.Forget()
	for _, site := range []string{"same-site", "cross-site", "none", ""} {
		header := http.Header{"Accept": {"text/event-stream"}, "Sec-Fetch-Site": {site}}
		if r := w.UA.Fetch(ua.Call{URL: w.Shop("/api/stream"), Header: header}); r.Status < 400 {
			t.Errorf("event stream, Sec-Fetch-Site %q: %s", site, r)
		}
	}
	w.WantUpstream(0)
}

func TestGAP_02_AScriptWithoutASessionIsToldSo(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-02", "PROB-01", "PROB-02")
	w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Application.RequireLogin = true }))
	for _, path := range []string{"/api/x", "/open/x", "/api/readonly/x"} {
		p := w.WantProblem(w.Call("GET", path), http.StatusUnauthorized, "no_session")
		if !strings.HasPrefix(p.LoginURL, "/bff/login") {
			t.Errorf("%s: loginURL is %q", path, p.LoginURL)
		}
	}
	if r := w.UA.Fetch(ua.Call{URL: w.Shop("/page"), Header: http.Header{"Accept": {"application/json"}}}); r.Status != http.StatusUnauthorized {
		t.Errorf("a script asks for a page: %s", r)
	}
	r := w.UA.Go(ua.Navigation{URL: w.Shop("/page?a=1"), Stay: true})
	if r.Status != http.StatusFound && r.Status != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/bff/login?returnTo=") && !strings.HasPrefix(r.Header.Get("Location"), w.Shop("/bff/login")) {
		t.Errorf("a person asks for a page: %s, to %s", r, r.Header.Get("Location"))
	}
	if r := w.UA.Navigate(w.Shop("/page?a=1")); r.URL.RequestURI() != "/page?a=1" || !strings.Contains(r.Body, "the application") {
		t.Errorf("and is brought to %s: %s", r.URL, r)
	}
	w.WantUpstream(0)
}

func TestGAP_03_ALoginMakesANewSessionAndEndsTheOld(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-03")
	w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Login.AllowedParameters = []v1alpha1.LoginParameter{"acr_values", "max_age"}
	}))
	w.Login()
	for name, query := range map[string]string{"login": "", "step-up": "acr_values=2&max_age=0"} {
		old := w.Cookie()
		if r := w.LoginAt(w.UA, query); r.Status != http.StatusOK {
			t.Fatalf("%s: %s", name, r)
		}
		if w.Cookie() == old {
			t.Errorf("%s: the cookie is the same", name)
		}
		call := w.CallOf("GET", "/api/x")
		call.Header.Set("Cookie", cookieName+"="+old)
		w.WantProblem(w.NewAgent().Fetch(call), http.StatusUnauthorized)
	}
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Error(r)
	}
}

func TestGAP_04_StartingLoginsForSomebodyIsHarmless(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-04", "COOK-11")
	w := newWorld(t)
	w.Login()
	w.AS.Change(func(b *as.Behaviour) { b.Click = true }) // the provider asks: nothing is finished in silence
	cookie := w.Cookie()
	for i := range 1000 {
		w.UA.Go(ua.Navigation{URL: w.Shop(fmt.Sprintf("/bff/login?returnTo=/page/%d", i)), From: attackerURL + "/"})
	}
	pending, size := 0, 0
	for _, c := range w.UA.Jar.All() {
		if strings.HasPrefix(c.Name, transactions) {
			pending++
		}
		if c.Host == hostOf(shopURL) {
			size += len(c.Name) + len(c.Value) + 3
		}
	}
	if pending > 8 || size > 8<<10 {
		t.Errorf("%d logins are pending, and the Cookie header has %d bytes", pending, size)
	}
	if w.Cookie() != cookie || w.Call("GET", "/api/x").Status != http.StatusOK {
		t.Error("the session has suffered")
	}
	w.AS.Change(func(b *as.Behaviour) { b.Click = false })
	if r := w.LoginAt(w.UA, ""); r.Status != http.StatusOK || w.Cookie() == cookie {
		t.Errorf("the user cannot log in any more: %s", r)
	}
}

func TestGAP_04_AnotherSiteReplacesNoSessionInSilence(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-04")
	w := newWorld(t) // AS* has its user logged in and asks nothing
	w.Login()
	cookie := w.Cookie()
	w.AS.Change(func(b *as.Behaviour) { b.User = as.User{Subject: "mallory"} }) // logged in there by the attacker
	for _, query := range []string{"", "?returnTo=/x"} {
		w.UA.Go(ua.Navigation{URL: w.Shop("/bff/login" + query), From: attackerURL + "/"})
		if s := w.Session(); w.Cookie() != cookie || s.Claims["sub"] != "alice" {
			t.Fatalf("a link of another site has replaced the session by one of %v", s.Claims["sub"])
		}
	}
}

func TestGAP_04_05_AnAttackersPageNeitherEndsNorReplacesASession(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-04", "GAP-05", "COOK-09")
	w, b := withChromium(t)
	b.Login()
	cookie := b.Cookie(cookieName)
	for i, target := range []string{"/bff/login", "/bff/login?returnTo=/x", "/bff/logout", "/bff/logout?sid=guess", "/bff/callback?code=x&state=y", "/bff/callback?error=access_denied"} {
		page := fmt.Sprintf("%s/%d", attackerURL, i)
		b.Page(page, `<!doctype html><title>attacker</title><iframe src="`+shopURL+target+`"></iframe><img src="`+shopURL+target+`">`)
		b.Open(page)
		if strings.HasPrefix(target, "/bff/login") {
			continue // as a navigation it is a login, which the user sees: see below
		}
		b.Script(`(location.assign("` + shopURL + target + `"), "")`)
		b.WaitFor(shopURL)
	}
	b.Page(attackerURL+"/post", `<!doctype html><title>attacker</title><form method="post" action="`+shopURL+`/bff/logout"></form>`)
	b.Open(attackerURL + "/post")
	b.Script(`(document.forms[0].submit(), "")`)
	b.WaitFor(shopURL)
	if b.Cookie(cookieName) != cookie {
		t.Error("the session cookie was replaced or deleted")
	}
	// A deep link from an e-mail comes without the Strict cookie, and the user is
	// still logged in.
	b.Open(attackerURL + "/post")
	b.Script(`(location.assign("` + shopURL + `/deep/page"), "")`)
	b.WaitFor(shopURL + "/deep/page")
	if s := b.Session(); !strings.Contains(s, `"authenticated":true`) || b.Cookie(cookieName) != cookie {
		t.Errorf("the session is gone: %s", s)
	}
	w.WantUpstream(0)
}

func TestGAP_05_LoggingOutNeedsProof(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-05")
	w := newWorld(t)
	w.Login()
	for _, from := range []string{attackerURL + "/", siblingURL + "/", ""} {
		for _, path := range []string{"/bff/logout", "/bff/logout?sid=", "/bff/logout?sid=x", "/bff/logout?sid=x&sid=y"} {
			w.UA.Go(ua.Navigation{URL: w.Shop(path), From: from})
			if from != "" {
				w.UA.Go(ua.Navigation{URL: w.Shop(path), From: from, Form: url.Values{}})
				w.UA.Fetch(ua.Call{Method: "POST", URL: w.Shop(path), From: from, Header: http.Header{"Sec-Fetch-Mode": {"no-cors"}}})
				w.UA.Fetch(ua.Call{Method: "GET", URL: w.Shop(path), From: from})
			}
			if !w.Session().Authenticated {
				t.Fatalf("%s from %q has ended the session", path, from)
			}
		}
	}
	// The session's own link does it.
	w.UA.Go(ua.Navigation{URL: w.Shop(w.Session().LogoutURL), From: w.Shop("/"), Stay: true})
	if w.Session().Authenticated {
		t.Error("its own link has not ended the session")
	}
}

func TestGAP_06_OneRefreshForFiftyCallsOverTwoReplicas(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-06", "GAP-07", "OA-09", "SEC-18")
	w := newWorld(t, replicas(2), behaviour(func(b *as.Behaviour) { b.AccessLifetime = time.Second }))
	w.Login()
	cookie := w.Cookie()
	agents := []*ua.Agent{w.fixedAgent(0), w.fixedAgent(1)}
	for round := range 3 {
		time.Sleep(1100 * time.Millisecond) // the access token's life
		before := len(w.AS.Grants("refresh_token"))
		var calls sync.WaitGroup
		failed := make(chan string, 50)
		for i := range 50 {
			calls.Go(func() {
				call := w.CallOf("GET", "/api/x")
				call.Header.Set("Cookie", cookieName+"="+cookie)
				if r, err := agents[i%2].TryFetch(call); err != nil || r.Status != http.StatusOK || len(r.Cookies()) > 0 {
					failed <- fmt.Sprint(r, err)
				}
			})
		}
		calls.Wait()
		close(failed)
		if n := len(failed); n > 0 {
			t.Errorf("round %d: %d of 50 calls have failed, one with %s", round, n, <-failed)
		}
		if n := len(w.AS.Grants("refresh_token")) - before; n != 1 {
			t.Errorf("round %d: %d refreshes, want one", round, n)
		}
	}
}

// fixedAgent is a browser whose requests all go to one replica.
func (w *world) fixedAgent(replica int) *ua.Agent {
	a := ua.New(w.T, ua.Options{Addresses: func(string) string { return w.Replicas[replica].Traffic }, Plain: func(string) bool { return true }})
	w.agents = append(w.agents, a)
	return a
}

func TestGAP_07_ALostAnswerToARotationIsNotTheUsersFault(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-07")
	w := newWorld(t, behaviour(func(b *as.Behaviour) { b.AccessLifetime, b.Rotation = time.Second, as.Reissue }))
	w.Login()
	time.Sleep(1100 * time.Millisecond) // the access token's life
	w.AS.Drop(as.Token, 1)              // rotated, and the answer is lost
	w.Eventually("the API answers again", func() bool { return w.Call("GET", "/api/x").Status == http.StatusOK })
	if !w.Session().Authenticated {
		t.Error("logged out")
	}
}

func TestGAP_08_WhatDependsOnTheSessionIsNotCached(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-08")
	w := newWorld(t)
	login := w.Login()
	answers := append(login.Hops[:len(login.Hops):len(login.Hops)], w.Call("GET", "/bff/session"), w.Call("GET", "/api/x"), w.Call("GET", "/open/x"),
		w.NewAgent().Fetch(w.CallOf("GET", "/api/x")), w.NewAgent().Fetch(w.CallOf("GET", "/bff/session")), w.UA.Navigate(w.Shop("/bff/callback?state=x")), w.Call("GET", "/bff/callback?state=x"), w.Call("POST", "/bff/logout"))
	for _, r := range answers {
		if r.URL.Hostname() != hostOf(shopURL) {
			continue
		}
		control, vary := r.Header.Get("Cache-Control"), strings.Join(r.Header.Values("Vary"), ",")
		if !strings.Contains(control, "no-store") && !(strings.Contains(control, "private") && strings.Contains(vary, "Cookie")) {
			t.Errorf("%s: Cache-Control %q, Vary %q", r, control, vary)
		}
	}
	// An API may say that its answer can be kept, but not by a shared cache.
	w.Login()
	// (Its request had an Authorization, which keeps such caches away: RFC 9111
	// section 3.5. The browser's has none.)
	for _, sent := range []string{"max-age=3600", "public, max-age=3600", "s-maxage=3600", "must-revalidate, max-age=3600", "private, max-age=3600", "no-cache"} {
		w.RS.Answer(func(*rs.Request) rs.Reply {
			return rs.Reply{Fields: rs.Fields("Cache-Control", sent), Body: []byte("x")}
		})
		r := w.Call("GET", "/api/x")
		control, vary := strings.Join(r.Header.Values("Cache-Control"), ","), strings.Join(r.Header.Values("Vary"), ",")
		if !strings.Contains(control, "no-store") && !(strings.Contains(control, "private") && !strings.Contains(control, "public") && strings.Contains(vary, "Cookie")) {
			t.Errorf("the API says %q, and the browser and all in between are told %q, Vary %q", sent, control, vary)
		}
	}
}

func TestGAP_09_WhatAnUpstreamSendsUnaskedIsNotLogged(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-09", "BFF-36")
	const unasked = "HTTP/1.1 200 OK\r\nX: private-unasked\r\n\r\n"
	w := newWorld(t)
	w.Login()
	done := make(chan struct{}, 8)
	w.RS.Answer(func(*rs.Request) rs.Reply {
		return rs.Reply{Raw: func(conn net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\nprivate-unasked bytes\r\n"+unasked) // they may be unwanted
			time.Sleep(50 * time.Millisecond)
			done <- struct{}{}
		}}
	})
	for range 3 {
		w.Call("GET", "/api/x")
		<-done
	}
	if strings.Contains(w.Logs(), "private-unasked") {
		t.Error("the log holds what an API sent without being asked")
	}
}

func TestGAP_10_HeadersAboutIdentityAndForwardingAreOurs(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-10", "SEC-25", "MTLS-07")
	w := newWorld(t)
	w.Login()
	names := []string{"X-Forwarded-User", "X_Forwarded_User", "x-forwarded-user", "X-FORWARDED_USER", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
		"X-Forwarded-Access-Token", "X-Auth-Request-User", "X-Auth-Request-Access-Token", "X-User", "Remote-User", "REMOTE_USER", "X-Remote-User", "X-Remote-Group",
		"X-Forwarded-Proto", "X_Forwarded_Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Real-IP", "X_Real_IP", "Forwarded", "Via-Evil",
		"X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "SSL-Client-Cert", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Original-Host",
		"Proxy-Connection", "Keep-Alive", "TE", "Upgrade-Evil", "X-Userinfo", "X-Id-Token", "X-Access-Token", "OIDC_CLAIM_sub", "OIDC-Claim-Sub", "X-Envoy-External-Address"}
	var lines strings.Builder
	for _, name := range names {
		fmt.Fprintf(&lines, "%s: evil\r\n%s: evil2\r\n", name, name)
	}
	harmless := map[string]bool{"via-evil": true, "upgrade-evil": true} // of the test's own invention, to see that headers pass
	w.UA.Raw(shopURL, "GET /api/x HTTP/1.1\r\nHost: shop.example.test\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\nCookie: $COOKIES\r\n"+lines.String()+"Connection: X-Hop, close\r\nX-Hop: evil\r\n\r\n")
	got := w.RS.Last()
	if got == nil {
		t.Fatal("nothing arrived")
	}
	passed := 0
	for _, field := range got.Fields {
		if !strings.HasPrefix(field.Value, "evil") {
			continue
		}
		if harmless[strings.ToLower(field.Name)] {
			passed++
			continue
		}
		t.Errorf("the API was sent the browser's %s", field.Name)
	}
	if passed == 0 {
		t.Error("no header passes at all")
	}
	if got.Header.Get("X-Forwarded-Proto") != "https" || got.Header.Get("X-Forwarded-Host") != hostOf(shopURL) {
		t.Errorf("X-Forwarded-Proto %q, X-Forwarded-Host %q", got.Header.Get("X-Forwarded-Proto"), got.Header.Get("X-Forwarded-Host"))
	}
}
