package login

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// The page's policy names the style that is in it, and allows no other one.
func TestPageMayUseItsStyle(t *testing.T) {
	w := httptest.NewRecorder()
	writeBouncePage(w, "/")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
	if style == nil {
		t.Fatal("no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.HasSuffix(w.Header().Get("Content-Security-Policy"), want) {
		t.Errorf("policy %s, want %s", w.Header().Get("Content-Security-Policy"), want)
	}
	if strings.Contains(w.Body.String(), "<script") {
		t.Error("there is a script in the page")
	}
}

// Whatever ReturnTo accepts arrives at the browser as one attribute's value.
func FuzzBouncePage(f *testing.F) {
	f.Add("/orders?page=2&q='a'|b{c}^`[d]#x?y")
	f.Add("/;url=//evil.example")
	f.Add("/?a=&quot;&#39;&lt;")
	f.Fuzz(func(t *testing.T, in string) {
		returnTo, err := ReturnTo(in, "/bff")
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		writeBouncePage(w, returnTo)
		body := w.Body.String()
		refresh := regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"<>]*)">\n`).FindAllStringSubmatch(body, -1)
		link := regexp.MustCompile(`<p><a href="([^"<>]*)">Continue</a></p>\n`).FindAllStringSubmatch(body, -1)
		if len(refresh) != 1 || len(link) != 1 {
			t.Fatalf("%q breaks the page: %s", in, body)
		}
		for _, target := range []string{html.UnescapeString(refresh[0][1]), html.UnescapeString(link[0][1])} {
			if got := browserResolve(target); !strings.HasPrefix(target, "/") || got != "https://shop.example.com" {
				t.Errorf("%q leads to %q", in, target)
			}
		}
		if target := html.UnescapeString(refresh[0][1]); target != returnTo {
			t.Errorf("the browser goes to %q instead of %q", target, returnTo)
		}
	})
}
