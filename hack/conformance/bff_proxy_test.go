//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

func TestBFF_05_CookiesStayAndTheSessionsTokenGoes(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-05", "DPOP-06", "SEC-15", "OA-11")
	w := newWorld(t)
	w.Login()
	token := w.AS.Tokens()[0].Value
	cookie := cookieName + "=" + w.Cookie()
	for name, lines := range map[string]string{
		"one cookie":               "Cookie: " + cookie + "\r\n",
		"among others":             "Cookie: theme=dark; " + cookie + "; lang=de\r\n",
		"two lines":                "Cookie: theme=dark\r\ncookie: " + cookie + "\r\n",
		"with a transaction":       "Cookie: " + cookie + "; " + transactions + "AAAAAAAAAAAAAAAA=secret-transaction\r\n",
		"chunked names":            "Cookie: " + cookie + "; " + cookieName + "-0=secret-chunk; " + cookieName + ".1=secret-chunk\r\n",
		"name in other case":       "Cookie: " + cookie + "; __HOST-HTTP-BFF=secret-other\r\n",
		"own Authorization":        "Cookie: " + cookie + "\r\nAuthorization: Bearer evil\r\n",
		"Authorization twice":      "Cookie: " + cookie + "\r\nauthorization: Bearer evil\r\nAUTHORIZATION: Basic evil\r\n",
		"own proof":                "Cookie: " + cookie + "\r\nDPoP: evil\r\ndpop: evil\r\n",
		"Authorization with _":     "Cookie: " + cookie + "\r\nProxy-Authorization: Basic evil\r\nProxy_Authorization: Basic evil\r\n",
		"named as hop by hop":      "Cookie: " + cookie + "\r\nConnection: Authorization, Cookie\r\n",
		"token in the query":       "Cookie: " + cookie + "\r\n",
		"cookie of a weird format": "Cookie: ;;" + cookie + ";=; x\r\n",
	} {
		w.RS.Forget()
		target := "/api/x"
		if name == "token in the query" {
			target += "?access_token=evil"
		}
		w.UA.Raw(shopURL, "GET "+target+" HTTP/1.1\r\nHost: shop.example.test\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\n"+lines+"\r\n")
		got := w.RS.Last()
		if got == nil {
			t.Errorf("%s: no call arrived", name)
			continue
		}
		if values := got.Header.Values("Authorization"); len(values) != 1 || values[0] != "Bearer "+token {
			t.Errorf("%s: Authorization %q", name, values)
		}
		head := strings.ToLower(got.Head)
		if strings.Contains(strings.ReplaceAll(head, "?access_token=evil", ""), "evil") || strings.Contains(head, "secret-") || strings.Contains(head, "__host-http-bff") || strings.Contains(got.Head, w.Cookie()) || len(got.Header.Values("Dpop")) != 0 {
			t.Errorf("%s: the API was sent\n%s", name, got.Head)
		}
	}
}

