package proxy_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
)

const authority = "shop.example.com"

// BFF-33, GAP-11: paths that two servers could read differently are refused.
func TestParseTargetRefuses(t *testing.T) {
	for name, targets := range map[string][]string{
		"dot segments":                      {"/api/../admin", "/api/..", "/..", "/.", "/api/./x", "/api/.", "/api/../"},
		"encoded dot segments":              {"/api/%2e%2e/admin", "/api/.%2e/x", "/api/%2E./x", "/api/%2e", "/%2e%2e"},
		"dot segments with path parameters": {"/api/..;/admin", "/api/..;x=1/admin", "/api/%2e%2e;/x", "/api/..%3b/x", "/api/.;/x"},
		"encoded separators":                {"/api%2fadmin", "/api/..%2fprivate", "/api%2Fx", "/api%5cx", "/api/..%5c..%5cx"},
		"double encoding": {"/api/%252e%252e/x", "/api%252fx", "/api/%25252e/x", "/api%255cx", "/api/%2561dmin",
			"/api/%25%32e", "/api/%25%32%65", "/api/%252%65", "/api/%2500"},
		"empty segments":                  {"//evil.example", "/api//x", "//", "/api/x//", "/;x/", "/api/;x", "/api/;"},
		"backslashes":                     {`/api\..\x`, `\api`, `/\evil.example`},
		"control characters":              {"/api/%00", "/api/x%0d%0aHost:%20x", "/api/%7f", "/api/\x01", "/api/\t", "/api/\n"},
		"characters that must be encoded": {"/api/ x", `/api/"`, "/api/<x>", "/api/`", "/api/ö", "/api#x", "/api/{x}"},
		"broken encoding":                 {"/api/%", "/api/%2", "/api/%zz", "/api/%u002e", "/api/%-1"},
		"bytes that are not UTF-8":        {"/api/%c0%ae%c0%ae/x", "/api/%c0%af", "/api/%ff", "/api/%e0%80%ae", "/api/%ed%a0%80"},
		"other forms": {"", "*", "api", "?x", "@evil.example/", "http:/x", "ftp://shop.example.com/", "shop.example.com:443",
			"/api?a b", "/api?a\x00", "/api?x#y"},
		"another authority": {"http://evil.example/api", "https://shop.example.com.evil.example/", "http://shop.example.com@evil.example/",
			"http://evil.example@shop.example.com/", "http://shop.example.com:81/", "http:///api", "http://"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, target := range targets {
				if p, err := proxy.ParseTarget(target, authority); err == nil {
					t.Errorf("%q was read as %+v", target, p)
				}
			}
		})
	}
}

func TestParseTargetReads(t *testing.T) {
	for target, want := range map[string]proxy.Path{
		"/":                            {Decoded: "/", Bare: "/", Escaped: "/"},
		"/api/orders":                  {Decoded: "/api/orders", Bare: "/api/orders", Escaped: "/api/orders"},
		"/api/":                        {Decoded: "/api/", Bare: "/api/", Escaped: "/api/"},
		"/api?":                        {Decoded: "/api", Bare: "/api", Escaped: "/api", HasQuery: true},
		"/api?a=b?&c=%2e%zz;d":         {Decoded: "/api", Bare: "/api", Escaped: "/api", Query: "a=b?&c=%2e%zz;d", HasQuery: true},
		"/a%70i/%7Ex":                  {Decoded: "/api/~x", Bare: "/api/~x", Escaped: "/api/~x"},
		"/file%2ejs":                   {Decoded: "/file.js", Bare: "/file.js", Escaped: "/file.js"},
		"/api/%c3%b6":                  {Decoded: "/api/ö", Bare: "/api/ö", Escaped: "/api/%C3%B6"},
		"/a%20b/100%25":                {Decoded: "/a b/100%", Bare: "/a b/100%", Escaped: "/a%20b/100%25"},
		"/x%3f%23y":                    {Decoded: "/x?#y", Bare: "/x?#y", Escaped: "/x%3F%23y"},
		"/a%2bb+c":                     {Decoded: "/a+b+c", Bare: "/a+b+c", Escaped: "/a%2Bb+c"},
		"/o;c=red/5;d":                 {Decoded: "/o;c=red/5;d", Bare: "/o/5", Escaped: "/o;c=red/5;d"},
		"/@scope/[id]/...":             {Decoded: "/@scope/[id]/...", Bare: "/@scope/[id]/...", Escaped: "/@scope/[id]/..."},
		"/.well-known/x":               {Decoded: "/.well-known/x", Bare: "/.well-known/x", Escaped: "/.well-known/x"},
		"HTTPS://Shop.Example.com/a?b": {Decoded: "/a", Bare: "/a", Escaped: "/a", Query: "b", HasQuery: true},
		"http://shop.example.com":      {Decoded: "/", Bare: "/", Escaped: "/"},
		"http://shop.example.com?q":    {Decoded: "/", Bare: "/", Escaped: "/", Query: "q", HasQuery: true},
	} {
		got, err := proxy.ParseTarget(target, authority)
		if err != nil || got != want {
			t.Errorf("%q was read as %+v, %v; want %+v", target, got, err, want)
		}
	}
}

