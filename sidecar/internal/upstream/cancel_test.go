package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ending are the ways in which a context ends.
func ending(t *testing.T) map[string]func() (ctx context.Context, end func(), want error) {
	return map[string]func() (context.Context, func(), error){
		"cancelled": func() (context.Context, func(), error) {
			ctx, cancel := context.WithCancel(t.Context())
			return ctx, cancel, context.Canceled
		},
		"with a cause": func() (context.Context, func(), error) {
			cause := errors.New("the session has ended")
			ctx, cancel := context.WithCancelCause(t.Context())
			return ctx, func() { cancel(cause) }, cause
		},
		"deadline": func() (context.Context, func(), error) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			t.Cleanup(cancel)
			return ctx, func() {}, context.DeadlineExceeded
		},
		"Canceler": func() (context.Context, func(), error) {
			ctx := newCanceler()
			return ctx, ctx.cancel, context.Canceled
		},
	}
}

func TestContextEndsBeforeTheAnswer(t *testing.T) {
	for name, begin := range ending(t) {
		for _, kept := range []bool{false, true} {
			t.Run(fmt.Sprint(name, kept), func(t *testing.T) {
				arrived := make(chan bool, 8)
				s := serve(t, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
					for r := next(requests); r != nil; r = next(requests) {
						if r.URL.Path == "/slow" {
							arrived <- true
							io.Copy(io.Discard, requests)
							return
						}
						io.WriteString(conn, small)
					}
				})
				c := client(t)
				if kept {
					wants(t, c, get(t, s), "hello")
				}
				ctx, end, want := begin()
				go func() {
					<-arrived
					end()
				}()
				_, _, err := exchange(c, request(t, "GET", s.address, "/slow", nil).WithContext(ctx))
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				if idle(c) != 0 {
					t.Error("the connection was kept")
				}
				s.wantConnections(t, 1) // it is not sent again
			})
		}
	}
}

func TestContextEndsInTheBody(t *testing.T) {
	for name, begin := range ending(t) {
		for framing, answer := range map[string]string{
			"length": "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
			"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"end":    "HTTP/1.1 200 OK\r\n\r\nhello",
		} {
			for how, read := range map[string]func(*testing.T, io.Reader) error{
				"Read": func(_ *testing.T, r io.Reader) error {
					_, err := io.ReadAll(r)
					return err
				},
				"ReadFrom": func(t *testing.T, r io.Reader) error {
					near, far := pair(t)
					go io.Copy(io.Discard, far)
					_, err := io.Copy(near, r)
					return err
				},
			} {
				t.Run(name+" "+framing+" "+how, func(t *testing.T) {
					s := answers(t, answer)
					c := client(t)
					ctx, end, want := begin()
					got, err := c.RoundTrip(get(t, s).WithContext(ctx))
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadFull(got.Body, make([]byte, 5)); err != nil {
						t.Fatal(err)
					}
					time.AfterFunc(5*time.Millisecond, end) // most likely in the middle of a read
					if err := read(t, got.Body); !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
					got.Body.Close()
					if idle(c) != 0 {
						t.Error("the connection was kept")
					}
				})
			}
		}
	}
}

func TestContextEndedBefore(t *testing.T) {
	for name, begin := range ending(t) {
		t.Run(name, func(t *testing.T) {
			s, c := answers(t, small), client(t)
			ctx, end, want := begin()
			end()
			eventually(t, "the context has ended", func() bool { return ctx.Err() != nil })
			r := request(t, "POST", s.address, "/", strings.NewReader("a")).WithContext(ctx)
			body := &countingBody{Reader: r.Body}
			r.Body = body
			if _, err := c.RoundTrip(r); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			if body.closes != 1 {
				t.Errorf("the body was closed %d times", body.closes)
			}
			s.wantConnections(t, 0)
		})
	}
}

// When the context ends after the answer has, the connection belongs to others.
func TestContextEndsAfterTheAnswer(t *testing.T) {
	for name, begin := range ending(t) {
		t.Run(name, func(t *testing.T) {
			s, c := answers(t, small), client(t)
			ctx, end, _ := begin()
			wants(t, c, get(t, s).WithContext(ctx), "hello")
			end()
			eventually(t, "the context has ended", func() bool { return ctx.Err() != nil })
			for range 3 {
				wants(t, c, get(t, s), "hello")
			}
			s.wantConnections(t, 1)
		})
	}
}

func TestContextEndsInADial(t *testing.T) {
	for name, begin := range ending(t) {
		t.Run(name, func(t *testing.T) {
			dialling := make(chan bool, 8)
			c := client(t, func(o *Options) {
				o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
					dialling <- true
					select {
					case <-ctx.Done():
					case <-time.After(patience):
					}
					return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
				}
			})
			ctx, end, want := begin()
			go func() {
				<-dialling
				end()
			}()
			if _, err := c.RoundTrip(request(t, "GET", "localhost:1", "/", nil).WithContext(ctx)); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

// Whatever is cancelled, closed or broken off at whatever time: who gets an
// answer gets the one to his own request.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	var asked atomic.Int64
	s := serve(t, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
		random := rand.New(rand.NewPCG(1, 2))
		for r := next(requests); r != nil; r = next(requests) {
			id, padding := r.Header.Get("X-Request"), strings.Repeat(".", random.IntN(3)*3000)
			switch random.IntN(12) {
			case 0:
				return
			case 1:
				time.Sleep(time.Duration(random.IntN(500)) * time.Microsecond)
				fallthrough
			case 2, 3, 4, 5:
				body := id + padding
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX-Request: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", id, len(body), body)
			case 6:
				body := id + padding
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX-Request: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
				time.Sleep(time.Duration(random.IntN(200)) * time.Microsecond)
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Request: evil\r\nContent-Length: 4\r\n\r\nevil")
			default:
				body := id + padding
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX-Request: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
			}
		}
	})
	c := client(t)
	var answered, failed atomic.Int64
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 3))
			for range 300 {
				id := strconv.FormatInt(asked.Add(1), 10)
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(2) == 0 {
					own := newCanceler()
					ctx, cancel = own, own.cancel
				}
				r := request(t, "GET", s.address, "/", nil).WithContext(ctx)
				r.Header.Set("X-Request", id)
				var after *time.Timer
				if random.IntN(3) == 0 {
					after = time.AfterFunc(time.Duration(random.IntN(400))*time.Microsecond, cancel)
				}
				answer, err := c.RoundTrip(r)
				if err != nil {
					failed.Add(1)
					cancel()
					continue
				}
				if got := answer.Header.Get("X-Request"); got != id && got != "evil" {
					t.Errorf("request %s got the header of %s", id, got)
				}
				body := answer.Body
				if random.IntN(4) == 0 {
					go body.Close()
				}
				b, err := io.ReadAll(body)
				if err == nil && strings.TrimRight(string(b), ".") != id && string(b) != "evil" {
					t.Errorf("request %s got %.20q", id, b)
				}
				body.Close()
				if random.IntN(2) == 0 {
					go body.Close()
				}
				cancel()
				if after != nil {
					after.Stop()
				}
				answered.Add(1)
			}
		})
	}
	all.Wait()
	t.Logf("%d answers, %d failures, %d connections", answered.Load(), failed.Load(), s.count.Load())
	if answered.Load() < 500 {
		t.Error("there were too few answers to tell")
	}
}

var _ http.RoundTripper = (*Client)(nil)
