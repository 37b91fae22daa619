package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds what a test waits for.
const patience = 10 * time.Second

// refusing is a fallback that nothing may reach.
type refusing struct{ t testing.TB }

func (f refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	f.t.Errorf("%s %s went to the fallback", r.Method, r.URL)
	return nil, errors.New("fallback")
}

func options(t testing.TB) Options {
	return Options{
		Fallback: refusing{t}, Dial: (&net.Dialer{Timeout: patience}).DialContext, HeaderTimeout: patience,
		IdleTimeout: time.Minute, MaxIdlePerHost: 64, MaxIdle: 128, MaxHeaderBytes: 64 << 10,
	}
}

func client(t testing.TB, change ...func(*Options)) *Client {
	o := options(t)
	for _, f := range change {
		f(&o)
	}
	c := New(o)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// server is a server that talks to each connection by a function, which has the
// connection to itself. n counts connections from 1.
type server struct {
	*net.TCPListener
	address string
	count   atomic.Int32
	done    sync.WaitGroup
}

func serve(t testing.TB, talk func(n int, conn *net.TCPConn, requests *bufio.Reader)) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{TCPListener: listener.(*net.TCPListener), address: listener.Addr().String()}
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	s.done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			n := int(s.count.Add(1))
			mu.Lock()
			conns[conn] = true
			mu.Unlock()
			s.done.Go(func() {
				defer conn.Close()
				talk(n, conn.(*net.TCPConn), bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		s.done.Wait()
	})
	return s
}

// answers is a server that gives these bytes for each request.
func answers(t testing.TB, bytes string) *server {
	return serve(t, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
		for next(requests) != nil {
			if _, err := io.WriteString(conn, bytes); err != nil {
				return
			}
		}
	})
}

// next reads a request as a whole. It is nil if there is none.
func next(requests *bufio.Reader) *http.Request {
	r, err := http.ReadRequest(requests)
	if err != nil {
		return nil
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil
	}
	return r
}

const small = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"

// request makes one as a proxy does.
func request(t testing.TB, method, address, path string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func get(t testing.TB, s *server) *http.Request {
	t.Helper()
	return request(t, "GET", s.address, "/", nil)
}

// exchange sends a request and reads all of the answer.
func exchange(c http.RoundTripper, r *http.Request) (status int, body string, err error) {
	answer, err := c.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	status = answer.StatusCode
	b, err := io.ReadAll(answer.Body)
	return status, string(b), err
}

// wants fails unless a GET gets this body.
func wants(t testing.TB, c http.RoundTripper, r *http.Request, want string) {
	t.Helper()
	if _, body, err := exchange(c, r); err != nil || body != want {
		t.Fatalf("got %q, %v; want %q", body, err, want)
	}
}

func (s *server) wantConnections(t testing.TB, want int) {
	t.Helper()
	if got := int(s.count.Load()); got != want {
		t.Errorf("%d connections were made, want %d", got, want)
	}
}

// eventually polls.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func idle(c *Client) int {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return c.pool.idle
}

// canceler is a Canceler as a server's connection may be one.
type canceler struct {
	context.Context
	mu   sync.Mutex
	err  error
	f    func()
	done chan struct{}
}

func newCanceler() *canceler {
	return &canceler{Context: context.Background(), done: make(chan struct{})}
}

func (c *canceler) OnCancel(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.f = f
	if f != nil && c.err != nil {
		f()
	}
}

func (c *canceler) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = context.Canceled
		close(c.done)
		if c.f != nil {
			c.f()
		}
	}
}

func (c *canceler) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *canceler) Done() <-chan struct{} { return c.done }

// pair is two ends of a TCP connection.
func pair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		other.Close()
	})
	return conn.(*net.TCPConn), other.(*net.TCPConn)
}