func newTable(t testing.TB) *proxy.Table {
	t.Helper()
	route := func(name, path string, methods ...v1alpha1.Method) v1alpha1.Route {
		return v1alpha1.Route{Name: name, Path: path, Methods: methods, Upstream: v1alpha1.Upstream{URL: "http://" + name + ".svc"}}
	}
	table, err := proxy.NewTable("/bff", []v1alpha1.Route{
		route("api", "/api"), route("admin", "/api/admin", "GET"), route("orders", "/api/orders"), route("dollar", "/api/$x"),
	}, func(*v1alpha1.Route) http.RoundTripper { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// where names what a target leads to: an endpoint, a route's name, the
// application ("app"), or a refusal ("400").
func where(table *proxy.Table, target string) string {
	p, err := proxy.ParseTarget(target, authority)
	if err != nil {
		return "400"
	}
	found, err := table.Find(p)
	switch {
	case err != nil:
		return "400"
	case found.Class == proxy.ToEndpoint:
		return "endpoint:" + found.Endpoint
	case found.Class == proxy.ToRoute:
		return found.Route.Name
	}
	return "app"
}

// BFF-32: the longest route on segment boundaries wins; what none matches is
// the application's.
func TestFind(t *testing.T) {
	table := newTable(t)
	for target, want := range map[string]string{
		"/api":                "api",
		"/api/":               "api",
		"/api/x":              "api",
		"/apis":               "app",
		"/api.":               "app",
		"/API":                "app",
		"/":                   "app",
		"/index.html?x=/api/": "app",
		"/api/admin":          "admin",
		"/api/admin/":         "admin",
		"/api/admin?x":        "admin",
		"/api/administrator":  "api",
		"/api/%61dmin/x":      "admin",
		"/%61pi/orders/1":     "orders",
		"/api/%24x":           "dollar",
		"/api/x?y=/../admin":  "api",
		"/bff":                "endpoint:",
		"/bff/login?x":        "endpoint:/login",
		"/%62ff/login":        "endpoint:/login",
		"/bffx":               "app",
		// Path parameters: a server that drops them must not see another route.
		"/api/orders/5;v=1":  "orders",
		"/api/orders;v=1/5":  "400",
		"/api/admin;v=1/x":   "400",
		"/api/admin%3bv=1/x": "400",
		"/api;v=1/x":         "400",
		"/bff;x/login":       "400",
		"/page;v=1":          "app",
	} {
		if got := where(table, target); got != want {
			t.Errorf("%q leads to %s, want %s", target, got, want)
		}
	}
}

// FuzzParseTarget holds what is sent against what was authorised, decoded the
// ways that servers are known to decode.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"/api/orders?x=1", "/api/%2e%2e/admin", "/api/..;/x", "/a%70i;x/%25", "/api/%2561dmin",
		"http://shop.example.com/api", "/api//x", "/%c0%ae", "/api/%24x/%25%32e", "/x%3f/y;z=1/"} {
		f.Add(seed)
	}
	table := newTable(f)
	f.Fuzz(func(t *testing.T, target string) {
		p, err := proxy.ParseTarget(target, authority)
		if err != nil {
			return
		}
		found, err := table.Find(p)
		if err != nil {
			return
		}
		again, err := proxy.ParseTarget(p.Target(), authority)
		if err != nil || again != p {
			t.Fatalf("%q: what is sent, %q, is read differently: %+v, %v", target, p.Target(), again, err)
		}

		once, err := url.PathUnescape(p.Escaped)
		if err != nil || once != p.Decoded {
			t.Fatalf("%q: sent %q decodes to %q, authorised was %q", target, p.Escaped, once, p.Decoded)
		}
		readings := []string{once, dropParameters(once)}
		if twice, err := url.PathUnescape(once); err == nil {
			readings = append(readings, twice, dropParameters(twice))
		}
		for _, reading := range readings {
			reading = resolve(strings.ReplaceAll(reading, `\`, "/"))
			var class proxy.Class
			var name string
			if q, err := proxy.ParseTarget((&url.URL{Path: reading}).EscapedPath(), authority); err != nil {
				t.Fatalf("%q: a server may read %q", target, reading)
			} else if other, err := table.Find(q); err == nil && other.Route != nil {
				class, name = other.Class, other.Route.Name
			} else {
				class = other.Class
			}
			if class != found.Class || found.Route != nil && found.Route.Name != name {
				t.Fatalf("%q: authorised as %v %v, but a server may read %q", target, found.Class, found.Route, reading)
			}
		}
	})
}

func dropParameters(path string) string {
	segments := strings.Split(path, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	return strings.Join(segments, "/")
}

// resolve merges slashes and resolves dot segments as a file server does.
func resolve(path string) string {
	var out []string
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		switch {
		case segment == "..":
			out = out[:max(0, len(out)-1)]
		case segment == ".", segment == "" && i < len(segments)-1:
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}
