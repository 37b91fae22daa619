package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// raw sends bytes and returns the status of each answer until the connection
// ends.
func (w *world) raw(text string) []int {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.traffic)
	must(w.t, err)
	defer conn.Close()
	must(w.t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, text)
	must(w.t, err)
	must(w.t, conn.(*net.TCPConn).CloseWrite())
	var codes []int
	reader := bufio.NewReader(conn)
	for {
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return codes
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		codes = append(codes, answer.StatusCode)
	}
}

// BFF-32, BFF-33, GAP-11: with a session and every header in order, no target
// reaches the API outside what was authorised.
func TestTargetsThatMeanSomethingElse(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	head := fmt.Sprintf("Host: shop.example.com\r\nX-CSRF: 1\r\nCookie: %s=%s\r\nConnection: close\r\n\r\n", session.CookieName, b.cookie())

	for target, want := range map[string]int{
		"/api/ok":                               200,
		"/api/../admin":                         400,
		"/api/%2e%2e/admin":                     400,
		"/api/%252e%252e/admin":                 400,
		"/api/..;/admin":                        400,
		"/api/..%2fadmin":                       400,
		"/api/..%5cadmin":                       400,
		`/api/..\admin`:                         400,
		"//evil.example/api":                    400,
		"/api//evil.example":                    400,
		"/api/%00":                              400,
		"/api/%0d%0aX-Evil:%201":                400,
		"/api/x#/public":                        400,
		"/api;x/orders":                         400,
		"@evil.example/api":                     400,
		"http://evil.example/api":               400,
		"http://shop.example.com@evil.example/": 400,
		"http://shop.example.com/api/ok":        200,
		"evil.example:443":                      400,
		"*":                                     400,
		"/bff/nothing":                          404,
		"/bff":                                  404,
		"/bff/session/":                         404,
		"/bff/..;/api":                          400,
	} {
		if codes := w.raw("GET " + target + " HTTP/1.1\r\n" + head); len(codes) != 1 || codes[0] != want {
			t.Errorf("%q: %v, want %d", target, codes, want)
		}
	}
	for method, want := range map[string]int{"CONNECT": 405, "TRACE": 405, "DELETE": 405, "get": 405, "GET": 200} {
		if codes := w.raw(method + " /api/admin/x HTTP/1.1\r\n" + head); len(codes) != 1 || codes[0] != want {
			t.Errorf("%s: %v, want %d", method, codes, want)
		}
	}
	for _, r := range append(w.api.requests(), w.app.requests()...) {
		if !strings.HasPrefix(r.RequestURI, "/api/ok") && r.RequestURI != "/api/admin/x" {
			t.Errorf("%q arrived", r.RequestURI)
		}
	}
}

// BFF-32: no header moves the target.
func TestHeadersDoNotMoveTheTarget(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	for _, header := range []string{"X-Forwarded-Host: evil.example", "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-HTTP-Method-Override: DELETE",
		"Forwarded: host=evil.example", "X-Host: evil.example", "X-Forwarded-Prefix: /admin"} {
		if call := b.fetch("GET", "/api/orders", header); call.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", header, call.Status)
		}
		name, _, _ := strings.Cut(header, ":")
		if got := w.api.last(t); got.RequestURI != "/api/orders" || got.Method != "GET" || strings.Contains(got.Header.Get(name), "evil") {
			t.Errorf("%s: %s %s %v", header, got.Method, got.RequestURI, got.Header)
		}
	}
}

