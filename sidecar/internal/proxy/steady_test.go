package proxy

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// shortStall serves an upstream through a forwarder with little patience.
func shortStall(t *testing.T, stall time.Duration, upstream http.HandlerFunc) *httptest.Server {
	t.Helper()
	behind := httptest.NewServer(upstream)
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := NewTransport(Peer{})
	t.Cleanup(transport.CloseIdleConnections)
	f := newForwarder(to, slog.New(slog.DiscardHandler))
	f.stall = stall
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, err := ParseTarget(r.RequestURI, "")
		if err != nil {
			t.Error(err)
		}
		f.forward(w, r, &hop{to: to, host: to.Host, path: path, behind: plain{transport}})
	}))
	t.Cleanup(front.Close)
	return front
}

// plain is a hop's end that changes nothing.
type plain struct{ http.RoundTripper }

func (plain) keep([]byte)                                {}
func (plain) request(http.Header)                        {}
func (plain) response(*http.Response)                    {}
func (plain) stream(answer *http.Response) io.ReadCloser { return answer.Body }
func (plain) failed(w http.ResponseWriter, r *http.Request, timedOut bool) {
	unreachable(w, r, timedOut)
}

func open(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// A browser that stops in the middle of its request is told so, and let go.
func TestStalledRequest(t *testing.T) {
	front := shortStall(t, 100*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	conn := open(t, front)
	if _, err := io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusRequestTimeout || !answer.Close || !strings.Contains(string(body), "request_timeout") {
		t.Errorf("%s %s", answer.Status, body)
	}
}

// A browser that stops taking its answer does not hold the upstream for ever.
func TestStalledAnswer(t *testing.T) {
	ended := make(chan error, 1)
	front := shortStall(t, 100*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for chunk := make([]byte, 1<<20); err == nil; {
			_, err = w.Write(chunk)
		}
		ended <- err
	})
	if _, err := io.WriteString(open(t, front), "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Error("the upstream still writes")
	}
}

// Nor does a page that stops reading its socket. The application would otherwise
// be held until the page goes, also beyond the end of the session.
func TestStalledSocket(t *testing.T) {
	ended := make(chan error, 1)
	front := shortStall(t, 100*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		for chunk := make([]byte, 1<<20); err == nil; {
			_, err = conn.Write(chunk)
		}
		ended <- err
	})
	if _, err := io.WriteString(open(t, front), "GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Error("the upstream still writes")
	}
}

// An upstream that has closed its socket is not held by a page that does not.
func TestSocketThatOneSideCloses(t *testing.T) {
	ended := make(chan error, 1)
	front := shortStall(t, 100*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = conn.(*net.TCPConn).CloseWrite()
		_, err = io.Copy(io.Discard, conn)
		ended <- err
	})
	if _, err := io.WriteString(open(t, front), "GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Error("the upstream still waits")
	}
}

// A socket may be silent for as long as it likes, and be closed on one side
// first.
func TestQuietSocket(t *testing.T) {
	const stall = 50 * time.Millisecond
	front := shortStall(t, stall, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		time.Sleep(3 * stall) // longer than the time-out, which is the point
		_, _ = io.WriteString(conn, "bye\n")
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(conn, conn)
	})
	conn := open(t, front)
	if _, err := io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	if answer, err := http.ReadResponse(reader, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(reader); err != nil || string(rest) != "bye\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

// Silence that is not in the middle of anything is nobody's fault: a slow
// answer, a quiet stream, and a connection that is used again.
func TestSilenceElsewhereIsFine(t *testing.T) {
	const stall = 50 * time.Millisecond
	front := shortStall(t, stall, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for range 2 {
			select {
			case <-time.After(3 * stall): // longer than the time-out, which is the point
			case <-r.Context().Done():
				return
			}
			_, _ = io.WriteString(w, "data\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	conn := open(t, front)
	reader := bufio.NewReader(conn)
	for range 2 {
		if _, err := io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "data\ndata\n" {
			t.Fatalf("%q, %v", body, err)
		}
		time.Sleep(2 * stall) // idle between requests, also longer
	}
	if err := conn.SetReadDeadline(time.Now().Add(stall)); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ReadByte(); !isTimeout(err) {
		t.Errorf("the connection was closed: %v", err)
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
