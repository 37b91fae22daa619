package http1_test

import (
	"bufio"
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/http1"
)

func TestAHeadOfTheGrammarIsRead(t *testing.T) {
	head := "GET /api/orders?a=b HTTP/1.1\r\nHost: shop.example.com\r\nsec-fetch-site:same-origin\r\nX-CSRF: \t1 \r\nAccept: a\r\naccept: b\r\nEmpty:\r\n\r\n"
	var h http1.Head
	if !h.Parse([]byte(head)) {
		t.Fatal("it was not read")
	}
	want := http.Header{"Host": {"shop.example.com"}, "Sec-Fetch-Site": {"same-origin"}, "X-Csrf": {"1"}, "Accept": {"a", "b"}, "Empty": {""}}
	if h.Line != "GET /api/orders?a=b HTTP/1.1" || !maps.EqualFunc(h.Header, want, slices.Equal) {
		t.Errorf("got %q %v", h.Line, h.Header)
	}
}

func TestWhatIsNotOfTheGrammarIsNotRead(t *testing.T) {
	for name, head := range map[string]string{
		"nothing":                   "",
		"an empty first line":       "\r\n\r\n",
		"bare LF":                   "GET / HTTP/1.1\nHost: a\r\n\r\n",
		"bare CR":                   "GET / HTTP/1.1\rHost: a\r\n\r\n",
		"bare CR in a value":        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
		"bare LF between fields":    "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
		"a folded line":             "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"a field before all others": "GET / HTTP/1.1\r\n A: b\r\n\r\n",
		"a blank before the colon":  "GET / HTTP/1.1\r\nA : b\r\n\r\n",
		"no colon":                  "GET / HTTP/1.1\r\nA\r\n\r\n",
		"no name":                   "GET / HTTP/1.1\r\n: b\r\n\r\n",
		"NUL":                       "GET / HTTP/1.1\r\nA: b\x00\r\n\r\n",
		"a byte that is not ASCII":  "GET / HTTP/1.1\r\nA: \xe4\r\n\r\n",
		"a name that is no token":   "GET / HTTP/1.1\r\nA(: b\r\n\r\n",
		"too many fields":           "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 101) + "\r\n",
	} {
		if new(http1.Head).Parse([]byte(head)) {
			t.Errorf("%s: it was read", name)
		}
	}
}

func TestTheEndOfAHead(t *testing.T) {
	for head, want := range map[string]int{"": -1, "GET / HTTP/1.1\r\n": -1, "a\r\n\r\nbody\r\n\r\n": 5, "a\n\n": -1, "a\r\n\n": -1} {
		if got := http1.End([]byte(head)); got != want {
			t.Errorf("End(%q) = %d, want %d", head, got, want)
		}
	}
}

func TestALineOfTheGrammarIsRead(t *testing.T) {
	for line, want := range map[string]string{
		"GET / HTTP/1.1":                  "/",
		"POST /a/b?c=%zz HTTP/1.1":        "/a/b",
		"GET /a?a b HTTP/1.1":             "",
		"GET /a%20b HTTP/1.1":             "",
		"GET /a#b HTTP/1.1":               "",
		"GET http://a/ HTTP/1.1":          "",
		"OPTIONS * HTTP/1.1":              "",
		"get / HTTP/1.1":                  "",
		"TRACE / HTTP/1.1":                "",
		"CONNECT a:1 HTTP/1.1":            "",
		"GET / HTTP/1.0":                  "",
		"GET / HTTP/1.1 ":                 "",
		"GET  / HTTP/1.1":                 "",
		"GET /\t HTTP/1.1":                "",
		"GET /":                           "",
		"GET / http/1.1":                  "",
		"GET HTTP/1.1":                    "",
		"PRI * HTTP/2.0":                  "",
		"GET / HTTP/1.1 HTTP/1.1":         "",
		"GET /" + "\x7f" + " HTTP/1.1":    "",
		"GET /" + "\u00e4" + " HTTP/1.1":  "",
		"GET /?" + "\u00e4" + " HTTP/1.1": "",
	} {
		l, ok := http1.ParseLine(line)
		if ok != (want != "") || ok && l.Target.Path != want {
			t.Errorf("%q: got %+v, %v", line, l, ok)
		}
	}
}