func TestBFF_06_AnswersPassAsTheyAre(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-06")
	w := newWorld(t)
	w.Login()
	for _, status := range []int{200, 201, 204, 206, 301, 304, 400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 502, 503} {
		w.RS.Answer(func(*rs.Request) rs.Reply {
			return rs.Reply{Status: status, Fields: rs.Fields("Content-Type", "text/x-thing", "X-Thing", "a", "X-Thing", "b", "ETag", `"e"`), Body: []byte("body")}
		})
		r := w.Call("GET", "/api/x")
		if status == http.StatusUnauthorized {
			w.AS.Heal() // a renewal may have been tried
		}
		body := "body"
		if status == 204 || status == 304 {
			body = ""
		}
		if r.Status != status || r.Body != body || status != 304 && r.Header.Get("Content-Type") != "text/x-thing" || len(r.Header.Values("X-Thing")) != 2 || r.Header.Get("ETag") != `"e"` {
			t.Errorf("%d: %s with %v", status, r, r.Header)
		}
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	w.RS.Answer(func(*rs.Request) rs.Reply { return rs.Reply{Body: big} })
	if r := w.Call("GET", "/api/big"); r.Body != string(big) {
		t.Errorf("%d bytes arrived of %d", len(r.Body), len(big))
	}
	w.RS.Answer(func(*rs.Request) rs.Reply {
		return rs.Reply{Fields: rs.Fields("Trailer", "X-Sum"), Body: []byte("chunk"), Trailer: rs.Fields("X-Sum", "42")}
	})
	if r := w.Call("GET", "/api/trailer"); r.Body != "chunk" || r.Trailer.Get("X-Sum") != "42" {
		t.Errorf("%s with trailer %v", r, r.Trailer)
	}
	big = big[:3<<20]
	w.RS.Answer(rs.Echo)
	call := w.CallOf("POST", "/api/upload")
	call.Body = big
	w.UA.Fetch(call)
	if got := w.RS.Last(); !bytes.Equal(got.Body, big) {
		t.Errorf("%d bytes were sent on of %d", len(got.Body), len(big))
	}
}

func TestBFF_06_StreamsFlow(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-06")
	w := newWorld(t)
	w.Login()
	next := make(chan struct{})
	w.RS.Answer(func(*rs.Request) rs.Reply {
		return rs.Reply{Fields: rs.Fields("Content-Type", "text/event-stream"), Stream: func(write func([]byte) error) {
			for i := range 3 {
				if write(fmt.Appendf(nil, "data: %d\n\n", i)) != nil {
					return
				}
				<-next // the browser has the last one
			}
		}}
	})
	r := w.UA.EventSource(w.Shop("/api/stream"))
	in := bufio.NewScanner(r.Body)
	for i := range 3 {
		for in.Scan() && in.Text() == "" {
		}
		if in.Text() != fmt.Sprintf("data: %d", i) {
			t.Fatalf("event %d is %q: %v", i, in.Text(), in.Err())
		}
		next <- struct{}{}
	}
	if r.StatusCode != http.StatusOK {
		t.Error(r.Status)
	}
}

func TestBFF_06_AnUpstreamCannotSetOurCookies(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-06")
	w := newWorld(t)
	w.Login()
	cookie := w.Cookie()
	answer := func(*rs.Request) rs.Reply {
		var fields []rs.Field
		for _, name := range []string{cookieName, strings.ToLower(cookieName), transactions + "AAAAAAAAAAAAAAAA", " " + cookieName} {
			fields = append(fields, rs.Fields("Set-Cookie", name+"=evil; Path=/; Secure; HttpOnly; SameSite=Strict",
				"set-cookie", name+"=; Path=/; Secure; HttpOnly; Max-Age=0")...)
		}
		return rs.Reply{Fields: append(fields, rs.Fields("Set-Cookie", "theme=dark; Path=/", "Clear-Site-Data", `"cookies"`)...)}
	}
	w.RS.Answer(answer)
	w.App.Answer(answer)
	for _, r := range []*struct{ Header http.Header }{{w.Call("GET", "/api/x").Header}, {w.UA.Navigate(w.Shop("/page")).Header}} {
		for _, line := range r.Header.Values("Set-Cookie") {
			if strings.Contains(strings.ToLower(line), "bff") {
				t.Errorf("passed: %s", line)
			}
		}
	}
	if w.Cookie() != cookie || !w.Session().Authenticated {
		t.Error("the session was replaced")
	}
}

func TestBFF_32_NothingMovesTheTarget(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-32", "SEC-26")
	w := newWorld(t)
	stranger := rs.Start(t, rs.Options{})
	w.Login()
	ordinary := "Host: shop.example.test\r\n"
	for name, request := range map[string]string{
		"absolute form":      "GET http://" + stranger.Address + "/api/x HTTP/1.1\r\n" + ordinary,
		"absolute, own host": "GET https://shop.example.test/api/x HTTP/1.1\r\n" + ordinary,
		"odd Host":           "GET /api/x HTTP/1.1\r\nHost: " + stranger.Address + "\r\n",
		"Host twice":         "GET /api/x HTTP/1.1\r\n" + ordinary + "Host: " + stranger.Address + "\r\n",
		"X-Forwarded-Host":   "GET /api/x HTTP/1.1\r\n" + ordinary + "X-Forwarded-Host: " + stranger.Address + "\r\nForwarded: host=" + stranger.Address + "\r\n",
		"X-Original-URL":     "GET /api/x HTTP/1.1\r\n" + ordinary + "X-Original-URL: http://" + stranger.Address + "/\r\nX-Rewrite-URL: /admin\r\n",
		"CONNECT":            "CONNECT " + stranger.Address + " HTTP/1.1\r\nHost: " + stranger.Address + "\r\n",
		"user in authority":  "GET //" + stranger.Address + "/api/x HTTP/1.1\r\n" + ordinary,
		"@ in path":          "GET /api/x@" + stranger.Address + "/ HTTP/1.1\r\n" + ordinary,
	} {
		w.UA.Raw(shopURL, request+"X-CSRF: 1\r\nCookie: $COOKIES\r\nConnection: close\r\n\r\n")
		for _, got := range w.RS.Requests() {
			if !strings.HasPrefix(got.Target, "/api/x") || strings.Contains(strings.ReplaceAll(got.Head, "x@"+stranger.Address, ""), stranger.Address) {
				t.Errorf("%s: the API was sent\n%s", name, got.Head)
			}
		}
		w.RS.Forget()
	}
	if n := len(stranger.Requests()); n != 0 {
		t.Errorf("%d requests have reached a stranger", n)
	}
	for _, path := range []string{"/", "/nothing", "/apis", "/ap", "/API/x"} { // what no route names goes to the application, without a token
		w.Call("GET", path)
		if got := w.App.Last(); got == nil || got.Target != path || got.Header.Get("Authorization") != "" {
			t.Errorf("%s: the application was sent %v", path, got)
		}
	}
	w.WantUpstream(0)
}

func TestBFF_33_ThePathAuthorisedIsThePathSent(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-33", "GAP-11")
	w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Routes = s.Routes[:1]
		s.Routes[0].Path = "/api/public"
	}))
	w.Login()
	for _, target := range []string{
		"/api/public/../private", "/api/public/%2e%2e/private", "/api/public/%2E%2E/private", "/api/public/%252e%252e/private", "/api/public/..%2fprivate", "/api/public/..;/private",
		"/api/public/.%2e/private", `/api/public/..\private`, `/api/public\..\private`, "/api/public/%5c../private", "/api/public/%00/private", "/api/public/a%0d%0aX-Evil:%201", "//api/public/x", "/api//public/x",
		"/api/public//evil.test/x", "/api/public/./x", "/API/public/x", "/api/Public/x", "/api/public./x", "/api/public%2fx", "/api%2fpublic/x", "/api/private?x=/api/public/", "/api/private#/api/public/", "/api/private%23/api/public/", "/api/private%3f/api/public",
		"/api/public/%c0%ae%c0%ae/private", "/api/public/%u002e%u002e/private", "/api/public/..%c0%af", "/api/public/%", "/api/public/%zz", "/api/public;a=b/x", "/api/public/;/../private", "/%61pi/public/x", "/api/publi%63/x", "/api/public/%2e%2e%2fprivate", "/api/public/%2e/x", "/api/public/..", "/api/public/%2e%2e",
	} {
		w.RS.Forget()
		w.App.Forget()
		w.UA.Raw(shopURL, "GET "+target+" HTTP/1.1\r\nHost: shop.example.test\r\nX-CSRF: 1\r\nCookie: $COOKIES\r\nConnection: close\r\n\r\n")
		for _, got := range w.RS.Requests() {
			sent, _, _ := strings.Cut(got.Target, "?")
			// However often a server decodes it, and whatever it takes for a separator, the
			// path must stay where it was allowed.
			for decoded := sent; ; {
				plain := strings.NewReplacer(`\`, "/", ";", "/").Replace(decoded)
				if clean := path.Clean(plain); clean != "/api/public" && !strings.HasPrefix(clean, "/api/public/") || strings.ContainsAny(plain, "\x00\r\n") {
					t.Errorf("%s: the API was sent %s, which may be read as %s", target, got.Target, clean)
				}
				next, err := url.PathUnescape(decoded)
				if err != nil || next == decoded {
					break
				}
				decoded = next
			}
			if got.Header.Get("X-Evil") != "" {
				t.Errorf("%s: a header was injected:\n%s", target, got.Head)
			}
		}
		for _, got := range w.App.Requests() {
			if got.Header.Get("Authorization") != "" {
				t.Errorf("%s: the application was sent a token", target)
			}
		}
	}
	for _, target := range []string{"/api/public", "/api/public/x", "/api/public/x/?q=%2e%2e%2f&y=/../", "/api/public/a%20b", "/api/public/%C3%BC", "/api/public/a+b~c!$&'()*,=:@"} {
		w.RS.Forget()
		w.Call("GET", target)
		if got := w.RS.Last(); got == nil || got.Target != target {
			t.Errorf("%s arrived as %v", target, got)
		}
	}
}

func TestBFF_34_ARouteIsAHostAndAPath(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-34", "BFF-32")
	for name, spoil := range map[string]func(*v1alpha1.Route){
		"path":         func(r *v1alpha1.Route) { r.Path = "" },
		"upstream":     func(r *v1alpha1.Route) { r.Upstream.URL = "" },
		"with a path":  func(r *v1alpha1.Route) { r.Upstream.URL = "http://127.0.0.1:1/x" },
		"upstream any": func(r *v1alpha1.Route) { r.Upstream.URL = "http://*" },
		"public http":  func(r *v1alpha1.Route) { r.Upstream.URL = "http://api.example.com" },
		"path up":      func(r *v1alpha1.Route) { r.Path = "/api/../x" },
	} {
		t.Run(name, func(t *testing.T) {
			prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { spoil(&s.Routes[0]) })).WantNoStart("spec.routes[0]")
		})
	}
	t.Run("at run time", func(t *testing.T) {
		w := newWorld(t)
		w.Login()
		extra := rs.Start(t, rs.Options{})
		w.Repolicy(func(s *v1alpha1.BFFPolicySpec) {
			s.Routes = append(s.Routes, v1alpha1.Route{Name: "wide", Upstream: v1alpha1.Upstream{URL: extra.URL}})
		})
		w.Eventually("the reload is refused", func() bool {
			status, err := w.Replicas[0].Status()
			return err == nil && strings.Contains(status, "spec.routes[3]")
		})
		for _, path := range []string{"/", "/x", "/api/x"} {
			w.Call("GET", path)
		}
		if len(extra.Requests()) != 0 {
			t.Error("the route without a path was served")
		}
		w.WantUpstream(1) // what was in force goes on
	})
}

func TestBFF_34_RedirectsOfAnUpstreamAreNotFollowed(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-34")
	w := newWorld(t)
	stranger := rs.Start(t, rs.Options{})
	w.Login()
	for _, status := range []int{301, 302, 303, 307, 308} {
		w.RS.Answer(func(*rs.Request) rs.Reply {
			return rs.Reply{Status: status, Fields: rs.Fields("Location", stranger.URL+"/steal")}
		})
		for _, method := range []string{"GET", "POST"} {
			if r := w.Call(method, "/api/x"); r.Status != status {
				t.Errorf("%s %d: %s", method, status, r)
			}
		}
	}
	if len(stranger.Requests()) != 0 {
		t.Errorf("followed, with %v", stranger.Last().Header)
	}
}

func TestBFF_35_MethodsNotListedAreRefusedHere(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-35")
	w := newWorld(t)
	w.Login()
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND"} {
		r := w.Call(method, "/api/readonly/x")
		if r.Status != http.StatusMethodNotAllowed || method != "HEAD" && !strings.Contains(r.Header.Get("Allow"), "GET") {
			t.Errorf("%s: %s, Allow %q", method, r, r.Header.Get("Allow"))
		}
	}
	w.WantUpstream(0)
	if r := w.Call("GET", "/api/readonly/x"); r.Status != http.StatusOK {
		t.Error(r)
	}
}

func TestBFF_37_TheAPILearnsTheClientsAddressFromUsAlone(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-37", "SEC-25")
	for name, test := range map[string]struct {
		trusted []string
		sent    string
		want    string
	}{
		"spoofed":                {nil, "6.6.6.6", "127.0.0.1"},
		"behind a trusted proxy": {[]string{"127.0.0.0/8"}, "203.0.113.7", "203.0.113.7"},
		"spoofed behind one":     {[]string{"127.0.0.0/8"}, "6.6.6.6, 203.0.113.7", "203.0.113.7"},
		"nonsense behind one":    {[]string{"127.0.0.0/8"}, "6.6.6.6, nonsense", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.TrustedProxies = test.trusted }))
			w.Login()
			call := w.CallOf("GET", "/api/x")
			call.Header = http.Header{"X-Csrf": {"1"}, "X-Forwarded-For": {test.sent}, "Forwarded": {"for=6.6.6.6"}, "X-Real-Ip": {"6.6.6.6"}, "X_forwarded_for": {"6.6.6.6"}, "True-Client-Ip": {"6.6.6.6"}}
			w.UA.Fetch(call)
			got := w.RS.Last()
			if got == nil || strings.Contains(got.Head, "6.6.6.6") {
				t.Fatalf("the API was sent\n%v", got)
			}
			addresses := strings.Split(got.Header.Get("X-Forwarded-For"), ",")
			if len(got.Header.Values("X-Forwarded-For")) != 1 || net.ParseIP(strings.TrimSpace(addresses[0])) == nil || strings.TrimSpace(addresses[0]) != test.want {
				t.Errorf("X-Forwarded-For: %q, want %s", got.Header.Values("X-Forwarded-For"), test.want)
			}
		})
	}
}

func TestBFF_40_OurOwnPagesHaveAStrictPolicy(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-40", "GAP-12", "SEC-16", "OA-14", "OIDC-18")
	w := newWorld(t, hintInForm())
	login := w.Login()
	pages := append(login.Hops[:len(login.Hops):len(login.Hops)],
		w.UA.Navigate(w.Shop("/bff/callback?state=x&code=y")), w.UA.Navigate(w.Shop("/bff/login?returnTo=//e")), w.UA.Navigate(w.Shop("/bff/logout?sid=x")))
	w.AS.Fault(as.Token, 1, http.StatusServiceUnavailable)
	pages = append(pages, w.LoginAt(w.NewAgent(), ""))
	if target, err := url.Parse(w.Logout()); err == nil && (target.Host == "" || target.Host == hostOf(shopURL)) {
		pages = append(pages, w.UA.Navigate(w.Shop(target.RequestURI())).Hops...)
	}
	checked := 0
	for _, page := range pages {
		if page.URL.Hostname() != hostOf(shopURL) || page.Body == "" || page.URL.Path == "/" {
			continue
		}
		checked++
		policy := page.Header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, directive) {
				t.Errorf("%s has the policy %q, which lacks %s", page, policy, directive)
			}
		}
		for _, loose := range []string{"unsafe-inline", "unsafe-eval", "*"} {
			if strings.Contains(policy, loose) {
				t.Errorf("%s has the policy %q", page, policy)
			}
		}
		if page.Header.Get("Referrer-Policy") != "no-referrer" || page.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(page.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s has %v", page, page.Header)
		}
		for _, outside := range []string{"<script src", "http://", "https://", "<link", "<img", "<iframe"} {
			if strings.Contains(page.Body, outside) && !strings.Contains(page.URL.Path, "/logout") {
				t.Errorf("%s has %s in\n%s", page, outside, page.Body)
			}
		}
	}
	if checked < 4 {
		t.Errorf("only %d pages were seen", checked)
	}
}
