package ua

import (
	"net/http"
	"net/url"
	"testing"
)

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCookiesThatABrowserKeeps(t *testing.T) {
	for line, kept := range map[string]bool{
		"a=1":                        true,
		"__Host-a=1; Path=/; Secure": true,
		"__Host-a=1; Path=/":         false,
		"__Host-a=1; Secure":         false,
		"__Host-a=1; Path=/; Secure; Domain=example.test": false,
		"__Host-Http-a=1; Path=/; Secure; HttpOnly":       true,
		"__Host-Http-a=1; Path=/; Secure":                 false,
		"__HOST-a=1; Path=/":                              false,
		"__Secure-a=1; Path=/":                            false,
		"a=1; SameSite=None":                              false,
		"a=1; SameSite=None; Secure":                      true,
		"a=1; Domain=example.test":                        true,
		"a=1; Domain=other.test":                          false,
		"a=1; Domain=test":                                false,
		"a=" + long(4096):                                 false,
		"a=" + long(4000):                                 true,
	} {
		var jar Jar
		jar.set(parse(t, "https://shop.example.test/x"), http.Header{"Set-Cookie": {line}})
		if got := len(jar.All()) == 1; got != kept || got == (len(jar.Refused()) == 1) {
			t.Errorf("%.60s: kept %t, want %t: %v", line, got, kept, jar.Refused())
		}
	}
	var jar Jar
	jar.set(parse(t, "http://shop.example.test/x"), http.Header{"Set-Cookie": {"a=1; Secure"}})
	if len(jar.All()) != 0 {
		t.Error("Secure was kept from plain http")
	}
}

func long(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}

func TestCookiesThatABrowserSends(t *testing.T) {
	var jar Jar
	from := parse(t, "https://shop.example.test/")
	jar.set(from, http.Header{"Set-Cookie": {"strict=1; Path=/; SameSite=Strict", "lax=1; Path=/; SameSite=Lax", "none=1; Path=/; SameSite=None; Secure", "deep=1; Path=/deep", "wide=1; Path=/; Domain=example.test"}})
	for _, test := range []struct {
		to                  string
		crossSite, topLevel bool
		want                string
	}{
		{"https://shop.example.test/", false, true, "strict=1; lax=1; none=1; wide=1"},
		{"https://shop.example.test/deep/x", false, false, "strict=1; lax=1; none=1; deep=1; wide=1"},
		{"https://shop.example.test/deeper", false, false, "strict=1; lax=1; none=1; wide=1"},
		{"https://shop.example.test/", true, true, "lax=1; none=1; wide=1"},
		{"https://shop.example.test/", true, false, "none=1"},
		{"https://evil.example.test/", false, true, "wide=1"},
		{"http://shop.example.test/", false, true, "strict=1; lax=1; wide=1"},
		{"https://other.test/", false, true, ""},
	} {
		if got := jar.header(parse(t, test.to), test.crossSite, test.topLevel); got != test.want {
			t.Errorf("%s, cross-site %t, top level %t: %q, want %q", test.to, test.crossSite, test.topLevel, got, test.want)
		}
	}
	jar.set(from, http.Header{"Set-Cookie": {"strict=; Path=/; Max-Age=0"}})
	if jar.Value("strict") != "" || len(jar.All()) != 4 {
		t.Errorf("not deleted: %v", jar.All())
	}
}

func TestSecFetchSiteIsOverTheWholeChain(t *testing.T) {
	shop, sibling, other := parse(t, "https://shop.example.test/"), parse(t, "https://evil.example.test/"), parse(t, "https://id.test/")
	for _, test := range []struct {
		chain []*url.URL
		want  string
	}{
		{nil, "none"},
		{[]*url.URL{shop}, "same-origin"},
		{[]*url.URL{sibling}, "same-site"},
		{[]*url.URL{other}, "cross-site"},
		{[]*url.URL{shop, shop, other}, "cross-site"},
		{[]*url.URL{shop, sibling, shop}, "same-site"},
		{[]*url.URL{other, shop}, "cross-site"},
		{[]*url.URL{opaque}, "cross-site"},
	} {
		if got := (step{to: shop, chain: test.chain}).site(); got != test.want {
			t.Errorf("%v: %s, want %s", test.chain, got, test.want)
		}
	}
}
