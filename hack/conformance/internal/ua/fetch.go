package ua

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Call is a request by a script.
type Call struct {
	Method string // default GET
	URL    string
	// From is the page the script runs in. Default: the root of URL's origin.
	From string
	// Header of the script's own choice.
	Header http.Header
	Body   []byte
	// Omit leaves cookies out (credentials: "omit").
	Omit bool
}

// Fetch makes a call and does not follow redirects. Unlike a browser it asks for
// no preflight and lets the test read every answer.
func (a *Agent) Fetch(c Call) *Response {
	a.t.Helper()
	return a.must(a.TryFetch(c))
}

// TryFetch is Fetch for calls that may fail, and for other goroutines than the
// test's.
func (a *Agent) TryFetch(c Call) (*Response, error) {
	r, site, err := a.fetchRequest(c)
	if err != nil {
		return nil, err
	}
	return a.send(r, site == "cross-site", false, !c.Omit)
}

func (a *Agent) fetchRequest(c Call) (*http.Request, string, error) {
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequest(method, c.URL, bytes.NewReader(c.Body))
	if err != nil {
		return nil, "", err
	}
	from := r.URL
	if c.From != "" {
		if from, err = url.Parse(c.From); err != nil {
			return nil, "", err
		}
	}
	site := relation(from, r.URL)
	h := r.Header
	h.Set("Accept", "*/*")
	h.Set("User-Agent", userAgent)
	h.Set("Sec-Fetch-Site", site)
	h.Set("Sec-Fetch-Mode", "cors")
	h.Set("Sec-Fetch-Dest", "empty")
	if site != "same-origin" || method != http.MethodGet && method != http.MethodHead {
		h.Set("Origin", OriginOf(from))
	}
	for name, values := range c.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return r, site, nil
}

// Stream opens an answer that goes on, such as an event stream, and returns it
// unread. It is closed with the test at the latest. What is read through it is
// kept for the leak scan.
func (a *Agent) Stream(c Call) *http.Response {
	a.t.Helper()
	r, site, err := a.fetchRequest(c)
	if err != nil {
		a.t.Fatal(err)
	}
	response, err := a.open(r, site == "cross-site", false, !c.Omit)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = response.Body.Close() })
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(response.Body, noter{a, r.URL}), response.Body}
	return response
}

// EventSource opens an event stream as an EventSource does: no header of its
// own.
func (a *Agent) EventSource(to string) *http.Response {
	a.t.Helper()
	return a.Stream(Call{URL: to, Header: http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-cache"}}})
}

type noter struct {
	a    *Agent
	from *url.URL
}

func (n noter) Write(p []byte) (int, error) {
	n.a.note(n.from, string(p))
	return len(p), nil
}

// Raw sends bytes as they stand to the host of a URL, on a connection of their
// own, and reads what comes until the other side closes, an answer is complete,
// or 10 s have passed. $COOKIES in the bytes stands for the jar's cookies.
func (a *Agent) Raw(to, bytes string) string {
	a.t.Helper()
	conn, in := a.dialRaw(to, bytes)
	defer conn.Close()
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxBody)) // as much as came
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %s\r\n", answer.Status)
	_ = answer.Header.Write(&b) // a strings.Builder takes everything
	text := b.String() + "\r\n" + string(body)
	a.note(a.url(to), text)
	return text
}

func (a *Agent) dialRaw(to, bytes string) (net.Conn, *bufio.Reader) {
	a.t.Helper()
	u := a.url(to)
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if u.Port() != "" {
		port = u.Port()
	}
	conn, err := a.dialTLS(context.Background(), "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		a.t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		a.t.Fatal(err)
	}
	bytes = strings.ReplaceAll(bytes, "$COOKIES", a.Jar.header(u, false, true))
	if _, err := io.WriteString(conn, bytes); err != nil {
		a.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// Socket is a WebSocket after its handshake, as a pair of bytes in and out.
type Socket struct {
	Status int
	Header http.Header
	Body   string // of a refusal
	net.Conn
	In *bufio.Reader
}

// WebSocket does the handshake of a WebSocket from a page (RFC 6455 section
// 4.1). The Origin is that of the page; "-" sends none.
func (a *Agent) WebSocket(to, page string) *Socket {
	a.t.Helper()
	u := a.url(to)
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	origin, site := "", "none"
	if page != "-" {
		from := a.url(page)
		site = relation(from, u)
		origin = "Origin: " + OriginOf(from) + "\r\n"
		if page == "null" {
			origin, site = "Origin: null\r\n", "cross-site"
		}
	}
	cookie := ""
	if held := a.Jar.header(u, site == "cross-site", false); held != "" {
		cookie = "Cookie: " + held + "\r\n"
	}
	conn, in := a.dialRaw(to, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s%sSec-Fetch-Site: %s\r\nSec-Fetch-Mode: websocket\r\nSec-Fetch-Dest: empty\r\n\r\n",
		u.RequestURI(), u.Host, base64.StdEncoding.EncodeToString(key), origin, cookie, site))
	a.t.Cleanup(func() { _ = conn.Close() })
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		a.t.Fatalf("handshake with %s: %v", to, err)
	}
	s := &Socket{Status: answer.StatusCode, Header: answer.Header, Conn: conn, In: in}
	if s.Status != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, maxBody)) // as much as came
		s.Body = string(body)
	}
	a.note(u, fmt.Sprint(s.Status, s.Header, s.Body))
	return s
}
