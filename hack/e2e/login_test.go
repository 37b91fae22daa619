//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/bff-operator/bff-operator/hack/stage"
)

const sessionCookie = "__Host-Http-bff"

// chainCookie counts logins that follow each other at once.
const chainCookie = sessionCookie + "-chain"

// answer is what the demo API says of a call.
type answer struct {
	Token struct {
		JTI string `json:"id"`
	} `json:"token"`
	Request struct {
		Cookie  bool     `json:"cookie"`
		Headers []string `json:"headers"`
	} `json:"request"`
	Claims map[string]any `json:"claims"`
}

// call has the page call the API as the page's own code does.
func (b *browser) call(path string) answer {
	b.t.Helper()
	result := b.script(`fetch("` + path + `", {headers: {"X-CSRF": "1"}}).then(async r => JSON.stringify({status: r.status, body: await r.text()}))`)
	var response struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	}
	if err := json.Unmarshal([]byte(result), &response); err != nil {
		b.t.Fatalf("read the page's answer: %v", err)
	}
	if response.Status != http.StatusOK {
		b.t.Fatalf("the page's call of %s got status %d: %s", path, response.Status, response.Body)
	}
	var a answer
	if err := json.Unmarshal([]byte(response.Body), &a); err != nil {
		b.t.Fatalf("read the API's answer %q: %v", response.Body, err)
	}
	return a
}

// The life of a login as a user and an attacker see it, on real parts only.
func TestBrowserLogsInAndHoldsNoToken(t *testing.T) {
	b := newBrowser(t)

	b.do("open the shop", chromedp.Navigate(stage.ShopURL), chromedp.WaitVisible(testID("login")))
	b.screenshot("1-logged-out")
	b.logIn("alice")
	b.do("wait for the orders", chromedp.WaitVisible(testID("orders")))
	b.screenshot("2-logged-in")

	if user := b.text("user"); !strings.Contains(user, "Alice") {
		t.Errorf("the page greets %q, want Alice", user)
	}

	// COOK-07, COOK-08: application and provider are different sites, and still
	// the landing has the SameSite=Strict cookie.
	if site, _ := b.transcript.header(stage.ShopURL+"/bff/callback", "Sec-Fetch-Site"); site != "cross-site" {
		t.Errorf("the callback came with Sec-Fetch-Site %q, so this run does not prove that a Strict cookie survives a cross-site login", site)
	}
	if cookies, _ := b.transcript.header(stage.ShopURL+"/bff/session", "Cookie"); !strings.HasPrefix(cookies, sessionCookie+"=") {
		t.Error("the landing page asked for its session without the session cookie")
	}

	// BFF-17 to BFF-22: one cookie, and these are its attributes.
	session := b.sessionCookie()
	if !session.HTTPOnly || !session.Secure || session.SameSite != network.CookieSameSiteStrict || session.Path != "/" || strings.HasPrefix(session.Domain, ".") {
		t.Errorf("session cookie is HttpOnly=%v Secure=%v SameSite=%v Path=%q Domain=%q", session.HTTPOnly, session.Secure, session.SameSite, session.Path, session.Domain)
	}
	if cookies := b.script("document.cookie"); cookies != "" {
		t.Errorf("script sees cookies: %q", cookies)
	}

	// BFF-04, BFF-05: the API gets the token, and no cookie.
	first := b.call("/api/whoami")
	if !slices.Contains(first.Request.Headers, "Authorization") || first.Token.JTI == "" {
		t.Errorf("the API saw headers %v, want Authorization among them", first.Request.Headers)
	}
	if first.Request.Cookie {
		t.Error("the API saw a cookie")
	}
	if first.Claims["sub"] != "alice" {
		t.Errorf("the API saw a token of %v, want alice", first.Claims["sub"])
	}

	// BFF-11: access tokens live 60 s here. Later the same call works with a new one.
	t.Log("waiting 70 s for the access token to expire")
	select {
	case <-time.After(70 * time.Second):
	case <-t.Context().Done():
	}
	if second := b.call("/api/whoami"); second.Token.JTI == first.Token.JTI {
		t.Error("after 70 s the API still gets the old access token")
	}

	// BFF-03, THR-1: everything script can reach, and everything that came over
	// the network.
	for _, source := range []string{
		"document.documentElement.outerHTML",
		"JSON.stringify(localStorage)",
		"JSON.stringify(sessionStorage)",
		"JSON.stringify(performance.getEntries())",
		"location.href + document.referrer + window.name",
	} {
		findTokens(t, source, b.script(source))
	}
	for _, source := range []string{
		`indexedDB.databases().then(d => JSON.stringify(d))`,
		`caches.keys().then(k => JSON.stringify(k))`,
	} {
		if found := b.script(source); found != "[]" {
			t.Errorf("%s is %s, want nothing", source, found)
		}
	}
	for _, cookie := range b.cookies() {
		if cookie.Domain == "localhost" {
			findTokens(t, "cookie "+cookie.Name, cookie.Value)
		}
	}
	if n := b.transcript.bodies(); n < 5 {
		t.Errorf("only %d bodies were recorded: the scan for tokens proves nothing", n)
	}
	b.transcript.leaks(t)

	// BFF-10, RPL-02: the session ends here and at the provider, which learns which
	// one from a form that the browser posts to it, and asks the user nothing.
	b.do("log out", chromedp.Click(testID("logout")), chromedp.WaitVisible(testID("login")))
	b.screenshot("3-logged-out-again")
	if !b.transcript.asked(stage.IssuerURL + "/end-session") {
		t.Error("the provider was not told of the logout")
	}
	b.do("go to the identity provider again", chromedp.Click(testID("login")), chromedp.WaitVisible(chromedp.CSS("#username")))
	if got := replay(t, http.MethodGet, "/api/whoami", session); got != http.StatusUnauthorized {
		t.Errorf("a call with the old cookie gets status %d, want 401", got)
	}
	for _, cookie := range b.cookies() {
		if cookie.Name == sessionCookie {
			t.Error("the session cookie is still in the browser after logout")
		}
	}
	b.transcript.leaks(t)
}

func TestReloadAfterLoginStaysLoggedIn(t *testing.T) {
	b := newBrowser(t)
	b.logIn("bob")
	before := b.sessionCookie().Value
	b.do("reload", chromedp.Reload(), chromedp.WaitVisible(testID("logout")))
	if after := b.sessionCookie().Value; after != before {
		t.Error("a reload changed the session")
	}
	if user := b.text("user"); !strings.Contains(user, "Bob") {
		t.Errorf("the page greets %q, want Bob", user)
	}
}

func (b *browser) sessionCookie() *network.Cookie {
	b.t.Helper()
	var found []*network.Cookie
	for _, cookie := range b.cookies() {
		// The brake on login loops counts for half a minute.
		if cookie.Domain == "localhost" && cookie.Name != chainCookie {
			found = append(found, cookie)
		}
	}
	if len(found) != 1 || found[0].Name != sessionCookie {
		names := []string{}
		for _, cookie := range found {
			names = append(names, cookie.Name)
		}
		b.t.Fatalf("the browser holds cookies %v for the shop, want %s alone", names, sessionCookie)
	}
	return found[0]
}

// replay makes a call with a stolen cookie and returns the status.
func replay(t *testing.T, method, path string, cookie *network.Cookie) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, stage.ShopURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-CSRF", "1")
	request.Header.Set("Cookie", cookie.Name+"="+cookie.Value)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("call with the old cookie: %v", err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
