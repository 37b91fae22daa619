package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// free is an address nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

func TestApplicationIsNotThere(t *testing.T) {
	r := newRig(t, parts{application: free(t), upstream: "http://127.0.0.1:1"})
	for _, method := range []string{"GET", "POST"} {
		answer := r.do(r.call(method, "/"))
		if got := code(t, answer); answer.StatusCode != 503 || got != "application_unreachable" || answer.Header.Get("Connection") != "close" {
			t.Errorf("%s: %d %s %v", method, answer.StatusCode, got, answer.Header)
		}
	}
}

// An application that restarts is found at the second try, if the request can
// be repeated.
func TestApplicationComesBack(t *testing.T) {
	address := free(t)
	r := newRig(t, parts{application: address, upstream: "http://127.0.0.1:1"})
	server := &http.Server{Handler: http.HandlerFunc(ok), ReadHeaderTimeout: time.Second}
	defer server.Close()
	answered := make(chan *http.Response)
	go func() { answered <- r.do(r.call("GET", "/")) }()
	listener, err := net.Listen("tcp", address)
	must(t, err)
	go func() { _ = server.Serve(listener) }()
	if answer := <-answered; answer.StatusCode != http.StatusOK {
		t.Errorf("%d %s", answer.StatusCode, code(t, answer))
	}
}

// Applications listen on either loopback address.
func TestLocalhostIsEitherFamily(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	server := &http.Server{Handler: http.HandlerFunc(ok), ReadHeaderTimeout: time.Second}
	defer server.Close()
	go func() { _ = server.Serve(listener) }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	r := newRig(t, parts{application: "localhost:" + port, upstream: "http://127.0.0.1:1"})
	if answer := r.do(r.call("GET", "/")); answer.StatusCode != http.StatusOK {
		t.Errorf("%d %s", answer.StatusCode, code(t, answer))
	}
}

func TestApplicationIsPublicUnlessLoginIsRequired(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{application: strings.TrimPrefix(u.URL, "http://"), upstream: "http://127.0.0.1:1"})
	req := r.call("GET", "/")
	req.Header = http.Header{}
	if answer := r.do(req); answer.StatusCode != http.StatusOK || answer.Header.Get("Cache-Control") != "" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
}

// GAP-02, COOK-08, COOK-09: only navigations are sent to the login, and one
// that another site started gets the chance to bring its Strict cookie first.
func TestRequireLogin(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{application: strings.TrimPrefix(u.URL, "http://"), upstream: "http://127.0.0.1:1", requireLogin: true})
	const navigate, html = "Sec-Fetch-Mode: navigate", "Accept: text/html,*/*"
	for name, c := range map[string]struct {
		method   string
		headers  []string
		session  bool
		status   int
		location string
	}{
		"navigation":                  {"GET", []string{navigate, "Sec-Fetch-Site: none"}, false, 303, "/bff/login?returnTo=%2Fa%3Fb%3D%22c%26d"},
		"navigation of an old client": {"GET", []string{html}, false, 303, "/bff/login?returnTo=%2Fa%3Fb%3D%22c%26d"},
		"fetch":                       {"GET", []string{"Sec-Fetch-Mode: cors", html}, false, 401, ""},
		"script":                      {"GET", []string{"Sec-Fetch-Mode: no-cors"}, false, 401, ""},
		"form":                        {"POST", []string{navigate, "Sec-Fetch-Site: same-origin"}, false, 401, ""},
		"curl":                        {"GET", []string{"Accept: */*"}, false, 401, ""},
		"link of another site":        {"GET", []string{navigate, "Sec-Fetch-Site: cross-site"}, false, 200, ""},
		"session":                     {"GET", []string{navigate, "Sec-Fetch-Site: none"}, true, 200, ""},
	} {
		before := len(u.requests())
		req := r.call(c.method, `/a?b="c&d`, c.headers...)
		if !c.session {
			req.Header.Del("Cookie")
		}
		answer := r.do(req)
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != c.status || answer.Header.Get("Location") != c.location {
			t.Errorf("%s: %d %q", name, answer.StatusCode, answer.Header.Get("Location"))
		}
		if arrived := len(u.requests()) > before; arrived != c.session {
			t.Errorf("%s: reached the application: %t", name, arrived)
		}
		if name == "link of another site" && !strings.Contains(string(body), `content="0; url=/a?b=&#34;c&amp;d"`) {
			t.Errorf("%s: %s", name, body)
		}
		want := "no-store"
		if c.session {
			want = "private, no-cache"
		}
		if got := answer.Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q", name, got)
		}
	}
}

func TestRequireLoginWhileTheStoreIsAway(t *testing.T) {
	r := newRig(t, parts{application: free(t), upstream: "http://127.0.0.1:1", requireLogin: true, sessions: failing{find: session.ErrUnavailable}})
	answer := r.do(r.call("GET", "/", "Sec-Fetch-Mode: navigate"))
	if got := code(t, answer); answer.StatusCode != 503 || got != "store_unavailable" {
		t.Errorf("%d %s: a login now would throw away a session that is there", answer.StatusCode, got)
	}
}

// GAP-01: a session opens no socket of the application for another origin, not
// even for a sibling of ours, whose requests bring the cookie along.
func TestSocketOfTheApplicationIsForOurPages(t *testing.T) {
	u := newUpstream(t, echo)
	application := strings.TrimPrefix(u.URL, "http://")
	for origin, want := range map[string]int{publicOrigin: 101, "https://evil.example.com": 403, "null": 403, "": 403} {
		for login, want := range map[bool]int{true: want, false: 101} { // without a login the application looks after itself
			r := newRig(t, parts{upstream: "http://127.0.0.1:1", application: application, requireLogin: login})
			conn := dial(t, r.serve(t))
			req := r.request(t, "GET", "http://shop/socket", nil, "Connection: Upgrade", "Upgrade: websocket")
			if origin != "" {
				req.Header.Set("Origin", origin)
			}
			before := len(u.requests())
			must(t, req.Write(conn))
			answer, err := http.ReadResponse(bufio.NewReader(conn), req)
			must(t, err)
			if answer.StatusCode != want || (len(u.requests()) > before) != (want == 101) {
				t.Errorf("Origin %q, login required: %t: %s, %d requests", origin, login, answer.Status, len(u.requests())-before)
			}
		}
	}
}