func TestHowLongABodyIs(t *testing.T) {
	for _, c := range []struct {
		header http.Header
		length int64
		ok     bool
	}{
		{http.Header{}, 0, true},
		{http.Header{"Content-Length": {"0"}}, 0, true},
		{http.Header{"Content-Length": {"17"}}, 17, true},
		{http.Header{"Content-Length": {"17", "17"}}, 0, false},
		{http.Header{"Content-Length": {"+17"}}, 0, false},
		{http.Header{"Content-Length": {"-1"}}, 0, false},
		{http.Header{"Content-Length": {"0x1"}}, 0, false},
		{http.Header{"Content-Length": {"1_0"}}, 0, false},
		{http.Header{"Content-Length": {"1,1"}}, 0, false},
		{http.Header{"Content-Length": {""}}, 0, false},
		{http.Header{"Content-Length": {"9999999999999999"}}, 0, false},
		{http.Header{"Transfer-Encoding": {"chunked"}}, 0, false},
		{http.Header{"Transfer-Encoding": {"identity"}}, 0, false},
		{http.Header{"Upgrade": {"websocket"}}, 0, false},
		{http.Header{"Expect": {"100-continue"}}, 0, false},
		{http.Header{"Trailer": {"A"}}, 0, false},
		{http.Header{"Connection": {"close"}}, 0, false},
		{http.Header{"Connection": {"keep-alive, x-user"}}, 0, false},
		{http.Header{"Connection": {"Keep-Alive"}}, 0, true},
		{http.Header{"Pragma": {"no-cache"}}, 0, false},
		{http.Header{"Pragma": {"no-cache"}, "Cache-Control": {"no-cache"}}, 0, true},
	} {
		if length, ok := http1.Framing(c.header); ok != c.ok || ok && length != c.length {
			t.Errorf("%v: got %d, %v", c.header, length, ok)
		}
	}
}

func TestAppendedFieldsEndNoLineOfTheirOwn(t *testing.T) {
	b := http1.AppendFields(nil, http.Header{"A": {"b\r\nC: d", "e"}, "F\r\n": {"g"}, "": {"h"}})
	if got := string(b); got != "A: b  C: d\r\nA: e\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestReadingAllocatesOneString(t *testing.T) {
	head := []byte("GET /api HTTP/1.1\r\nhost: shop.example.com\r\ncookie: a=b\r\nx-csrf: 1\r\n\r\n")
	var h http1.Head
	if n := testing.AllocsPerRun(100, func() { h.Parse(head) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzRequest holds the grammar to net/http's reading of the same bytes: what is
// read here it reads too, as the same request, which ends at the same byte. It
// is never the other way round that matters (FM-06, BFF-32).
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a?b=c HTTP/1.1\r\nhost: a:80\r\ncontent-length: 3\r\ncookie: a=b\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET //a HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\n\r\n",
		"GET /a;b=c:d@e HTTP/1.1\r\nHost: [::1]:1\r\nX: y\tz\r\nX:\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nKeep-Alive: 1\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		end := http1.End(b)
		var h http1.Head
		if end < 0 || !h.Parse(b[:end]) {
			return
		}
		line, ok := http1.ParseLine(h.Line)
		if !ok {
			return
		}
		host, ok := http1.Host(h.Header)
		if !ok {
			return
		}
		length, ok := http1.Framing(h.Header)
		if !ok {
			return
		}
		rest := bytes.NewReader(b)
		buffered := bufio.NewReaderSize(rest, 16) // reads little ahead
		r, err := http.ReadRequest(buffered)
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		if at := len(b) - rest.Len() - buffered.Buffered(); at != end {
			t.Errorf("the head ends at %d here, at %d there", end, at)
		}
		var u url.URL
		line.Target.URL(&u)
		if r.Method != line.Method || r.RequestURI != line.RequestURI || *r.URL != u || r.Proto != "HTTP/1.1" {
			t.Errorf("line %+v here, %q %q %+v there", line, r.Method, r.RequestURI, r.URL)
		}
		if r.Host != host || r.ContentLength != length || r.TransferEncoding != nil || r.Close || r.Trailer != nil {
			t.Errorf("host %q, length %d here; %q, %d, %v, %v there", host, length, r.Host, r.ContentLength, r.TransferEncoding, r.Close)
		}
		if !maps.EqualFunc(r.Header, h.Header, slices.Equal) {
			t.Errorf("header %v here, %v there", h.Header, r.Header)
		}
	})
}
