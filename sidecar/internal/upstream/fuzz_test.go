package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// script is a connection on which a server says what it says, in pieces.
type script struct {
	net.Conn
	bytes []byte
	piece int
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.bytes) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.piece)], s.bytes)
	s.bytes = s.bytes[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)     { return len(p), nil }
func (s *script) Close() error                    { return nil }
func (s *script) SetDeadline(time.Time) error     { return nil }
func (s *script) SetReadDeadline(time.Time) error { return nil }

// reference reads an answer as net/http's Transport does.
func reference(b []byte, r *http.Request) (answer *http.Response, body []byte, rest *bufio.Reader, err error) {
	rest = bufio.NewReaderSize(bytes.NewReader(b), bufferSize)
	for range maxInterim + 1 {
		answer, err = http.ReadResponse(rest, r)
		if err == nil && answer.StatusCode < 100 {
			err = errAnswer // which net/http's own server panics about
		}
		if err != nil || answer.StatusCode == 101 || answer.StatusCode >= 200 {
			break
		}
	}
	if err == nil {
		body, err = io.ReadAll(answer.Body)
	}
	return answer, body, rest, err
}

// FuzzAnswer holds what is read of an answer against net/http's reading: it is the
// same, or an error. A connection is kept only if nothing is left on it.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		small, small + small,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200\r\nPragma: no-cache\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1  200  OK \r\nConnection: close\r\n\r\nuntil the end",
		"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nX:\xc3\xa9\r\nContent-Length :3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nConnection: a, Close\r\nA: b\r\na: c\r\nContent-Length:\t3 \r\n\r\nabc",
		"HTTP/1.1 +20 OK\r\nContent-Length: 3\r\n\r\nabc", "SSH-2.0\r\n", "HTTP/1.1 200 OK\r\n",
	} {
		for method := range uint8(3) {
			f.Add([]byte(seed), method, uint16(1000))
			f.Add([]byte(seed), method, uint16(1))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, method uint8, piece uint16) {
		r := &http.Request{Method: []string{"GET", "HEAD", "POST"}[method%3], URL: &url.URL{Scheme: "http", Host: "a"}, Header: http.Header{}}
		want, wantBody, rest, wantErr := reference(b, r)

		c := newConn(New(options(t)), "a", &script{bytes: b, piece: int(piece) + 1})
		got, err := c.roundTrip(r, []byte("GET"))
		if err != nil {
			if wantErr == nil && want.StatusCode >= 200 {
				t.Fatalf("%v, where net/http has %v", err, want)
			}
			return
		}
		if want == nil || want.StatusCode < 200 {
			t.Fatalf("got %v, where net/http has %v, %v", got, want, wantErr)
		}
		body, err := io.ReadAll(got.Body)
		if !bytes.Equal(body, wantBody) || (err == nil) != (wantErr == nil) {
			t.Fatalf("got body %q, %v; net/http has %q, %v", body, err, wantBody, wantErr)
		}
		for name := range want.Header {
			if !all(name, isToken) {
				delete(want.Header, name)
			}
		}
		type part struct {
			status             string
			code, major, minor int
			proto              string
			header             http.Header
			length             int64
			encoding           []string
			close              bool
		}
		partOf := func(a *http.Response) part {
			return part{a.Status, a.StatusCode, a.ProtoMajor, a.ProtoMinor, a.Proto, a.Header, a.ContentLength, a.TransferEncoding, a.Close}
		}
		if !reflect.DeepEqual(partOf(got), partOf(want)) {
			t.Fatalf("got %#v\nnet/http has %#v", partOf(got), partOf(want))
		}
		if err == nil && (len(got.Trailer) != 0 || len(want.Trailer) != 0) && !reflect.DeepEqual(got.Trailer, want.Trailer) {
			t.Fatalf("got trailer %v; net/http has %v", got.Trailer, want.Trailer)
		}
		if err == nil && c.keepable() && c.drain() {
			if left, _ := io.ReadAll(rest); len(c.socket.(*script).bytes) != len(left) {
				t.Fatalf("the connection is kept with %d bytes on it, net/http has %d left", len(c.socket.(*script).bytes), len(left))
			}
			if want.Close || want.ProtoAtLeast(1, 1) != true {
				t.Fatal("a connection is kept that net/http closes")
			}
		}
		got.Body.Close()
	})
}

// FuzzRequest holds what is written against net/http's reading of it: one request
// with just these parts, or none at all.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "orders:80", "", "/a%20b", "c=d", true, "X-A", "b", "body")
	f.Add("POST", "orders", "public.example", "/", "", false, "Content-Length", "100", "")
	f.Add("GE T", "a\r\nb: c", "a b", "/\r\nX: y", " ", true, "A: b\r\nC", "d\r\ne: f", "")
	f.Add("PUT", "[::1]:80", "x", "*", "\x00", true, "Transfer-encoding", "chunked", "0\r\n\r\n")
	f.Add("GET", "a", "a", "//b", "", true, "hOST", "evil", "")
	f.Fuzz(func(t *testing.T, method, address, host, path, query string, force bool, name, value, body string) {
		r := &http.Request{
			Method: method, Host: host, URL: &url.URL{Scheme: "http", Host: address, Opaque: path, RawQuery: query, ForceQuery: force},
			Header: http.Header{name: {value, "second"}, "User-Agent": {"ua"}},
		}
		if body != "" {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
		if !plain(r) {
			return
		}
		var out outgoing
		if out.write(r) != nil {
			return
		}
		buffer := bufio.NewReader(bytes.NewReader(out.bytes))
		got, err := http.ReadRequest(buffer)
		if err != nil {
			if strings.HasPrefix(path, "/") && !strings.Contains(path, "%") && method != "PRI" && validHost(host, address) {
				t.Fatalf("net/http does not read %q: %v", out.bytes, err)
			}
			return
		}
		gotBody, err := io.ReadAll(got.Body)
		if err != nil || string(gotBody) != body {
			t.Fatalf("%q has body %q, %v; want %q", out.bytes, gotBody, err, body)
		}
		if n := buffer.Buffered(); n != 0 {
			t.Fatalf("%q has %d bytes more", out.bytes, n)
		}
		wantMethod := method
		if method == "" {
			wantMethod = "GET"
		}
		if got.Method != wantMethod {
			t.Fatalf("%q has another method", out.bytes)
		}
		if path != "" && got.RequestURI != r.URL.RequestURI() {
			t.Fatalf("%q has another target than %q", out.bytes, r.URL.RequestURI())
		}
		// What net/http writes of the same request.
		var theirs bytes.Buffer
		if body != "" {
			r.Body = io.NopCloser(strings.NewReader(body))
		}
		if err := r.Write(&theirs); err != nil {
			t.Fatalf("net/http does not write what we do, %q: %v", out.bytes, err)
		}
		want, err := http.ReadRequest(bufio.NewReader(&theirs))
		if err != nil {
			return // a Host or Content-Length in another case, which net/http sends along
		}
		if got.Host != want.Host || !reflect.DeepEqual(got.Header, want.Header) || got.ContentLength != want.ContentLength {
			t.Fatalf("got %q %v %d\nwant %q %v %d", got.Host, got.Header, got.ContentLength, want.Host, want.Header, want.ContentLength)
		}
	})
}

// validHost says whether net/http's reader takes the Host that is sent.
func validHost(host, address string) bool {
	if host == "" {
		host = address
	}
	_, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
	return err == nil
}