// Two requests in one: whatever a second server might make of it, it gets one
// request at most, or none.
func TestSmuggledRequests(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	const inner = "GET /api/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	auth := fmt.Sprintf("Host: shop.example.com\r\nX-CSRF: 1\r\nCookie: %s=%s\r\n", session.CookieName, b.cookie())
	for name, text := range map[string]string{
		"both lengths":       "POST /api/a HTTP/1.1\r\n" + auth + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"two lengths":        "POST /api/a HTTP/1.1\r\n" + auth + "Content-Length: 0\r\nContent-Length: 45\r\n\r\n" + inner,
		"odd encoding":       "POST /api/a HTTP/1.1\r\n" + auth + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
		"space before colon": "POST /api/a HTTP/1.1\r\n" + auth + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
		"bare CR in a value": "GET /api/a HTTP/1.1\r\n" + auth + "X: a\rX-CSRF: 1\r\n\r\n",
		"folded header":      "GET /api/a HTTP/1.1\r\n" + auth + "X: a\r\n Transfer-Encoding: chunked\r\n\r\n",
		"two hosts":          "GET /api/a HTTP/1.1\r\n" + auth + "Host: evil.example\r\n\r\n",
		"chunk extension":    "POST /api/a HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\n1;\n" + inner + "\r\n0\r\n\r\n",
	} {
		w.raw(text)
		for _, r := range w.api.requests() {
			if strings.Contains(r.RequestURI, "smuggled") && r.Header.Get("Authorization") != "" {
				t.Errorf("%s: arrived with a token", name)
			}
			if r.Header.Get("Transfer-Encoding") != "" || len(r.TransferEncoding) > 0 && r.ContentLength > 0 {
				t.Errorf("%s: %v %v", name, r.Header, r.TransferEncoding)
			}
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	w := start(t, setup{})
	if codes := w.raw("GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 80<<10) + "\r\n\r\n"); len(codes) != 1 || codes[0] != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v", codes)
	}
}

// BFF-25 to BFF-29, GAP-05: another site makes the browser send its cookies.
// Nothing arrives, and the session survives.
func TestForgedRequests(t *testing.T) {
	w := start(t, setup{})
	b := w.newBrowser()
	b.login()
	evil := "Origin: https://evil.example"
	for _, c := range []struct {
		method, path string
		headers      []string
		status       int
	}{
		{"GET", "/api/orders", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"GET", "/api/orders", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"GET", "/api/orders", []string{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"}, 403},
		{"GET", "/api/orders", nil, 403},
		{"POST", "/api/orders", []string{evil}, 403},
		{"POST", "/api/orders", []string{evil, "Content-Type: text/plain"}, 403},
		{"POST", "/api/orders", []string{evil, "X-CSRF: 1"}, 403},
		{"POST", "/api/orders", []string{"Origin: null"}, 403},
		{"OPTIONS", "/api/orders", []string{evil, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-csrf"}, 403},
		{"GET", "/bff/session", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"GET", "/bff/session", nil, 403},
		{"OPTIONS", "/bff/session", []string{evil, "Access-Control-Request-Method: GET"}, 403},
		{"POST", "/bff/logout", []string{evil, "Sec-Fetch-Site: cross-site"}, 403},
		{"POST", "/bff/logout", []string{evil}, 403},
		{"POST", "/bff/logout", nil, 403},
		{"GET", "/bff/login", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, 400},
		{"GET", "/bff/login", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, 400},
	} {
		answer := b.do(b.request(c.method, c.path, c.headers...))
		if answer.StatusCode != c.status {
			t.Errorf("%s %s %v: %s %s", c.method, c.path, c.headers, answer.Status, answer.body)
		}
		for name := range answer.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s %s %v: answers %s", c.method, c.path, c.headers, name)
			}
		}
	}
	for _, target := range []string{"/bff/logout", "/bff/logout?sid=guess", "/bff/logout?sid="} {
		if answer := b.navigate(target, "cross-site"); answer.StatusCode < 400 {
			t.Errorf("%s: %s", target, answer.Status)
		}
	}
	if n := len(w.api.requests()); n != 0 {
		t.Errorf("%d forged calls arrived", n)
	}
	if call := b.fetch("GET", "/api/orders"); call.StatusCode != http.StatusOK {
		t.Errorf("the session is gone: %s %s", call.Status, call.body)
	}
}

// GAP-01: sockets and streams through the whole sidecar.
func TestWebSocketAndEvents(t *testing.T) {
	w := start(t, setup{api: func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			rw.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(rw, "data: first\n\n")
			_ = http.NewResponseController(rw).Flush()
			<-r.Context().Done()
			return
		}
		conn, buffer, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, buffer)
	}})
	b := w.newBrowser()
	b.login()

	for origin, want := range map[string]int{publicURL: 101, "https://evil.example": 403, "null": 403} {
		conn, err := net.Dial("tcp", w.traffic)
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		fmt.Fprintf(conn, "GET /api/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: %s\r\nCookie: %s=%s\r\n\r\n",
			origin, session.CookieName, b.cookie())
		reader := bufio.NewReader(conn)
		answer, err := http.ReadResponse(reader, nil)
		must(t, err)
		if answer.StatusCode != want {
			t.Errorf("%s: %s", origin, answer.Status)
			continue
		}
		if want == 101 {
			fmt.Fprintln(conn, "hello")
			if line, err := reader.ReadString('\n'); err != nil || line != "hello\n" {
				t.Errorf("%q, %v", line, err)
			}
		}
	}

	r := b.request("GET", "/api/events", "Accept: text/event-stream", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors")
	answer, err := b.client.Do(r)
	must(t, err)
	defer answer.Body.Close()
	if line, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil || line != "data: first\n" {
		t.Errorf("%q, %v", line, err)
	}
}
