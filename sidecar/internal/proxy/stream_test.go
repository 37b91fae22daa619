package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// serve puts a rig on a real port, which streams and upgrades need.
func (r *rig) serve(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(r.handler)
	t.Cleanup(server.Close)
	return server
}

func (r *rig) request(t *testing.T, method, url string, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	must(t, err)
	req.Header.Set("X-CSRF", "1")
	req.Header.Set("Cookie", session.CookieName+"="+r.cookie)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return req
}

// BFF-06: events pass one by one, as they come.
func TestEventsArriveAtOnce(t *testing.T) {
	next := make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	r := newRig(t, parts{upstream: u.URL})
	// As an EventSource of our page sends it: no header of ours.
	req := r.request(t, "GET", r.serve(t).URL+"/api/events", nil, "Accept: text/event-stream", "Sec-Fetch-Site: same-origin")
	req.Header.Del("X-CSRF")
	answer, err := http.DefaultClient.Do(req)
	must(t, err)
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) {
			t.Fatalf("event %d: %q, %v", i, lines.Text(), lines.Err())
		}
		lines.Scan()
		next <- struct{}{}
	}
}

func TestBodiesAndTrailersStream(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusCreated)
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n))
		w.Header().Set(http.TrailerPrefix+"X-Late", "1")
	})
	r := newRig(t, parts{upstream: u.URL})
	read, write := io.Pipe()
	req := r.request(t, "POST", r.serve(t).URL+"/api/upload", read, "Expect: 100-continue")
	req.Trailer = http.Header{"X-Forwarded-User": {"evil"}}
	const size = 3 << 20
	go func() {
		_, err := io.Copy(write, io.LimitReader(zeros{}, size))
		write.CloseWithError(err)
	}()
	answer, err := http.DefaultClient.Do(req)
	must(t, err)
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusCreated || n != size || answer.Trailer.Get("X-Sum") != fmt.Sprint(size) || answer.Trailer.Get("X-Late") != "1" {
		t.Errorf("%d, %d bytes, trailers %v", answer.StatusCode, n, answer.Trailer)
	}
	if trailer := u.last(t).Trailer; len(trailer) != 0 {
		t.Errorf("trailers of the browser arrived: %v", trailer)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// An interim answer's headers are not passed on: nobody has looked at them.
func TestInterimAnswersStayInside(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", session.CookieName+"=evil")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Set-Cookie")
		ok(w, nil)
	})
	r := newRig(t, parts{upstream: u.URL})
	conn := dial(t, r.serve(t))
	must(t, r.request(t, "GET", "http://shop/api", nil, "Connection: close").Write(conn))
	raw, err := io.ReadAll(conn)
	must(t, err)
	if text := string(raw); !strings.HasPrefix(text, "HTTP/1.1 200") || strings.Contains(text, "evil") || strings.Count(text, "X-Request-Id") != 1 {
		t.Errorf("%s", text)
	}
}

func dial(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return conn
}

// echo answers a WebSocket handshake and then returns every byte.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSet-Cookie: %s=evil\r\n\r\n", r.Header.Get("Upgrade"), session.CookieName)
	_, _ = io.Copy(conn, buffer)
}

