package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

var upstreamURL = regexp.MustCompile(`(path: /api, upstream: \{url: ")http://127\.0\.0\.1:\d+`)

// call is an authenticated call as a browser's fetch makes it. With Keep-Alive in
// it the fast lane leaves it to net/http.
func call(cookie, more string) []byte {
	return fmt.Appendf(nil, "GET /api/orders?page=2 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"+
		"Accept: application/json\r\nAccept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"+
		"Referer: https://shop.example.com/\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"+
		"Sec-Ch-Ua: \"Chromium\";v=\"141\"\r\nCookie: a=1; %s=%s; b=2\r\n%s\r\n", session.CookieName, cookie, more)
}

// kilobyte is what the upstream says to everything, without allocating.
var kilobyte = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024))

// serveRaw answers every request on every connection.
func serveRaw(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			buffer := make([]byte, 16<<10)
			for filled := 0; ; {
				n, err := conn.Read(buffer[filled:])
				if err != nil {
					return
				}
				if filled += n; bytes.HasSuffix(buffer[:filled], []byte("\r\n\r\n")) {
					filled = 0
					if _, err := conn.Write(kilobyte); err != nil {
						return
					}
				}
			}
		}()
	}
}

// TestAllocationsOfACall holds one authenticated call through the whole sidecar,
// over real connections, to its budget. The allocations are the sidecar's alone:
// neither the client nor the upstream makes any.
func TestAllocationsOfACall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, too")
	}
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer upstream.Close()
	go serveRaw(upstream)
	w := start(t, setup{policy: func(text string) string {
		return upstreamURL.ReplaceAllString(text, "${1}http://"+upstream.Addr().String())
	}})
	browser := w.newBrowser()
	browser.login()

	for _, lane := range []struct {
		name, more string
		budget     float64
	}{{"lane", "", 4}, {"net/http", "Keep-Alive: 1\r\n", 50}} {
		c := dialRaw(t, w.traffic, call(browser.cookie(), lane.more))
		n := testing.AllocsPerRun(2000, func() { c.roundTrip(t) })
		t.Logf("%s: %v allocations a call", lane.name, n)
		if n > lane.budget {
			t.Errorf("%s: %v allocations a call; the budget is %v", lane.name, n, lane.budget)
		}
	}
}

// raw is a client that allocates nothing.
type raw struct {
	conn    net.Conn
	request []byte
	answer  []byte
}

// dialRaw makes three calls, so that the session is in memory, and learns how
// long an answer is.
func dialRaw(t *testing.T, address string, request []byte) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	c := &raw{conn: conn, request: request}
	for range 3 {
		_, err = conn.Write(request)
		must(t, err)
		var whole bytes.Buffer
		first, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &whole)), nil)
		must(t, err)
		n, err := io.Copy(io.Discard, first.Body)
		if err != nil || n != 1024 || first.StatusCode != http.StatusOK {
			t.Fatalf("%s, %d bytes, %v", first.Status, n, err)
		}
		c.answer = make([]byte, whole.Len())
	}
	return c
}

func (c *raw) roundTrip(t *testing.T) {
	if _, err := c.conn.Write(c.request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c.conn, c.answer); err != nil {
		t.Fatal(err)
	}
}
