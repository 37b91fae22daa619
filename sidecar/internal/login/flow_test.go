package login_test

import (
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// begin starts a login and returns where the browser is sent.
func (b *browser) begin(returnTo string) *url.URL {
	b.w.t.Helper()
	answer := b.navigate("/bff/login?"+url.Values{"returnTo": {returnTo}}.Encode(), sameOrigin)
	if answer.StatusCode != http.StatusSeeOther {
		b.w.t.Fatalf("login answers %s: %s", answer.Status, bodyOf(answer))
	}
	location, err := answer.Location()
	if err != nil {
		b.w.t.Fatal(err)
	}
	return location
}

// throughScripted lets a providertest.Server send the browser back.
func (b *browser) throughScripted(authorization *url.URL) string {
	b.w.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(authorization.String())
	if err != nil {
		b.w.t.Fatal(err)
	}
	response.Body.Close()
	location, err := response.Location()
	if err != nil {
		b.w.t.Fatal(err)
	}
	return location.String()
}

// logIn is a whole login at a providertest.Server.
func (b *browser) logIn(returnTo string) {
	b.w.t.Helper()
	answer := b.navigate(b.throughScripted(b.begin(returnTo)), crossSite)
	if answer.StatusCode != http.StatusOK {
		b.w.t.Fatalf("callback answers %s: %s", answer.Status, bodyOf(answer))
	}
}

func bodyOf(answer *http.Response) string {
	body, _ := io.ReadAll(answer.Body)
	return string(body)
}

var refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]*)">`)

// bounceOf is where a bounce page goes.
func bounceOf(t *testing.T, answer *http.Response) string {
	t.Helper()
	body := bodyOf(answer)
	found := refresh.FindStringSubmatch(body)
	if answer.StatusCode != http.StatusOK || found == nil {
		t.Fatalf("no bounce page: %s %s", answer.Status, body)
	}
	target := html.UnescapeString(found[1])
	if !strings.Contains(html.UnescapeString(body), `<a href="`+target+`">`) {
		t.Errorf("the page has no link for a browser that does not go on by itself: %s", body)
	}
	return target
}

var link = regexp.MustCompile(`<a href="([^"]+)">`)

// linkOf is where a page lets a person go on to.
func linkOf(t *testing.T, answer *http.Response) string {
	t.Helper()
	found := link.FindStringSubmatch(bodyOf(answer))
	if found == nil {
		t.Fatalf("a page without a link: %s", answer.Status)
	}
	return html.UnescapeString(found[1])
}

type sessionState struct {
	Authenticated bool
	Claims        map[string]any
	ExpiresIn     *int
	IdleExpiresIn *int
	LogoutURL     string
	ACR           string
	AuthTime      int64
}

func (b *browser) session() sessionState {
	b.w.t.Helper()
	answer := b.fetch(http.MethodGet, "/bff/session")
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" || answer.Header.Get("Vary") != "Cookie" {
		b.w.t.Fatalf("session answers %s %v", answer.Status, answer.Header)
	}
	var s sessionState
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		b.w.t.Fatal(err)
	}
	return s
}

func realProvider(t *testing.T) *idptest.Server {
	return idptest.Start(t, idp.Config{Clients: []idp.Client{{
		ID: providertest.ClientID, Secret: "the-secret", RedirectURIs: []string{publicURL + "/bff/callback"},
		PostLogoutRedirectURIs: []string{publicURL + "/"}, Audience: []string{"shop-api"},
	}}})
}

// A whole login, at a real provider.
func TestLogin(t *testing.T) {
	server := realProvider(t)
	w := newWorld(t, server.Issuer, "the-secret", setup{})
	b := w.browser()
	jar, _ := cookiejar.New(nil)
	atProvider := &http.Client{Jar: jar}

	if s := b.session(); s.Authenticated || s.Claims != nil || s.LogoutURL != "" || s.ExpiresIn != nil {
		t.Fatalf("before the login: %+v", s)
	}
	authorization := b.begin("/orders?page=2&q=a+b")
	callback, err := idptest.SignIn(t.Context(), atProvider, authorization.String(), "alice", "alice-demo-pw")
	if err != nil {
		t.Fatal(err)
	}
	answer := b.navigate(callback.String(), crossSite)
	// BFF-09: the browser goes on without code and state in its address.
	if target := bounceOf(t, answer); target != "/orders?page=2&q=a+b" {
		t.Errorf("the browser goes on to %q", target)
	}
	w.wantFinished(flow.Callback, flow.OK)
	if n := b.transactions(); n != 0 {
		t.Errorf("%d transaction cookies are left", n)
	}

	s := b.session()
	if !s.Authenticated || s.Claims["sub"] != "alice" || s.Claims["name"] != "Alice Liddell" {
		t.Errorf("session: %+v", s)
	}
	for _, hidden := range []string{"nonce", "at_hash", "sid", "aud", "roles", "auth_time"} {
		if _, there := s.Claims[hidden]; there {
			t.Errorf("the page sees the claim %s", hidden)
		}
	}
	if s.ExpiresIn == nil || *s.ExpiresIn < 43190 || *s.ExpiresIn > 43200 || s.IdleExpiresIn == nil || *s.IdleExpiresIn < 1790 || *s.IdleExpiresIn > 1800 {
		t.Errorf("session: %+v", s)
	}

	// Asking does not extend the session (BFF-07).
	w.advance(20 * time.Minute)
	b.session()
	if again := b.session(); again.IdleExpiresIn == nil || *again.IdleExpiresIn > 600 {
		t.Errorf("after 20 minutes: %+v", again)
	}

	cookie := b.sessionCookie()
	q := callback.Query()
	w.wantNoSecrets(q.Get("code"), q.Get("state"), cookie, "the-secret", authorization.Query().Get("nonce"))
}