// GAP-01: a WebSocket passes with our Origin, and carries the token.
func TestWebSocket(t *testing.T) {
	u := newUpstream(t, echo)
	r := newRig(t, parts{upstream: u.URL})
	server := r.serve(t)
	handshake := func(origin string) (net.Conn, *http.Response) {
		conn := dial(t, server)
		req := r.request(t, "GET", "http://shop/api/socket", nil, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Origin: "+origin)
		req.Header.Del("X-CSRF")
		must(t, req.Write(conn))
		answer, err := http.ReadResponse(bufio.NewReader(conn), req)
		must(t, err)
		return conn, answer
	}

	for _, origin := range []string{"https://evil.example", "null", ""} {
		if _, answer := handshake(origin); answer.StatusCode != http.StatusForbidden {
			t.Errorf("Origin %q: %d", origin, answer.StatusCode)
		}
	}
	if len(u.requests()) != 0 {
		t.Fatal("a foreign handshake arrived")
	}

	conn, answer := handshake(publicOrigin)
	if answer.StatusCode != http.StatusSwitchingProtocols || len(answer.Header["Set-Cookie"]) > 0 {
		t.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	if got := u.last(t).Header; got.Get("Authorization") != "Bearer "+accessToken || got.Get("Cookie") != "" {
		t.Errorf("headers %v", got)
	}
	_, err := io.WriteString(conn, "ping")
	must(t, err)
	back := make([]byte, 4)
	_, err = io.ReadFull(conn, back)
	if err != nil || string(back) != "ping" {
		t.Errorf("%q, %v", back, err)
	}
}

// A socket does not outlive its session.
func TestWebSocketEndsWithTheSession(t *testing.T) {
	u := newUpstream(t, echo)
	r := newRig(t, parts{upstream: u.URL, sessions: expiring{}})
	conn := dial(t, r.serve(t))
	req := r.request(t, "GET", "http://shop/api/socket", nil, "Connection: Upgrade", "Upgrade: websocket", "Origin: "+publicOrigin)
	must(t, req.Write(conn))
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, req)
	must(t, err)
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer.Status)
	}
	if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the socket is not closed: %v", err)
	}
}

type expiring struct{ failing }

func (expiring) Find(ctx context.Context, value string) (*session.Session, error) {
	s, err := failing{}.Find(ctx, value)
	s.ExpiresAt = time.Now().Add(300 * time.Millisecond)
	return s, err
}

// BCL-22: streams end as soon as the session does, whoever ends it.
func TestStreamsEndWithTheSession(t *testing.T) {
	event := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "Text/Event-Stream; charset=utf-8")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // until we go
	}
	socket := []string{"Connection: Upgrade", "Upgrade: websocket", "Origin: " + publicOrigin}
	for name, c := range map[string]struct {
		target  string
		headers []string
		answer  http.HandlerFunc
		first   string // what arrives while the session lives
	}{
		"a socket of a route":           {"/api/socket", socket, echo, ""},
		"events of a route":             {"/api/events", []string{"Accept: text/event-stream"}, event, "data: 1"},
		"events that nobody asked for":  {"/api/list", []string{"Accept: application/json"}, event, "data: 1"},
		"a socket of the application":   {"/socket", socket, echo, ""},
		"events of the application":     {"/events", []string{"Accept: text/event-stream"}, event, "data: 1"},
		"events, to an old application": {"/list", []string{"Accept: */*"}, event, "data: 1"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, c.answer)
			r := newRig(t, parts{upstream: u.URL, application: strings.TrimPrefix(u.URL, "http://"), requireLogin: true})
			conn := dial(t, r.serve(t))
			req := r.request(t, "GET", "http://shop"+c.target, nil, c.headers...)
			must(t, req.Write(conn))
			reader := bufio.NewReader(conn)
			answer, err := http.ReadResponse(reader, req)
			must(t, err)
			if answer.StatusCode >= 400 {
				t.Fatal(answer.Status)
			}
			var body io.Reader = reader
			if c.first != "" {
				body = answer.Body
				lines := bufio.NewReader(body)
				if line, err := lines.ReadString('\n'); err != nil || strings.TrimSpace(line) != c.first {
					t.Fatalf("%q, %v", line, err)
				}
				body = lines
			}
			sess, err := r.sessions.Find(t.Context(), r.cookie)
			must(t, err)
			must(t, r.sessions.End(t.Context(), sess, session.EndBackChannel))
			// The end of a stream of events is clean: a page sees that it is over, and not
			// that something broke.
			if _, err := io.Copy(io.Discard, body); err != nil {
				t.Errorf("the stream ended with %v", err)
			}
		})
	}
}

