package lane_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/lane"
)

// world is a server with a lane that answers what lies below /fast.
type world struct {
	*testing.T
	address string
	lane    *lane.Lane
	server  *http.Server
	// quick and slow count what each has answered.
	quick, slow atomic.Int64
	entered     chan struct{} // below /fast/wait
	leave       chan struct{}
}

func start(t *testing.T) *world {
	w := &world{T: t, entered: make(chan struct{}, 8), leave: make(chan struct{})}
	w.lane = lane.New(lane.Options{Answer: w.answer, IdleTimeout: 20 * time.Second, HeaderTimeout: 10 * time.Second, StallTimeout: 10 * time.Second})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = listener.Addr().String()
	w.server = &http.Server{Handler: http.HandlerFunc(w.serve), ConnState: w.lane.ConnState}
	go w.server.Serve(w.lane.Listen(listener))
	t.Cleanup(func() { w.server.Close() })
	return w
}

func describe(w http.ResponseWriter, r *http.Request, by string) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-By", by)
	fmt.Fprintf(w, "%s %s %s %q", r.Method, r.RequestURI, r.Host, body)
}

func (w *world) answer(rw http.ResponseWriter, r *http.Request) bool {
	if !strings.HasPrefix(r.URL.Path, "/fast") {
		return false
	}
	w.quick.Add(1)
	switch r.URL.Path {
	case "/fast/wait":
		w.entered <- struct{}{}
		<-w.leave
	case "/fast/gone":
		w.entered <- struct{}{}
		<-r.Context().Done()
		close(w.leave)
	case "/fast/panic":
		panic("a defect")
	case "/fast/short":
		rw.Header().Set("Content-Length", "10")
	}
	describe(rw, r, "lane")
	return true
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.slow.Add(1)
	describe(rw, r, "server")
}

type client struct {
	*world
	net.Conn
	from *bufio.Reader
}

func (w *world) dial() *client {
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{w, conn, bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.Fatal(err)
	}
}

// expect reads an answer and returns what it says.
func (c *client) expect(by, want string) {
	c.Helper()
	answer, err := http.ReadResponse(c.from, nil)
	if err != nil {
		c.Fatalf("want %s by %s: %v", want, by, err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || string(body) != want || answer.Header.Get("X-By") != by || answer.Header.Get("Date") == "" {
		c.Errorf("got %q by %q, %v; want %q by %q", body, answer.Header.Get("X-By"), err, want, by)
	}
}

func TestALaneAndItsServerTakeTurnsOnAConnection(t *testing.T) {
	c := start(t).dial()
	for range 3 {
		c.send("GET /fast/a?b HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect("lane", `GET /fast/a?b a ""`)
		c.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect("server", `GET /slow a ""`)
		c.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		c.expect("server", `POST /slow a "abc"`)
		c.send("POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		c.expect("lane", `POST /fast a "abc"`)
	}
}

// Pipelined requests are answered in their order, each once, whoever answers.
func TestPipelinedRequests(t *testing.T) {
	c := start(t).dial()
	c.send("GET /slow/1 HTTP/1.1\r\nHost: a\r\n\r\n" +
		"GET /fast/2 HTTP/1.1\r\nHost: a\r\n\r\n" +
		"POST /slow/3 HTTP/1.1\r\nHost: a\r\nContent-Length: 24\r\n\r\nGET /fast/x HTTP/1.1\r\n\r\n" +
		"GET /fast/4 HTTP/1.1\r\nHost: a\r\n\r\n" +
		"GET /slow/5 HTTP/1.1\r\nHost: a\r\n\r\n")
	c.expect("server", `GET /slow/1 a ""`)
	c.expect("lane", `GET /fast/2 a ""`)
	c.expect("server", `POST /slow/3 a "GET /fast/x HTTP/1.1\r\n\r\n"`)
	c.expect("lane", `GET /fast/4 a ""`)
	c.expect("server", `GET /slow/5 a ""`)
	if c.quick.Load() != 2 || c.slow.Load() != 3 {
		t.Errorf("%d in the lane and %d in the server", c.quick.Load(), c.slow.Load())
	}
}

// A large body that the server reads has what looks like requests in it, at
// every place where a read could begin.
func TestABodyIsNeverReadAsRequests(t *testing.T) {
	c := start(t).dial()
	smuggled := strings.Repeat("GET /fast/x HTTP/1.1\r\nHost: a\r\n\r\n", 3000)
	c.send(fmt.Sprintf("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%sGET /fast/y HTTP/1.1\r\nHost: a\r\n\r\n", len(smuggled), smuggled))
	c.expect("server", fmt.Sprintf("POST /slow a %q", smuggled))
	c.expect("lane", `GET /fast/y a ""`)
	if c.quick.Load() != 1 {
		t.Errorf("the lane has answered %d requests", c.quick.Load())
	}
}

// Where the lane cannot tell the end of a request, it leaves all that follows to
// the server (RFC 9112 section 11.2, BFF-32).
func TestARequestWithoutAPlainEndLeavesTheLaneForGood(t *testing.T) {
	for name, first := range map[string]string{
		"chunks":               "POST /fast HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"an obsolete version":  "GET /fast HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		"lines that end in LF": "GET /fast HTTP/1.1\nHost: a\n\n",
		"two equal lengths":    "POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t).dial()
			c.send(first + "GET /fast HTTP/1.1\r\nHost: a\r\n\r\n")
			for range 2 {
				answer, err := http.ReadResponse(c.from, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				if answer.Header.Get("X-By") != "server" {
					t.Errorf("answered by %q", answer.Header.Get("X-By"))
				}
			}
		})
	}
}

func TestBytesThatComeOneByOne(t *testing.T) {
	c := start(t).dial()
	for _, b := range []byte("POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxyGET /slow HTTP/1.1\r\nHost: a\r\n\r\n") {
		c.send(string(b))
		time.Sleep(time.Millisecond)
	}
	c.expect("lane", `POST /fast a "xy"`)
	c.expect("server", `GET /slow a ""`)
}

func TestADefectEndsTheConnection(t *testing.T) {
	for _, path := range []string{"/fast/panic", "/fast/short"} {
		c := start(t).dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		answer, err := http.ReadResponse(c.from, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
		}
		if err == nil {
			t.Errorf("%s: a whole answer", path)
		}
	}
}

// The server takes the connection for idle while the lane answers on it.
func TestAShutdownWaitsForAnswersOfTheLane(t *testing.T) {
	w := start(t)
	c := w.dial()
	c.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	c.expect("server", `GET /slow a ""`)
	c.send("GET /fast/wait HTTP/1.1\r\nHost: a\r\n\r\n")
	<-w.entered
	over := make(chan struct{})
	go func() {
		defer close(over)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = w.server.Shutdown(ctx)
		w.lane.Shutdown(ctx)
	}()
	select {
	case <-over:
		t.Fatal("it has not waited")
	case <-time.After(100 * time.Millisecond):
	}
	close(w.leave)
	c.expect("lane", `GET /fast/wait a ""`)
	<-over
}

func TestAnAnswerIsGivenUpWhenItsClientHasGone(t *testing.T) {
	w := start(t)
	go w.lane.Run(t.Context())
	c := w.dial()
	c.send("GET /fast/gone HTTP/1.1\r\nHost: a\r\n\r\n")
	<-w.entered
	c.Close()
	select {
	case <-w.leave:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody has noticed")
	}
}
