package idp

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// startLogin asks for an authorization and returns the request's id.
func startLogin(t *testing.T, p *Provider, change ...func(url.Values)) string {
	t.Helper()
	q := goodRequest()
	for _, f := range change {
		f(q)
	}
	u, err := get(t, p, "/authorize?"+q.Encode()).Location()
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("request")
}

func submit(t *testing.T, p *Provider, id, username, password string, header ...string) *http.Response {
	t.Helper()
	form := url.Values{"request": {id}, "username": {username}, "password": {password}}
	r := httptest.NewRequest(http.MethodPost, "http://id.localhost:8090/login", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return serve(t, p, r)
}

func attempt(t *testing.T, p *Provider, username, password string) *http.Response {
	t.Helper()
	return submit(t, p, startLogin(t, p), username, password)
}

func text(t *testing.T, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func newDemo(t *testing.T) *Provider {
	t.Helper()
	config := testConfig()
	config.ShowCredentials = true
	p, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoginPage(t *testing.T) {
	p := newDemo(t)
	response := get(t, p, "/login?request="+startLogin(t, p))
	body := text(t, response)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d", response.StatusCode)
	}

	t.Run("its policy allows its style, its form and the client's origin, nothing else", func(t *testing.T) {
		_, rest, _ := strings.Cut(body, "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; img-src data:; form-action 'self' http://localhost:8080; frame-ancestors 'none'; base-uri 'none'"
		if got := response.Header.Get("Content-Security-Policy"); got != want {
			t.Errorf("policy\n got %s\nwant %s", got, want)
		}
		if strings.Contains(body, "<script") || regexp.MustCompile(`\s(style|on\w+)=`).MatchString(body) {
			t.Error("the page has scripts or inline styles, which its policy forbids")
		}
	})
	t.Run("it is for people", func(t *testing.T) {
		for _, want := range []string{`<html lang="en">`, `<label for="username">`, `id="username"`, `autocomplete="username"`,
			`<label for="password">`, `id="password"`, `autocomplete="current-password"`, `<button type="submit">`, "<main", "<h1>Sign in</h1>"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s is missing", want)
			}
		}
	})
	t.Run("it hints at the demo accounts if told so", func(t *testing.T) {
		if !strings.Contains(body, "alice-demo-pw") || !strings.Contains(body, "bob-demo-pw") {
			t.Error("no hints")
		}
		silent, err := New(testConfig())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text(t, get(t, silent, "/login?request="+startLogin(t, silent))), "demo-pw") {
			t.Error("passwords are shown without ShowCredentials")
		}
	})
	t.Run("it is not cached", func(t *testing.T) {
		if got := response.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control %q", got)
		}
	})
	t.Run("it escapes what it repeats", func(t *testing.T) {
		id := startLogin(t, p, func(q url.Values) { q.Set("login_hint", `"><script>alert(1)</script>`) })
		if strings.Contains(text(t, get(t, p, "/login?request="+id)), "<script") {
			t.Error("login_hint goes in as markup")
		}
		if strings.Contains(text(t, submit(t, p, id, `"><script>`, "x")), "<script") {
			t.Error("the username goes in as markup")
		}
	})
}

func TestWrongPassword(t *testing.T) {
	p := newDemo(t)
	id := startLogin(t, p)
	for name, login := range map[string][2]string{
		"wrong password": {"alice", "guess"},
		"bob's password": {"alice", "bob-demo-pw"},
		"no password":    {"alice", ""},
		"unknown user":   {"mallory", ""},
		"no user":        {"", ""},
		"other case":     {"Alice", "alice-demo-pw"},
	} {
		response := submit(t, p, id, login[0], login[1])
		body := text(t, response)
		if response.StatusCode != http.StatusUnauthorized || len(response.Cookies()) != 0 {
			t.Errorf("%s: status %d, cookies %v", name, response.StatusCode, response.Cookies())
		}
		if !strings.Contains(body, `role="alert">Wrong username or password.</p>`) || !strings.Contains(body, `aria-describedby="failure"`) {
			t.Errorf("%s: the page does not say so", name)
		}
	}
	if got := submit(t, p, id, "alice", "alice-demo-pw").StatusCode; got != http.StatusSeeOther {
		t.Errorf("the right password afterwards: status %d", got)
	}
	if got := submit(t, p, id, "alice", "alice-demo-pw").StatusCode; got != http.StatusBadRequest {
		t.Errorf("the same form again: status %d, want an error page", got)
	}
}

func TestGuessingIsBraked(t *testing.T) {
	p := newDemo(t)
	for range maxFailures {
		attempt(t, p, "alice", "guess")
	}
	response := attempt(t, p, "alice", "alice-demo-pw")
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
	}
	if got := attempt(t, p, "bob", "bob-demo-pw").StatusCode; got != http.StatusSeeOther {
		t.Errorf("bob: status %d", got)
	}
}

func TestLoginFormOfAnotherSiteIsRefused(t *testing.T) {
	p := newDemo(t)
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		if got := submit(t, p, startLogin(t, p), "alice", "alice-demo-pw", header...).StatusCode; got != http.StatusForbidden {
			t.Errorf("%v: status %d", header, got)
		}
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://id.localhost:8090"}} {
		if got := submit(t, p, startLogin(t, p), "alice", "alice-demo-pw", header...).StatusCode; got != http.StatusSeeOther {
			t.Errorf("%v: status %d", header, got)
		}
	}
}

func TestSessionCookieAttributes(t *testing.T) {
	for issuer, want := range map[string]string{
		"http://id.localhost:8090": "idp-session=X; Path=/; HttpOnly; SameSite=Lax",
		"https://id.example.com":   "__Host-idp-session=X; Path=/; HttpOnly; Secure; SameSite=Lax",
	} {
		config := testConfig()
		config.Issuer = issuer
		p, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		got := attempt(t, p, "alice", "alice-demo-pw").Header.Get("Set-Cookie")
		name, rest, _ := strings.Cut(got, "=")
		_, attributes, _ := strings.Cut(rest, ";")
		if got = name + "=X;" + attributes; got != want {
			t.Errorf("%s: cookie %q, want %q", issuer, got, want)
		}
	}
}

// The browser that is logged in needs no password for the next request, unless it is told to ask.
func TestSingleSignOn(t *testing.T) {
	p := newDemo(t)
	cookie := attempt(t, p, "alice", "alice-demo-pw").Cookies()[0]
	authorize := func(extra ...string) *url.URL {
		q := goodRequest()
		for i := 0; i < len(extra); i += 2 {
			q.Set(extra[i], extra[i+1])
		}
		r := httptest.NewRequest(http.MethodGet, "/authorize?"+q.Encode(), nil)
		r.AddCookie(cookie)
		u, err := serve(t, p, r).Location()
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if u := authorize(); u.Query().Get("code") == "" {
		t.Errorf("sent to %s, want a code at once", u.Path)
	}
	if u := authorize("prompt", "login"); u.Path != "/login" {
		t.Errorf("prompt=login: sent to %s", u.Path)
	}
	cookie.Value += "x"
	if u := authorize(); u.Path != "/login" {
		t.Errorf("forged cookie: sent to %s", u.Path)
	}
}

func TestSomebodyElseAtTheSameBrowserEndsTheFirstSession(t *testing.T) {
	p := newDemo(t)
	first := attempt(t, p, "alice", "alice-demo-pw").Cookies()[0]
	submit(t, p, startLogin(t, p), "bob", "bob-demo-pw", "Cookie", first.Name+"="+first.Value)
	if _, ok := p.storage.sessionByCookie(first.Value); ok {
		t.Error("alice is still logged in")
	}
}
