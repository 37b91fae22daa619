package login

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

// SEC-02: returnTo never leads away from this site, whoever reads it.
func TestReturnTo(t *testing.T) {
	for _, row := range []struct{ in, want string }{ // want "": refused
		{"", "/"},
		{"/", "/"},
		{"/orders", "/orders"},
		{"/orders/", "/orders/"},
		{"/orders?page=2&sort=a,b#top", "/orders?page=2&sort=a,b#top"},
		{"/?next=https://evil.example/", "/?next=https://evil.example/"},
		{"/?next=//evil.example/..", "/?next=//evil.example/.."},
		{"/#//evil.example", "/#//evil.example"},
		{"/caf%C3%A9", "/caf%C3%A9"},
		{"/a@b", "/a@b"},
		{"/a:b", "/a:b"},
		{"/..a/.well-known/...", "/..a/.well-known/..."},
		{"/a;b=c", "/a;b=c"},
		{"/search?q={a|b}[]'`^", "/search?q={a|b}[]'`^"},
		{"/" + strings.Repeat("a", maxReturnTo-1), "/" + strings.Repeat("a", maxReturnTo-1)},

		// Our own endpoints: there is nothing to see, and a login that returns to the
		// login has no end.
		{"/bff", "/"},
		{"/bff/login", "/"},
		{"/bff/login?returnTo=/x", "/"},
		{"/bff/callback?code=a&state=b", "/"},
		{"/bff/logout?sid=x", "/"},
		{"/%62ff/login", "/"},
		{"/bff%2Flogin", ""},
		{"/x/../bff/login", ""},
		{"/bff//login", ""},
		{"/bfff/login", "/bfff/login"},

		// Another origin, to somebody.
		{"//evil.example", ""},
		{"///evil.example", ""},
		{"/\\evil.example", ""},
		{"\\\\evil.example", ""},
		{"\\/evil.example", ""},
		{"/\tevil.example", ""},
		{"/\n/evil.example", ""},
		{"/\r/evil.example", ""},
		{"\t//evil.example", ""},
		{" //evil.example", ""},
		{"/ /evil.example", ""},
		{"/%09/evil.example", ""},
		{"/%0a/evil.example", ""},
		{"/%0d%0aLocation:%20https://evil.example", ""},
		{"/%00/evil.example", ""},
		{"/%2f%2fevil.example", ""},
		{"/%2F/evil.example", ""},
		{"/%5cevil.example", ""},
		{"/%5C%5Cevil.example", ""},
		{"/%252f%252fevil.example", ""},
		{"/.//evil.example", ""},
		{"/..//evil.example", ""},
		{"/./evil", ""},
		{"/a/../..//evil.example", ""},
		{"/%2e%2e/evil", ""},
		{"/.%2e/evil", ""},
		{"/..;/evil", ""},
		{"/a//evil.example", ""},
		{"https://evil.example", ""},
		{"https:evil.example", ""},
		{"https:/evil.example", ""},
		{"https:///evil.example", ""},
		{"https://shop.example.com.evil.example", ""},
		{"https://shop.example.com@evil.example", ""},
		{"https://shop.example.com/", ""}, // ours, and still not a path
		{"shop.example.com%23.evil.example", ""},
		{"@evil.example", ""},
		{".evil.example", ""},
		{"javascript:alert(1)", ""},
		{"JaVaScRiPt:alert(1)", ""},
		{"data:text/html,x", ""},
		{"orders", ""},
		{"?a=b", ""},
		{"#a", ""},
		{"/a\x00", ""},
		{"/a\x7f", ""},
		{"/a\u0085b", ""},
		{"/\u2028", ""},
		{"/\uff0fevil.example", ""},
		{"/\u3002evil", ""},
		{"/café", ""},
		{"/\"><script>", ""},
		{"/a?b=\"><script>", ""},
		{"/a?b=\\", ""},
		{"/%", ""},
		{"/%zz", ""},
		{"/#%", ""},
		{"/" + strings.Repeat("a", maxReturnTo), ""},
	} {
		got, err := ReturnTo(row.in, "/bff")
		if got != row.want || (err != nil) != (row.want == "") {
			t.Errorf("ReturnTo(%.60q) = %.60q, %v; want %.60q", row.in, got, err, row.want)
		}
		if err != nil && !errors.Is(err, ErrReturnTo) {
			t.Errorf("ReturnTo(%.60q): error %v", row.in, err)
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{"", "/", "/a?b#c", "//e", "/\\e", "/%2f", "/bff/login", "https://e", "/..;/x", "/a%25b", "/%62ff", "/;@e:80/", "/.\t./"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://shop.example.com/bff/callback?code=a")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, err := ReturnTo(in, "/bff")
		if err != nil {
			if out != "" {
				t.Errorf("%q was refused and returned", in)
			}
			return
		}
		if out != "/" && out != in {
			t.Errorf("%q became %q", in, out)
		}
		if len(out) > 2048 || strings.ContainsFunc(out, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
			t.Errorf("accepted %q", out)
		}
		for reader, origin := range map[string]string{"net/url": resolve(t, base, out), "a browser": browserResolve(out)} {
			if origin != "https://shop.example.com" {
				t.Errorf("%s goes to %q for %q", reader, origin, out)
			}
		}
		// Decoded once or twice more, it still names no other origin and none of our
		// endpoints.
		path, _, _ := strings.Cut(out, "?")
		path, _, _ = strings.Cut(path, "#")
		for range 3 {
			if strings.HasPrefix(path, "//") || strings.HasPrefix(path, "/\\") || path == "/bff" || strings.HasPrefix(path, "/bff/") {
				t.Errorf("%q reads as %q", out, path)
			}
			decoded, err := url.PathUnescape(path)
			if err != nil {
				break
			}
			path = decoded
		}
	})
}

func resolve(t *testing.T, base *url.URL, reference string) string {
	u, err := base.Parse(reference)
	if err != nil {
		t.Errorf("net/url cannot parse %q: %v", reference, err)
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// browserResolve is how the WHATWG URL standard finds the origin of a reference
// on an https page: it drops tabs and line breaks, trims control characters and
// spaces, and reads a backslash as a slash.
func browserResolve(reference string) string {
	reference = strings.Trim(reference, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
	reference = strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(reference)
	if scheme, _, ok := strings.Cut(reference, ":"); ok && scheme != "" && !strings.ContainsAny(scheme, "/?#") {
		return scheme
	}
	if strings.HasPrefix(reference, "//") {
		host := strings.TrimLeft(reference, "/")
		if end := strings.IndexAny(host, "/?#"); end >= 0 {
			host = host[:end]
		}
		return "https://" + host
	}
	return "https://shop.example.com"
}
