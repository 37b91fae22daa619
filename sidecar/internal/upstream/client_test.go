package upstream

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// real is a server of net/http. It counts its connections.
func real(t testing.TB, handler http.HandlerFunc) (address string, connections *atomic.Int32) {
	connections = new(atomic.Int32)
	s := httptest.NewUnstartedServer(handler)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), connections
}

// seen is what is compared of an answer.
type seen struct {
	Status           string
	Code             int
	Proto            string
	Header, Trailer  http.Header
	Length           int64
	TransferEncoding []string
	Close            bool
	Body             string
}

func see(t *testing.T, c http.RoundTripper, r *http.Request) seen {
	t.Helper()
	answer, err := c.RoundTrip(r)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	defer answer.Body.Close()
	if answer.Request != r {
		t.Errorf("%T: the answer is not that of the request", c)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	header := answer.Header.Clone()
	header.Del("Date")
	return seen{answer.Status, answer.StatusCode, answer.Proto, header, answer.Trailer, answer.ContentLength,
		answer.TransferEncoding, answer.Close, string(body)}
}

// What a caller sees of an answer, and a server of a request, is what it is with
// http.Transport.
func TestSameAsTransport(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 20_000)
	var last atomic.Pointer[string]
	address, connections := real(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := fmt.Sprint(r.Method, r.RequestURI, r.Host, r.ContentLength, r.TransferEncoding, r.Header, string(body))
		last.Store(&got)
		h := w.Header()
		switch r.URL.Path {
		case "/empty", "/":
		case "/nocontent":
			w.WriteHeader(http.StatusNoContent)
		case "/notmodified":
			h.Set("ETag", `"a"`)
			w.WriteHeader(http.StatusNotModified)
		case "/large":
			h.Set("Content-Length", strconv.Itoa(len(large)))
			io.WriteString(w, large)
		case "/chunked":
			io.WriteString(w, "one")
			w.(http.Flusher).Flush()
			io.WriteString(w, large)
		case "/trailer":
			h.Set("Trailer", "X-Sum")
			io.WriteString(w, "body")
			h.Set("X-Sum", "1")
		case "/late":
			w.(http.Flusher).Flush()
			io.WriteString(w, "body")
			h.Set(http.TrailerPrefix+"X-Late", "2")
		case "/close":
			h.Set("Connection", "close")
			io.WriteString(w, "bye")
		case "/utf8":
			h.Set("Content-Disposition", "attachment; filename=é")
			io.WriteString(w, "utf8")
		case "/manyfields":
			for i := range 150 {
				h.Set("X-"+strconv.Itoa(i), "v")
			}
			io.WriteString(w, "many")
		case "/largefield":
			h.Set("Content-Security-Policy", strings.Repeat("a", 9000))
			io.WriteString(w, large)
		case "/early":
			h.Set("Link", "</style.css>")
			w.WriteHeader(http.StatusEarlyHints)
			h.Del("Link")
			io.WriteString(w, "hints")
		case "/error":
			h.Set("Pragma", "no-cache")
			h.Add("Set-Cookie", "a=1")
			h.Add("Set-Cookie", "b=2")
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "teapot")
		}
	})
	ours := client(t)
	theirs := &http.Transport{DisableCompression: true}
	t.Cleanup(theirs.CloseIdleConnections)
	for _, path := range []string{"/", "/empty", "/nocontent", "/notmodified", "/large", "/chunked", "/trailer", "/late", "/close", "/utf8",
		"/manyfields", "/largefield", "/early", "/error", "/error?a=b%20c&d", "/error?"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			for _, body := range []string{"", "some body", large[:60_000]} {
				t.Run(fmt.Sprint(method, path, len(body)), func(t *testing.T) {
					make := func() *http.Request {
						r := request(t, method, address, path, bytes.NewReader([]byte(body)))
						r.Host = "orders.example"
						r.Header = http.Header{"User-Agent": {"browser"}, "X-B": {" padded ", "two"}, "Empty": {""}, "Content-Length": {"7"}}
						if method == "HEAD" {
							r.Body, r.ContentLength, r.GetBody = nil, 0, nil
						}
						return r
					}
					want := see(t, theirs, make())
					wantRequest := last.Swap(nil)
					got := see(t, ours, make())
					gotRequest := last.Swap(nil)
					if !reflect.DeepEqual(want, got) {
						t.Errorf("got %.1000v\nwant %.1000v", got, want)
					}
					if *wantRequest != *gotRequest {
						t.Errorf("the server got %.500s\nwant %.500s", *gotRequest, *wantRequest)
					}
				})
			}
		}
	}
	t.Logf("%d connections", connections.Load())
}

