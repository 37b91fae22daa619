//go:build conformance

package conformance

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// visitEverything has the sidecar set and delete every cookie it has, on good
// paths and bad ones.
func visitEverything(w *world) {
	w.Helper()
	for range 10 { // more logins than fit
		w.UA.Go(ua.Navigation{URL: w.Shop("/bff/login?returnTo=/x"), Stay: true})
	}
	w.Login()
	w.LoginAt(w.UA, "") // again, in the session
	w.Call("GET", "/api/x")
	w.Session()
	for _, path := range []string{"/bff/callback", "/bff/callback?state=x&code=y", "/bff/callback?state=x&state=y", "/bff/login?returnTo=//e", "/bff/logout", "/bff/logout?sid=x", "/bff/nothing"} {
		w.UA.Navigate(w.Shop(path))
		w.Call("GET", path)
		w.Call("POST", path)
	}
	w.AS.Fault(as.Token, 1, http.StatusBadRequest)
	w.LoginAt(w.UA, "")
	w.AS.RevokeRefreshTokens()
	w.Login()
	w.UA.Go(ua.Navigation{URL: w.Shop("/bff/logout"), From: w.Shop("/"), Form: map[string][]string{}, Stay: true})
	w.Login()
	w.Logout()
	w.Call("GET", "/api/x")
}

func TestBFF_17_to_22_EveryCookieHasEveryAttribute(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-17", "BFF-18", "BFF-19", "BFF-20", "BFF-21", "BFF-22", "TMB-5", "OA-12", "COOK-02", "COOK-03")
	w := newWorld(t, hintInForm())
	visitEverything(w)
	lines := w.UA.SetCookies()
	deletions := 0
	for _, line := range lines {
		c, err := http.ParseSetCookie(line.Line)
		if err != nil {
			t.Errorf("%s: %v", line.Line, err)
			continue
		}
		if c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(time.Now()) {
			deletions++
		}
		if !strings.HasPrefix(c.Name, "__Host-Http-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s sets %s", line.Path, line.Line)
		}
		// The cookies of a login in progress have to come back from the provider's site
		// (COOK-07). They are worth nothing after it.
		if strings.HasPrefix(c.Name, transactions) || c.Name == chainCookie {
			if c.SameSite != http.SameSiteLaxMode {
				t.Errorf("%s sets %s", line.Path, line.Line)
			}
		} else if c.SameSite != http.SameSiteStrictMode {
			t.Errorf("%s sets %s", line.Path, line.Line)
		}
	}
	if len(lines) < 20 || deletions < 5 {
		t.Errorf("only %d cookies and %d deletions were seen", len(lines), deletions)
	}
	if refused := w.UA.Jar.Refused(); len(refused) != 0 {
		t.Errorf("a browser refuses %v", refused)
	}
}

func TestBFF_18_19_21_22_ARealBrowserKeepsTheSessionCookieToItself(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-18", "BFF-19", "BFF-21", "BFF-22", "COOK-02", "COOK-03")
	w, b := withChromium(t)
	b.Login()
	cookie := b.Cookie(cookieName)
	if seen := b.Script(`document.cookie`); seen != "" {
		t.Errorf("script sees %q", seen)
	}
	for _, planted := range []string{cookieName + "=planted; Path=/; Secure", cookieName + "=planted; Path=/; Secure; SameSite=Strict"} {
		b.Script(`(document.cookie = ` + quote(planted) + `, "")`)
	}
	if now := b.Cookie(cookieName); now != cookie {
		t.Errorf("script of the page has replaced the cookie by %q", now)
	}

	// A sibling can neither plant nor see it.
	b.Page(siblingURL+"/", `<!doctype html><title>sibling</title>`)
	b.Open(siblingURL + "/")
	for _, planted := range []string{cookieName + "=planted; Path=/; Secure; Domain=example.test", "__host-http-bff=planted; Path=/; Secure; Domain=example.test"} {
		b.Script(`(document.cookie = ` + quote(planted) + `, "")`)
	}
	for _, c := range b.Cookies() {
		if strings.EqualFold(c.Name, cookieName) && c.Value != cookie {
			t.Errorf("the sibling has planted %s=%s for %s", c.Name, c.Value, c.Domain)
		}
	}

	// A link of another site to an API arrives without it.
	b.Page(attackerURL+"/", `<!doctype html><title>attacker</title>`)
	b.Open(attackerURL + "/")
	w.RS.Forget()
	b.Script(`(location.assign("` + shopURL + `/api/x"), "")`)
	b.WaitFor(shopURL + "/api/x")
	w.WantUpstream(0)
	b.Open(shopURL + "/")
	if s := b.Session(); !strings.Contains(s, `"authenticated":true`) {
		t.Errorf("the session is gone: %s", s)
	}
}

