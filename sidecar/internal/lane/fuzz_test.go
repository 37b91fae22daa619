package lane_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/lane"
)

// witness writes down the requests that reach it, in their order.
type witness struct {
	mu   sync.Mutex
	seen []string
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	names := make([]string, 0, len(r.Header))
	for name, values := range r.Header {
		names = append(names, fmt.Sprintf("%s=%q", name, values))
	}
	slices.Sort(names)
	w.mu.Lock()
	w.seen = append(w.seen, fmt.Sprintf("%s %q %q %+v %d %q %v %q", r.Method, r.RequestURI, r.Host, *r.URL, r.ContentLength, body, err != nil, names))
	w.mu.Unlock()
}

func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// send sends bytes and an end, and waits for the other side's.
func send(t *testing.T, address string, b []byte) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(b); err == nil {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	_, _ = io.Copy(io.Discard, conn) // a reset is an end, too
}

// FuzzTurns sends the same bytes to a server with a lane and to one without: the
// same requests must reach both, in the same order, whatever the lane takes and
// leaves. Else a request could be smuggled past one of them (RFC 9112 section
// 11.2).
func FuzzTurns(f *testing.F) {
	for _, seed := range []string{
		"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /ab HTTP/1.1\r\nHost: a\r\n\r\nGET /abc HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcdPOST /ab HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nabGET /a HTTP/1.1\nHost: a\n\n",
		"\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
		"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	with, without := new(witness), new(witness)
	l := lane.New(lane.Options{IdleTimeout: 10 * time.Second, HeaderTimeout: 10 * time.Second, StallTimeout: 10 * time.Second,
		Answer: func(w http.ResponseWriter, r *http.Request) bool {
			if len(r.URL.Path)%2 == 0 {
				with.ServeHTTP(w, r)
				return true
			}
			return false
		}})
	serve := func(handler http.Handler, hook func(net.Conn, http.ConnState), wrap func(net.Listener) net.Listener) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			f.Fatal(err)
		}
		server := &http.Server{Handler: handler, ConnState: hook}
		go server.Serve(wrap(listener))
		f.Cleanup(func() { server.Close() })
		return listener.Addr().String()
	}
	fast := serve(with, l.ConnState, l.Listen)
	plain := serve(without, nil, func(l net.Listener) net.Listener { return l })

	f.Fuzz(func(t *testing.T, b []byte) {
		send(t, fast, b)
		send(t, plain, b)
		if here, there := with.take(), without.take(); !slices.Equal(here, there) {
			t.Errorf("with the lane %q\nwithout it   %q", here, there)
		}
	})
}
