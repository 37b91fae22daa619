package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// After an answer that leaves a doubt about where it ends, the connection is not
// used again (RFC 9112 section 11).
func TestConnectionInDoubtIsNotKept(t *testing.T) {
	for name, answer := range map[string]string{
		"close":                           "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
		"close among others":              "HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.0":                        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.0 keep-alive":             "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.2":                        "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"length and chunks":               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"length and chunks, large header": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000) + "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"length twice":                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"line feeds":                      "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
		"one line feed":                   "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 5\r\n\r\nhello",
		"folded":                          "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 5\r\n\r\nhello",
		"blank before colon":              "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\nhello",
		"trailer":                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
		"interim with a length":           "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + small,
		"more bytes":                      small + "x",
		"another answer":                  small + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"no content with a length":        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
		"not modified with a body":        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
		"bytes after chunks":              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s, c := answers(t, answer), client(t)
			for range 3 {
				if _, body, err := exchange(c, get(t, s)); err != nil || body != "hello" && body != "" {
					t.Fatal(body, err)
				}
			}
			s.wantConnections(t, 3)
		})
	}
}

// Nothing may be made of these.
func TestInvalidAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"not HTTP":            "SSH-2.0-OpenSSH_9.2\r\n", // and no empty line
		"no status":           "HTTP/1.1\r\n\r\n",
		"short status":        "HTTP/1.1 20 OK\r\n\r\n",
		"signed status":       "HTTP/1.1 +20 OK\r\nContent-Length: 5\r\n\r\nhello",
		"status below 100":    "HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello",
		"no colon":            "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\nhello",
		"lengths that differ": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"list of lengths":     "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
		"signed length":       "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
		"negative length":     "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
		"hexadecimal length":  "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
		"huge length":         "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
		"empty length":        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello",
		"gzip":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
		"gzip in chunks":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"chunked twice":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"hidden chunked":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"switched":            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
		"many interim":        strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 6) + small,
		"large header":        "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 80) + "\r\n",
		"large interim":       strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 20_000)+"\r\n\r\n", 4) + small,
	} {
		t.Run(name, func(t *testing.T) {
			s, c := answers(t, answer), client(t)
			status, body, err := exchange(c, get(t, s))
			if err == nil {
				t.Fatalf("got %d %q", status, body)
			}
			if idle(c) != 0 {
				t.Error("the connection was kept")
			}
			if strings.Contains(err.Error(), "hello") || strings.Contains(err.Error(), "xxx") || isTimeout(err) {
				t.Error(err)
			}
			s.wantConnections(t, 1)
		})
	}
}

// A body that breaks off is never taken for a whole one.
func TestTruncatedBodies(t *testing.T) {
	for name, answer := range map[string]string{
		"length":           "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
		"chunk":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello",
		"no last chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"no end":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		"half a trailer":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n",
		"chunk too long":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
		"chunk, line feed": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
		"chunk, sign":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
		"large trailer":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n",
	} {
		for reader, read := range map[string]func(io.Reader) error{
			"Read": func(r io.Reader) error {
				_, err := io.ReadAll(r)
				return err
			},
			"WriteTo": func(r io.Reader) error {
				_, err := io.Copy(new(bytes.Buffer), r)
				return err
			},
			"ReadFrom": func(r io.Reader) error {
				near, far := pair(t)
				go io.Copy(io.Discard, far)
				_, err := io.Copy(near, r)
				return err
			},
		} {
			t.Run(name+" "+reader, func(t *testing.T) {
				s := serve(t, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
					next(requests)
					io.WriteString(conn, answer)
				})
				c := client(t)
				got, err := c.RoundTrip(get(t, s))
				if err != nil {
					t.Fatal(err)
				}
				if err := read(got.Body); err == nil {
					t.Error("the body seems whole")
				}
				got.Body.Close()
				if idle(c) != 0 {
					t.Error("the connection was kept")
				}
			})
		}
	}
}

// Bytes that were sent before they were asked for are nobody's answer.
func TestUnaskedBytesAreNobodysAnswer(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			unasked := make(chan bool)
			s := serve(t, func(n int, conn *net.TCPConn, requests *bufio.Reader) {
				for next(requests) != nil {
					io.WriteString(conn, small)
					if n == 1 {
						<-unasked
						io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
						unasked <- true
					}
				}
			})
			c := client(t)
			wants(t, c, get(t, s), "hello")
			unasked <- true
			<-unasked // it is in our socket: this is the same machine
			wants(t, c, request(t, method, s.address, "/", strings.NewReader("a")), "hello")
			s.wantConnections(t, 2)
		})
	}
}

func TestHeaderTimeout(t *testing.T) {
	for name, beginning := range map[string]string{"silence": "", "half a header": "HTTP/1.1 200 OK\r\nContent-Le", "interim only": "HTTP/1.1 102 Processing\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			hold := make(chan bool)
			s := serve(t, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
				next(requests)
				io.WriteString(conn, beginning)
				<-hold
			})
			t.Cleanup(func() { close(hold) })
			c := client(t, func(o *Options) { o.HeaderTimeout = 50 * time.Millisecond })
			_, _, err := exchange(c, get(t, s))
			if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
				t.Error(err)
			}
			if idle(c) != 0 {
				t.Error("the connection was kept")
			}
			s.wantConnections(t, 1) // a time-out is not repeated
		})
	}
}

// The time-out is one of headers: a body may take longer, and the connection may
// be idle for longer.
func TestHeaderTimeoutEndsWithTheHeader(t *testing.T) {
	const timeout = 100 * time.Millisecond
	waited := make(chan bool)
	s := serve(t, func(_ int, conn *net.TCPConn, requests *bufio.Reader) {
		for next(requests) != nil {
			io.WriteString(conn, small[:len(small)-1])
			<-waited
			io.WriteString(conn, small[len(small)-1:])
		}
	})
	c := client(t, func(o *Options) { o.HeaderTimeout = timeout })
	for range 2 {
		answer, err := c.RoundTrip(get(t, s))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		time.AfterFunc(2*timeout, func() { waited <- true })
		body, err := io.ReadAll(answer.Body)
		if err != nil || string(body) != "hello" || time.Since(begin) < timeout {
			t.Errorf("got %q, %v", body, err)
		}
		answer.Body.Close()
		eventually(t, "the deadline has passed", func() bool { return time.Since(begin) > 3*timeout })
	}
	s.wantConnections(t, 1)
}