func TestBFF_23_NoSettingRelaxesACookie(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-23")
	for _, field := range []string{"cookie: {sameSite: Lax}", "cookie: {secure: false}", "cookieName: bff", "cookieDomain: example.test"} {
		prepare(t, policyText(func(text string) string {
			return strings.Replace(text, "  session:\n", "  session:\n    "+field+"\n", 1)
		})).WantNoStart("unknown field")
	}
}

func TestBFF_24_CookiesHoldNothingToReadOrChange(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-24", "BFF-44", "SEC-06", "COOK-06", "COOK-05")
	w := newWorld(t)
	var values []string
	for range 2 {
		w.Login()
		values = append(values, w.Cookie())
	}
	for _, value := range values {
		if raw, err := base64.RawURLEncoding.DecodeString(value); err != nil || len(raw) != 32 {
			t.Errorf("%q is not 256 bits in base64url: %v", value, err)
		}
	}
	if values[0] == values[1] || values[0][:8] == values[1][:8] {
		t.Errorf("%q of two logins", values)
	}
	good := values[1]
	flipped := flip(good)
	for name, header := range map[string]string{
		"one bit flipped":           cookieName + "=" + flipped,
		"cut":                       cookieName + "=" + good[:40],
		"longer":                    cookieName + "=" + good + "AAAA",
		"name in another case":      strings.ToLower(cookieName) + "=" + good,
		"twice, the good one first": cookieName + "=" + good + "; " + cookieName + "=" + flipped,
		"twice, the good one last":  cookieName + "=" + flipped + "; " + cookieName + "=" + good,
		"twice the same":            cookieName + "=" + good + "; " + cookieName + "=" + good,
		"quoted":                    cookieName + `="` + good + `"`,
	} {
		call := w.CallOf("GET", "/api/x")
		call.Header.Set("Cookie", header)
		if r := w.NewAgent().Fetch(call); r.Status != http.StatusUnauthorized {
			t.Errorf("%s: %s", name, r)
		}
	}
	w.WantUpstream(0)
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Errorf("the session has suffered: %s", r)
	}

	// Two lines of Cookie are one (RFC 9113 section 8.2.3 lets proxies split it).
	split := w.CallOf("GET", "/api/x")
	split.Header["Cookie"] = []string{"other=1", cookieName + "=" + good, "more=2"}
	if r := w.UA.Fetch(split); r.Status != http.StatusOK {
		t.Errorf("Cookie over several lines: %s", r)
	}

	// The cookie of a login in progress is sealed: changed anywhere, it is no good.
	a := w.NewAgent()
	login := a.Go(ua.Navigation{URL: w.Shop("/bff/login"), Stay: true})
	tx := login.Cookies()[0]
	for _, i := range []int{0, len(tx.Value) / 2, len(tx.Value) - 2} {
		a.Jar.Put(ua.Cookie{Name: tx.Name, Value: tx.Value[:i] + flip(tx.Value[i:]), Host: hostOf(shopURL), HostOnly: true, Path: "/", Secure: true})
		answer := a.Go(ua.Navigation{URL: login.Header.Get("Location"), From: w.Shop("/")})
		if answer.Status < 400 || a.Jar.Value(cookieName) != "" {
			t.Errorf("a transaction changed at %d: %s", i, answer)
		}
		login = a.Go(ua.Navigation{URL: w.Shop("/bff/login"), Stay: true})
		tx = login.Cookies()[0]
	}
}

// flip changes the first character of a text in base64url.
func flip(s string) string {
	first := byte('A')
	if s[0] == 'A' {
		first = 'Q'
	}
	return string(first) + s[1:]
}

// quote writes a string for JavaScript.
func quote(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

func TestBFF_41_TheCookieOfOneApplicationIsWorthlessAtAnother(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-41", "OIDC-10")
	one, other := newWorld(t), newWorld(t) // policies of their own, in one store
	one.Login()
	call := other.CallOf("GET", "/api/x")
	call.Header.Set("Cookie", cookieName+"="+one.Cookie())
	other.WantProblem(other.UA.Fetch(call), http.StatusUnauthorized)
	other.WantUpstream(0)
}
