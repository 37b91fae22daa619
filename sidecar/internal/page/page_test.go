package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/page"
)

func written(p page.Page) (http.Header, string) {
	w := httptest.NewRecorder()
	page.Write(w, http.StatusOK, p)
	return w.Header(), w.Body.String()
}

func directives(h http.Header) map[string]string {
	all := map[string]string{}
	for directive := range strings.SplitSeq(h.Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		all[name] = value
	}
	return all
}

func hashOf(t *testing.T, body, element string) string {
	t.Helper()
	found := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(body, -1)
	if len(found) != 1 {
		t.Fatalf("%d elements %s", len(found), element)
	}
	sum := sha256.Sum256([]byte(found[0][1]))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// GAP-08, GAP-12, BFF-40, SEC-16: every page, whatever is in it.
func TestEveryPage(t *testing.T) {
	for name, p := range map[string]page.Page{
		"text":   {Title: "You were not signed in", Text: "Try again.", Link: "/bff/login", LinkText: "Try again", RequestID: "R"},
		"moving": {Title: "Signed in", Text: "One moment.", Next: "/", Link: "/", LinkText: "Continue"},
		"form":   {Title: "Signing out", Text: "One moment.", Form: &page.Form{Action: "https://id.example.com/logout", Button: "Continue"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, body := written(p)
			for header, want := range map[string]string{
				"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store",
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			} {
				if got := h.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			policy := directives(h)
			for directive, want := range map[string]string{
				"default-src": "'none'", "base-uri": "'none'", "frame-ancestors": "'none'", "style-src": hashOf(t, body, "style"),
			} {
				if got := policy[directive]; got != want {
					t.Errorf("%s is %q, want %q", directive, got, want)
				}
			}
			if p.Form != nil {
				return
			}
			if strings.Contains(body, "<script") || strings.Contains(body, "<form") {
				t.Error("there is a script or a form in the page")
			}
			if got := policy["form-action"]; got != "'none'" {
				t.Errorf("form-action is %q", got)
			}
		})
	}
}

// RPL-02: the page with the form is in a sandbox without an origin, and runs its
// one script.
func TestFormPolicy(t *testing.T) {
	for name, row := range map[string]struct{ action, formAction string }{
		"https":          {"https://id.example.com/logout", "http: https:"},
		"http":           {"http://localhost:8080/logout", "http: https:"},
		"script":         {"javascript:alert(1)", "'none'"},
		"data":           {"data:text/html,x", "'none'"},
		"path":           {"/logout", "'none'"},
		"other host":     {"//id.example.com/logout", "'none'"},
		"no host":        {"https:///logout", "'none'"},
		"user":           {"https://id.example.com@evil.example/", "'none'"},
		"not a URL":      {"https://id.example.com\n/", "'none'"},
		"nothing at all": {"", "'none'"},
	} {
		t.Run(name, func(t *testing.T) {
			h, body := written(page.Page{Title: "Signing out", Form: &page.Form{Action: row.action, Button: "Continue"}})
			policy := directives(h)
			for directive, want := range map[string]string{
				"form-action": row.formAction, "sandbox": "allow-forms allow-scripts", "script-src": hashOf(t, body, "script"),
			} {
				if got := policy[directive]; got != want {
					t.Errorf("%s is %q, want %q", directive, got, want)
				}
			}
		})
	}
}

// Whatever stands in a page is text or one attribute's value.
func FuzzPage(f *testing.F) {
	f.Add("/orders?page=2&q='a'|b{c}^`[d]#x?y", "id_token_hint", "eyJ.eyJ.x")
	f.Add("/;url=//evil.example", `"><script>alert(1)</script>`, `'"<>&`)
	f.Add("/?a=&quot;&#39;&lt;", "submit", "\x00\xff")
	f.Fuzz(func(t *testing.T, target, name, value string) {
		target, value = "/"+target, "."+value
		_, body := written(page.Page{Title: value, Text: value, Next: target, Link: target, LinkText: value, RequestID: value,
			Form: &page.Form{Action: target, Fields: url.Values{name: {value}}, Button: value}})
		for pattern, want := range map[string][]string{
			`<meta http-equiv="refresh" content="0; url=([^"<>]*)">`:   {target},
			`<p><a href="([^"<>]*)">([^<>]*)</a></p>`:                  {target, value},
			`<form method="post" action="([^"<>]*)">`:                  {target},
			`<input type="hidden" name="([^"<>]*)" value="([^"<>]*)">`: {name, value},
			`<button>([^<>]*)</button>`:                                {value},
			`<title>([^<>]*)</title>`:                                  {value},
			`<footer>Request <code>([^<>]*)</code></footer>`:           {value},
		} {
			found := regexp.MustCompile(pattern).FindAllStringSubmatch(body, -1)
			if len(found) != 1 {
				t.Fatalf("%s: %d times in %q", pattern, len(found), body)
			}
			for i, text := range want {
				if got := html.UnescapeString(found[0][i+1]); got != text {
					t.Errorf("%s: %q, want %q", pattern, got, text)
				}
			}
		}
		if got := strings.Count(body, "<script>"); got != 1 {
			t.Errorf("%d scripts", got)
		}
	})
}