// SEC-08: two tabs log in at once, with nothing in common, and both arrive.
func TestTwoTabs(t *testing.T) {
	server := realProvider(t)
	w := newWorld(t, server.Issuer, "the-secret", setup{})
	b := w.browser()
	jar, _ := cookiejar.New(nil)
	atProvider := &http.Client{Jar: jar}
	first, second := b.begin("/first"), b.begin("/second")
	for _, parameter := range []string{"state", "nonce", "code_challenge"} {
		if first.Query().Get(parameter) == second.Query().Get(parameter) {
			t.Errorf("both tabs have the same %s", parameter)
		}
	}
	for target, authorization := range map[string]*url.URL{"/second": second, "/first": first} {
		callback, err := idptest.SignIn(t.Context(), atProvider, authorization.String(), "alice", "alice-demo-pw")
		if err != nil {
			t.Fatal(err)
		}
		if got := bounceOf(t, b.navigate(callback.String(), crossSite)); got != target {
			t.Errorf("arrived at %q, want %q", got, target)
		}
		if !b.session().Authenticated {
			t.Error("not logged in")
		}
	}
}

// GAP-04: a thousand started logins leave the session alone and the browser's
// header small.
func TestManyLoginsAreBounded(t *testing.T) {
	w, _ := scripted(t, setup{})
	b := w.browser()
	b.logIn("/")
	before := b.sessionCookie()
	for i := range 1000 {
		site := crossSite
		if i%2 == 0 {
			site = sameOrigin
		}
		answer := b.navigate("/bff/login?returnTo=/orders/"+strings.Repeat("x", i%1500), site)
		if site == crossSite {
			if answer.StatusCode != http.StatusOK {
				t.Fatalf("login %d answers %s", i, answer.Status)
			}
			answer = b.navigate(bounceOf(t, answer), sameOrigin)
		}
		if answer.StatusCode != http.StatusSeeOther {
			t.Fatalf("login %d answers %s", i, answer.Status)
		}
		size := 0
		for name, cookie := range b.cookies {
			size += len(name) + len(cookie.Value) + 3
		}
		if n := b.transactions(); n > 8 || size > 7<<10 {
			t.Fatalf("%d pending logins, %d bytes of cookies", n, size)
		}
	}
	if b.sessionCookie() != before || !b.session().Authenticated {
		t.Error("the session was touched")
	}
	b.logIn("/after") // and another login still works
}

// GAP-03, STEP-08: a login makes a new session and ends the one before it, also
// when the browser holds the old cookie back on the way from the provider.
func TestLoginReplacesTheSession(t *testing.T) {
	for name, site := range map[string]string{"cookie held back": crossSite, "cookie comes along": sameOrigin} {
		t.Run(name, func(t *testing.T) {
			w, server := scripted(t, setup{})
			b := w.browser()
			b.logIn("/")
			first := b.sessionCookie()
			server.Behave(providertest.Behaviour{Claims: func(c map[string]any) { c["sub"] = "bob" }})
			if answer := b.navigate(b.throughScripted(b.begin("/")), site); answer.StatusCode != http.StatusOK {
				t.Fatalf("callback: %s", answer.Status)
			}
			if b.sessionCookie() == first {
				t.Error("the session cookie stayed the same")
			}
			if _, err := w.sessions.Find(t.Context(), first); !errors.Is(err, session.ErrNone) {
				t.Errorf("the old session is still there: %v", err)
			}
			if s := b.session(); s.Claims["sub"] != "bob" {
				t.Errorf("session of %v, want bob", s.Claims["sub"])
			}
		})
	}
}

