package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// impatient serves a handler to connections it soon loses patience with. Every
// connection that ends is told of.
func impatient(t *testing.T, stall time.Duration, serve http.HandlerFunc) (address string, ended <-chan struct{}) {
	t.Helper()
	closed := make(chan struct{}, 16)
	front := httptest.NewUnstartedServer(patient{next: serve, stall: stall, answer: 10 * time.Second})
	front.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	front.Start()
	t.Cleanup(front.Close)
	return front.Listener.Addr().String(), closed
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Before it answers, net/http waits for a body that nobody reads. Whoever
// announces one and never sends it holds nothing for ever.
func TestBodyThatNeverArrives(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"nobody reads it": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"it is read": func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusForbidden)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := impatient(t, 100*time.Millisecond, serve)
			conn := dial(t, address)
			if _, err := io.WriteString(conn, "POST /bff/login HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"); err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(conn)
			answer, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := reader.ReadByte(); answer.StatusCode != http.StatusForbidden || err != io.EOF {
				t.Errorf("%s, then %v", answer.Status, err)
			}
		})
	}
}

// Whoever asks again and again and takes no answer is let go.
func TestAnswersThatNobodyTakes(t *testing.T) {
	address, ended := impatient(t, 100*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
	})
	conn := dial(t, address)
	go func() {
		many := strings.Repeat("GET /bff/session HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
		for err := error(nil); err == nil; {
			_, err = io.WriteString(conn, many)
		}
	}()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Error("the connection is still there")
	}
}

// Time that passes while nobody owes anything does no harm: a slow answer, a
// silence between two requests.
func TestPatienceWithTheQuiet(t *testing.T) {
	const stall = 50 * time.Millisecond
	address, _ := impatient(t, stall, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * stall): // longer than the time-out, which is the point
			_, _ = io.WriteString(w, "here")
		case <-r.Context().Done():
		}
	})
	conn := dial(t, address)
	reader := bufio.NewReader(conn)
	for range 2 {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "here" {
			t.Fatalf("%q, %v", body, err)
		}
		time.Sleep(2 * stall) // idle between requests, also longer
	}
}