func TestUserAgentIsNotInvented(t *testing.T) {
	address, _ := real(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q", r.Header["User-Agent"])
	})
	c := client(t)
	wants(t, c, request(t, "GET", address, "/", nil), "[]")
	r := request(t, "GET", address, "/", nil)
	r.Header.Set("User-Agent", "")
	wants(t, c, r, "[]")
}

// One connection serves all, if the answers leave no doubt.
func TestConnectionsAreKept(t *testing.T) {
	for name, answer := range map[string]string{
		"length":           small,
		"no body":          "HTTP/1.1 204 No Content\r\n\r\n",
		"length of none":   "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"empty":            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"chunks":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"keep-alive":       "HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
		"after an interim": "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + small,
		"UTF-8":            "HTTP/1.1 200 OK\r\nX: \u00e9\r\nContent-Length: 5\r\n\r\nhello",
		"UTF-8 and chunks": "HTTP/1.1 200 OK\r\nX: \u00e9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"large header":     "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 10_000) + "\r\nContent-Length: 5\r\n\r\nhello",
		"announced fields": "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s, c := answers(t, answer), client(t)
			for range 5 {
				if _, _, err := exchange(c, get(t, s)); err != nil {
					t.Fatal(err)
				}
			}
			s.wantConnections(t, 1)
		})
	}
}

func TestUnusualRequestsGoToTheFallback(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"https":                func(r *http.Request) { r.URL.Scheme = "https" },
		"upgrade":              func(r *http.Request) { r.Header["Upgrade"] = []string{"websocket"} },
		"upgrade, other case":  func(r *http.Request) { r.Header["upgrade"] = []string{"websocket"} },
		"connection":           func(r *http.Request) { r.Header["Connection"] = []string{"close"} },
		"expect":               func(r *http.Request) { r.Header["Expect"] = []string{"100-continue"} },
		"te":                   func(r *http.Request) { r.Header["Te"] = []string{"trailers"} },
		"transfer-encoding":    func(r *http.Request) { r.Header["transfer-encoding"] = []string{"chunked"} },
		"trailer":              func(r *http.Request) { r.Trailer = http.Header{"X": nil} },
		"close":                func(r *http.Request) { r.Close = true },
		"chunks":               func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
		"connect":              func(r *http.Request) { r.Method = "CONNECT" },
		"zone":                 func(r *http.Request) { r.URL.Host = "[fe80::1%25eth0]:80" },
		"letters":              func(r *http.Request) { r.Host = "bücher.example" },
		"double slash":         func(r *http.Request) { r.URL.Opaque = "//other.example/" },
		"unknown length":       func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("a")), -1 },
		"length not said":      func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("a")), 0 },
		"large":                func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("a")), maxBody+1 },
		"length without body":  func(r *http.Request) { r.ContentLength = 1 },
		"length of a no body":  func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 1 },
		"nothing to send to":   func(r *http.Request) { r.URL.Host = "" },
		"no address whatever":  func(r *http.Request) { r.URL = nil },
		"no header whatsoever": func(r *http.Request) { r.Header = nil },
	} {
		t.Run(name, func(t *testing.T) {
			fallback := &recording{}
			c := client(t, func(o *Options) { o.Fallback = fallback })
			r := request(t, "GET", "localhost:1", "/", nil)
			body := &countingBody{}
			change(r)
			if r.Body != nil && r.Body != http.NoBody {
				body.Reader = r.Body
				r.Body = body
			}
			if _, err := c.RoundTrip(r); err != errRecorded || fallback.got != r {
				t.Errorf("got %v, %v", err, fallback.got)
			}
			if body.reads != 0 || body.closes != 0 {
				t.Error("the body was touched")
			}
		})
	}
}

type recording struct {
	got    *http.Request
	closed bool
}

var errRecorded = fmt.Errorf("recorded")

func (r *recording) RoundTrip(got *http.Request) (*http.Response, error) {
	r.got = got
	return nil, errRecorded
}

func (r *recording) CloseIdleConnections() { r.closed = true }

type countingBody struct {
	io.Reader
	reads, closes int
}

func (b *countingBody) Read(p []byte) (int, error) {
	b.reads++
	return b.Reader.Read(p)
}

func (b *countingBody) Close() error {
	b.closes++
	return nil
}

func TestCloseIdleConnections(t *testing.T) {
	fallback := &recording{}
	s, c := answers(t, small), client(t, func(o *Options) { o.Fallback = fallback })
	wants(t, c, get(t, s), "hello")
	if idle(c) != 1 {
		t.Fatal("no connection was kept")
	}
	c.CloseIdleConnections()
	if idle(c) != 0 || !fallback.closed {
		t.Error("connections are still there")
	}
	wants(t, c, get(t, s), "hello")
	s.wantConnections(t, 2)
}