// THR-7: a cookie somebody planted is worth nothing after the login.
func TestPlantedSessionCookie(t *testing.T) {
	w, _ := scripted(t, setup{})
	b := w.browser()
	planted := strings.Repeat("A", 43)
	b.cookies[session.CookieName] = &http.Cookie{Name: session.CookieName, Value: planted, SameSite: http.SameSiteStrictMode}
	b.logIn("/")
	if b.sessionCookie() == planted {
		t.Error("the planted cookie became the session's")
	}
	if _, err := w.sessions.Find(t.Context(), planted); !errors.Is(err, session.ErrNone) {
		t.Errorf("the planted cookie opens something: %v", err)
	}
}

// SEC-05: a callback works once.
func TestCallbackTwice(t *testing.T) {
	w, server := scripted(t, setup{})
	b := w.browser()
	callback := b.throughScripted(b.begin("/"))
	if answer := b.navigate(callback, crossSite); answer.StatusCode != http.StatusOK {
		t.Fatalf("first: %s", answer.Status)
	}
	cookie, requests := b.sessionCookie(), len(server.Requests())
	answer := b.navigate(callback, crossSite)
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("second: %s", answer.Status)
	}
	w.wantFinished(flow.Callback, flow.ReasonTransactionMissing)
	if len(server.Requests()) != requests {
		t.Error("the code was sent again")
	}
	if b.sessionCookie() != cookie || !b.session().Authenticated {
		t.Error("the session of the first one is gone")
	}
}

// Without a provider no login, and everybody is told so in his own language.
func TestLoginWithoutProvider(t *testing.T) {
	w := newWorld(t, "http://127.0.0.1:1", "x", setup{})
	b := w.browser()
	answer := b.navigate("/bff/login?returnTo=/orders", sameOrigin)
	body := bodyOf(answer)
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s %v", answer.Status, answer.Header)
	}
	if !strings.Contains(body, `href="/bff/login?returnTo=%2Forders"`) || !strings.Contains(body, answer.Header.Get("X-Request-Id")) {
		t.Errorf("the page helps nobody: %s", body)
	}
	if b.transactions() != 0 {
		t.Error("a transaction was begun")
	}
	w.wantFinished(flow.Login, "provider_unreachable")

	answer = b.do(http.MethodGet, "/bff/login", sameOrigin, http.Header{"Accept": {"*/*"}})
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %v", answer.Status, answer.Header)
	}
	if s := b.session(); s.Authenticated { // what needs no provider goes on
		t.Error("authenticated")
	}
}

func TestLoginRefuses(t *testing.T) {
	w, server := scripted(t, setup{})
	for name, row := range map[string]struct {
		target string
		header http.Header
		status int
		reason flow.Reason
	}{
		"fetch":           {"/bff/login", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}}, 400, flow.ReasonNotNavigation},
		"FM-05 frame":     {"/bff/login", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}}, 400, flow.ReasonNotNavigation},
		"old fetch":       {"/bff/login", http.Header{"X-Csrf": {"1"}}, 400, flow.ReasonNotNavigation},
		"SEC-02 origin":   {"/bff/login?returnTo=https://evil.example", http.Header{}, 400, flow.ReasonReturnTo},
		"OA-03 twice":     {"/bff/login?returnTo=/a&returnTo=/b", http.Header{}, 400, flow.ReasonReturnTo},
		"not decodable":   {"/bff/login?returnTo=%zz", http.Header{}, 400, flow.ReasonParameters},
		"encoded slashes": {"/bff/login?returnTo=%2F%2Fevil.example", http.Header{}, 400, flow.ReasonReturnTo},
	} {
		t.Run(name, func(t *testing.T) {
			b := w.browser()
			answer := b.do(http.MethodGet, row.target, sameOrigin, row.header)
			if answer.StatusCode != row.status || len(b.cookies) != 0 || answer.Header.Get("Location") != "" {
				t.Errorf("%s, cookies %v, location %q", answer.Status, b.cookies, answer.Header.Get("Location"))
			}
			w.wantFinished(flow.Login, row.reason)
		})
	}
	if n := server.Count("/authorize"); n != 0 {
		t.Errorf("%d authorization requests", n)
	}
	for path, methods := range map[string]string{"/bff/login": "GET, POST", "/bff/callback": "GET", "/bff/session": "GET"} {
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodHead, "TRACE"} {
			answer := w.browser().fetch(method, path)
			if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != methods {
				t.Errorf("%s %s: %s, Allow %q", method, path, answer.Status, answer.Header.Get("Allow"))
			}
		}
	}
}
