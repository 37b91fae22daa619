package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// A server closes idle connections when it likes. That is no reason for any
// request to fail.
func TestClosedIdleConnection(t *testing.T) {
	for _, how := range []string{"closed", "reset"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			t.Run(how+" "+method, func(t *testing.T) {
				gone := make(chan bool)
				s := serve(t, func(n int, conn *net.TCPConn, requests *bufio.Reader) {
					next(requests)
					io.WriteString(conn, small)
					if n == 1 {
						if <-gone; how == "reset" {
							conn.SetLinger(0)
						}
						conn.Close()
						close(gone)
					}
				})
				c := client(t)
				wants(t, c, get(t, s), "hello")
				gone <- true
				<-gone
				r := request(t, method, s.address, "/", strings.NewReader("body"))
				r.GetBody = nil
				wants(t, c, r, "hello")
				s.wantConnections(t, 2)
			})
		}
	}
}

// A request that a kept connection has swallowed is sent once more only if that
// can do no harm (RFC 9110 section 9.2.2).
func TestSwallowedRequests(t *testing.T) {
	withKey := func(r *http.Request) { r.Header.Set("Idempotency-Key", "1") }
	for name, test := range map[string]struct {
		method, body string
		change       func(*http.Request)
		repeated     bool
	}{
		"GET":                     {"GET", "", nil, true},
		"HEAD":                    {"HEAD", "", nil, true},
		"OPTIONS":                 {"OPTIONS", "", nil, true},
		"TRACE":                   {"TRACE", "", nil, true},
		"POST":                    {"POST", "", nil, false},
		"PUT":                     {"PUT", "a", nil, false},
		"DELETE":                  {"DELETE", "", nil, false},
		"unrepeatable GET":        {"GET", "", func(r *http.Request) { r.Body = Unrepeatable }, false},
		"POST with a key":         {"POST", "", withKey, true},
		"POST with a key, a body": {"POST", "a", withKey, true},
		"body is gone": {"POST", "a", func(r *http.Request) {
			withKey(r)
			r.GetBody = nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(n int, conn *net.TCPConn, requests *bufio.Reader) {
				for i := 0; next(requests) != nil; i++ {
					if n == 1 && i == 1 {
						return // swallowed
					}
					io.WriteString(conn, small)
				}
			})
			c := client(t)
			wants(t, c, get(t, s), "hello")
			r := request(t, test.method, s.address, "/", nil)
			if test.body != "" {
				r = request(t, test.method, s.address, "/", strings.NewReader(test.body))
			}
			if test.change != nil {
				test.change(r)
			}
			_, _, err := exchange(c, r)
			if test.repeated && err != nil || !test.repeated && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			want := 1
			if test.repeated {
				want = 2
			}
			s.wantConnections(t, want)
		})
	}
}

// It is sent only once more, and never after a byte of an answer.
func TestRepeatedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		last string
		want int
	}{"swallowed": {"", 2}, "an answer's beginning": {"H", 1}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(n int, conn *net.TCPConn, requests *bufio.Reader) {
				if n == 1 {
					next(requests)
					io.WriteString(conn, small)
				}
				next(requests)
				io.WriteString(conn, test.last)
			})
			c := client(t)
			wants(t, c, get(t, s), "hello")
			if _, body, err := exchange(c, get(t, s)); err == nil {
				t.Errorf("got %q", body)
			}
			s.wantConnections(t, test.want)
		})
	}
}

// A server may turn everybody away, before anything was sent. A connection on
// which that happened is not kept: there may be another answer to come.
func TestAnswerBeforeTheRequest(t *testing.T) {
	const busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
	for _, keepsOpen := range []bool{true, false} {
		hold := make(chan bool)
		s := serve(t, func(_ int, conn *net.TCPConn, _ *bufio.Reader) {
			io.WriteString(conn, busy)
			if keepsOpen {
				<-hold
			} else {
				conn.CloseWrite()
				io.Copy(io.Discard, conn)
			}
		})
		t.Cleanup(func() { close(hold) })
		c := client(t, func(o *Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				if err == nil {
					// Wait until it is there.
					raw, _ := conn.(*net.TCPConn).SyscallConn()
					var one [1]byte
					raw.Read(func(fd uintptr) bool {
						n, _, _ := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
						return n > 0
					})
				}
				return conn, err
			}
		})
		status, body, err := exchange(c, request(t, "POST", s.address, "/", bytes.NewReader(make([]byte, maxBody))))
		if status != 503 || body != "busy" || err != nil {
			t.Error(status, body, err)
		}
		if idle(c) != 0 {
			t.Error("the connection was kept")
		}
	}
}

// The reason why a server does not want the rest of a request is what the caller
// gets, and not that the rest could not be sent.
func TestAnswerInTheRequest(t *testing.T) {
	s := serve(t, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
		requests.Peek(1)
		io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge")
		conn.SetLinger(0) // resets the connection
	})
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { // for what it accepts: most of the request cannot be sent
		if err := syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096); err != nil {
			t.Error(err)
		}
	})
	c := client(t, smallSocket)
	for range 5 {
		status, body, err := exchange(c, request(t, "POST", s.address, "/", bytes.NewReader(make([]byte, maxBody))))
		if status != 413 || body != "large" || err != nil {
			t.Error(status, body, err)
		}
	}
}

// smallSocket makes sockets that do not take much at once.
func smallSocket(o *Options) {
	dial := o.Dial
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetWriteBuffer(4096)
		}
		return conn, err
	}
}

// A request larger than the socket takes at once is sent all the same.
func TestFullSocket(t *testing.T) {
	s := serve(t, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
		for next(requests) != nil {
			io.WriteString(conn, small)
		}
	})
	c := client(t, smallSocket)
	for range 3 {
		wants(t, c, request(t, "POST", s.address, "/", bytes.NewReader(make([]byte, maxBody))), "hello")
	}
	s.wantConnections(t, 1)
}

func TestRefusedDial(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, err = client(t).RoundTrip(request(t, "GET", address, "/", nil))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}