// A session that ends while a call is on its way has no stream left over.
func TestStreamOfASessionThatHasJustEnded(t *testing.T) {
	var r *rig
	u := newUpstream(t, func(w http.ResponseWriter, req *http.Request) {
		sess, err := r.sessions.Find(req.Context(), r.cookie)
		if err == nil {
			err = r.sessions.End(req.Context(), sess, session.EndLogout)
		}
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	})
	r = newRig(t, parts{upstream: u.URL})
	answer, err := http.DefaultClient.Do(r.request(t, "GET", r.serve(t).URL+"/api", nil))
	must(t, err)
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Error(err)
	}
}

// The same, over and over: the end comes at every moment between the answer's
// header and its body, and never touches a header that is still being read.
func TestStreamsOfSessionsThatEndAtAnyMoment(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 40 {
			w.Header().Set(fmt.Sprintf("X-Field-%d", i), "1")
		}
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "data: 1\n\n") // and its end, so that the connection can be kept
	})
	r := newRig(t, parts{upstream: u.URL, sessions: over{}})
	server := r.serve(t)
	for range 300 {
		answer, err := http.DefaultClient.Do(r.request(t, "GET", server.URL+"/api", nil))
		must(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		must(t, err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.Header.Get("X-Field-39") != "1" {
			t.Fatalf("%s %v", answer.Status, answer.Header)
		}
	}
}

// over are sessions that are found and over at once.
type over struct{ failing }

func (over) Watch(*session.Session) (<-chan session.Event, func()) {
	events := make(chan session.Event, 1)
	events <- session.Event{Kind: session.EventEnded, Reason: session.EndLogout}
	return events, func() {}
}

// A stream that the browser leaves leaves nothing behind.
func TestStreamThatIsLeft(t *testing.T) {
	left := make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
	watched := &watching{left: make(chan struct{})}
	r := newRig(t, parts{upstream: u.URL, sessions: watched})
	answer, err := http.DefaultClient.Do(r.request(t, "GET", r.serve(t).URL+"/api", nil))
	must(t, err)
	answer.Body.Close()
	for what, ch := range map[string]chan struct{}{"the upstream": left, "the watch": watched.left} {
		select {
		case <-ch:
		case <-time.After(15 * time.Second):
			t.Errorf("%s is still held", what)
		}
	}
}

type watching struct {
	failing
	left chan struct{}
}

func (w *watching) Watch(*session.Session) (<-chan session.Event, func()) {
	return nil, func() { close(w.left) }
}

// An upgrade to anything but WebSocket would hide later requests from us.
func TestOtherUpgradesAreNotOffered(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{upstream: u.URL, application: strings.TrimPrefix(u.URL, "http://")})
	for _, target := range []string{"/api", "/page"} {
		answer := r.do(r.call("GET", target, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Http2-Settings: x"))
		if h := u.last(t).Header; answer.StatusCode != http.StatusOK || len(h["Upgrade"])+len(h["Connection"])+len(h["Http2-Settings"]) > 0 {
			t.Errorf("%s: %d %v", target, answer.StatusCode, h)
		}
	}
}

// A session that ends while its socket is being opened opens none, and its page
// is told what every other call would be told.
func TestSessionThatEndsDuringTheHandshake(t *testing.T) {
	for _, target := range []string{"/api/socket", "/socket"} {
		var r *rig
		u := newUpstream(t, func(_ http.ResponseWriter, req *http.Request) {
			sess, err := r.sessions.Find(req.Context(), r.cookie)
			if err == nil {
				err = r.sessions.End(req.Context(), sess, session.EndLogout)
			}
			if err != nil {
				t.Error(err)
			}
			<-req.Context().Done()
		})
		r = newRig(t, parts{upstream: u.URL, application: strings.TrimPrefix(u.URL, "http://"), requireLogin: true})
		conn := dial(t, r.serve(t))
		req := r.request(t, "GET", "http://shop"+target, nil, "Connection: Upgrade", "Upgrade: websocket", "Origin: "+publicOrigin)
		must(t, req.Write(conn))
		answer, err := http.ReadResponse(bufio.NewReader(conn), req)
		must(t, err)
		if got := code(t, answer); answer.StatusCode != http.StatusUnauthorized || got != "session_ended" {
			t.Errorf("%s: %s %q", target, answer.Status, got)
		}
	}
}
