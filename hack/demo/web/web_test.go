package web_test

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	shop "github.com/bff-operator/bff-operator/config/samples/shop/web"
	"github.com/bff-operator/bff-operator/hack/demo/web"
)

func serve(t *testing.T, h http.Handler, method, target string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return w.Result(), string(body)
}

func newShop(t *testing.T) http.Handler {
	t.Helper()
	h, err := web.New(shop.Files)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPaths(t *testing.T) {
	h := newShop(t)
	_, index := serve(t, h, http.MethodGet, "/")
	for target, want := range map[string]struct {
		status int
		media  string
		index  bool
	}{
		"/":                   {200, "text/html; charset=utf-8", true},
		"/index.html":         {200, "text/html; charset=utf-8", true},
		"/orders/A-1042":      {200, "text/html; charset=utf-8", true},
		"/a/b/?x=1":           {200, "text/html; charset=utf-8", true},
		"/main.js":            {200, "text/javascript; charset=utf-8", false},
		"/style.css":          {200, "text/css; charset=utf-8", false},
		"/logo.svg":           {200, "image/svg+xml", false},
		"/missing.js":         {404, "text/plain; charset=utf-8", false},
		"/favicon.ico":        {404, "text/plain; charset=utf-8", false},
		"/embed.go":           {404, "text/plain; charset=utf-8", false},
		"/../policy.yaml":     {404, "text/plain; charset=utf-8", false},
		"/%2e%2e/policy.yaml": {404, "text/plain; charset=utf-8", false},
		"/orders.d/A-1042":    {200, "text/html; charset=utf-8", true},
	} {
		response, body := serve(t, h, http.MethodGet, target)
		if response.StatusCode != want.status || response.Header.Get("Content-Type") != want.media || (body == index) != want.index {
			t.Errorf("%s: status %d, %s, index %v; want %+v", target, response.StatusCode, response.Header.Get("Content-Type"), body == index, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	response, _ := serve(t, newShop(t), http.MethodGet, "/")
	policy := response.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'self';") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, directive := range []string{"frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, directive) {
			t.Errorf("%s is missing in the policy", directive)
		}
	}
	if response.Header.Get("X-Content-Type-Options") != "nosniff" || response.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("headers %v", response.Header)
	}
}

func TestRevalidation(t *testing.T) {
	h := newShop(t)
	response, _ := serve(t, h, http.MethodGet, "/main.js")
	again, body := serve(t, h, http.MethodGet, "/main.js", "If-None-Match", response.Header.Get("ETag"))
	if again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("status %d with %d bytes", again.StatusCode, len(body))
	}
	if other, _ := serve(t, h, http.MethodGet, "/style.css", "If-None-Match", response.Header.Get("ETag")); other.StatusCode != http.StatusOK {
		t.Errorf("another file with the same ETag: status %d", other.StatusCode)
	}
}

func TestMethods(t *testing.T) {
	h := newShop(t)
	if response, body := serve(t, h, http.MethodHead, "/"); response.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: status %d with %d bytes", response.StatusCode, len(body))
	}
	if response, _ := serve(t, h, http.MethodPost, "/"); response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d, Allow %q", response.StatusCode, response.Header.Get("Allow"))
	}
}

func TestIndexIsRequired(t *testing.T) {
	if _, err := web.New(fstest.MapFS{"main.js": &fstest.MapFile{}}); err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Errorf("got %v", err)
	}
}

// The application keeps to the policy it is served with, and has the hooks that browser tests rely on.
func TestShopFiles(t *testing.T) {
	page, err := fs.ReadFile(shop.Files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	html := string(page)
	if regexp.MustCompile(`\s(style|on\w+)=|<style|<script(?:[^>]*)>[^<]|https?://`).MatchString(html) {
		t.Error("index.html has inline script, inline style or something from elsewhere")
	}
	for _, id := range []string{"login", "logout", "user", "orders", "add-order", "token-jti", "cookie-view", "status"} {
		if n := strings.Count(html, `data-testid="`+id+`"`); n != 1 {
			t.Errorf(`data-testid="%s" stands %d times, want once`, id, n)
		}
	}
	ids := map[string]int{}
	for _, m := range regexp.MustCompile(`\sid="([^"]+)"`).FindAllStringSubmatch(html, -1) {
		ids[m[1]]++
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("id %q stands %d times", id, n)
		}
	}
	view, _ := fs.ReadFile(shop.Files, "view.js")
	for _, m := range regexp.MustCompile(`\$\('([^']+)'\)`).FindAllStringSubmatch(string(view), -1) {
		if ids[m[1]] != 1 {
			t.Errorf("view.js uses #%s, which index.html does not have", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?:href|src)="/([^"#?]+\.[a-z]+)`).FindAllStringSubmatch(html, -1) {
		if _, err := fs.Stat(shop.Files, m[1]); err != nil {
			t.Errorf("index.html refers to %s: %v", m[1], err)
		}
	}

	names, _ := fs.Glob(shop.Files, "*.js")
	for _, name := range names {
		source, _ := fs.ReadFile(shop.Files, name)
		for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage.set", "sessionStorage.set", "document.cookie ="} {
			if strings.Contains(string(source), forbidden) {
				t.Errorf("%s uses %s", name, forbidden)
			}
		}
		for _, m := range regexp.MustCompile(`from '\./([^']+)'`).FindAllStringSubmatch(string(source), -1) {
			if _, err := fs.Stat(shop.Files, path.Clean(m[1])); err != nil {
				t.Errorf("%s imports %s: %v", name, m[1], err)
			}
		}
	}
}
