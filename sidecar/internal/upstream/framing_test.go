package upstream

import (
	"net/http"
	"testing"
)

func TestFrame(t *testing.T) {
	for name, test := range map[string]struct {
		method, line string
		header       http.Header
		want         framing
		ok           bool
	}{
		"length":            {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"5"}}, framing{200, 5, 5, false, false}, true},
		"no reason":         {"GET", "HTTP/1.1 200", http.Header{"Content-Length": {"5"}}, framing{200, 5, 5, false, false}, true},
		"chunks":            {"GET", "HTTP/1.1 200 OK", http.Header{"Transfer-Encoding": {"Chunked"}}, framing{200, -1, -1, false, false}, true},
		"closes":            {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"5"}, "Connection": {"Close"}}, framing{200, 5, 5, true, false}, true},
		"keep-alive":        {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"5"}, "Connection": {"keep-alive"}}, framing{200, 5, 5, false, false}, true},
		"HEAD":              {"HEAD", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"5"}}, framing{200, 0, 5, false, false}, true},
		"HEAD, no length":   {"HEAD", "HTTP/1.1 200 OK", nil, framing{200, 0, -1, false, false}, true},
		"no content":        {"GET", "HTTP/1.1 204 No Content", nil, framing{204, 0, 0, false, false}, true},
		"no content, but":   {"GET", "HTTP/1.1 204 No Content", http.Header{"Content-Length": {"5"}}, framing{204, 0, 0, false, true}, true},
		"no content, none":  {"GET", "HTTP/1.1 204 No Content", http.Header{"Content-Length": {"0"}}, framing{204, 0, 0, false, false}, true},
		"not modified":      {"GET", "HTTP/1.1 304 Not Modified", http.Header{"Content-Length": {"5"}}, framing{304, 0, 0, false, false}, true},
		"interim":           {"GET", "HTTP/1.1 103 Early Hints", nil, framing{status: 103}, true},
		"interim, length":   {"GET", "HTTP/1.1 103 Early Hints", http.Header{"Content-Length": {"5"}}, framing{}, false},
		"until the end":     {"GET", "HTTP/1.1 200 OK", nil, framing{}, false},
		"both":              {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"5"}, "Transfer-Encoding": {"chunked"}}, framing{}, false},
		"twice":             {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"5", "5"}}, framing{}, false},
		"sign":              {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"+5"}}, framing{}, false},
		"underscore":        {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"1_0"}}, framing{}, false},
		"empty":             {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {""}}, framing{}, false},
		"huge":              {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"9999999999999999"}}, framing{}, false},
		"other coding":      {"GET", "HTTP/1.1 200 OK", http.Header{"Transfer-Encoding": {"gzip, chunked"}}, framing{}, false},
		"chunked twice":     {"GET", "HTTP/1.1 200 OK", http.Header{"Transfer-Encoding": {"chunked", "chunked"}}, framing{}, false},
		"chunks, no body":   {"HEAD", "HTTP/1.1 200 OK", http.Header{"Transfer-Encoding": {"chunked"}}, framing{}, false},
		"announced trailer": {"GET", "HTTP/1.1 200 OK", http.Header{"Transfer-Encoding": {"chunked"}, "Trailer": {"X"}}, framing{}, false},
		"options":           {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"5"}, "Connection": {"close, x"}}, framing{}, false},
		"options apart":     {"GET", "HTTP/1.1 200 OK", http.Header{"Content-Length": {"5"}, "Connection": {"keep-alive", "close"}}, framing{}, false},
		"HTTP/1.0":          {"GET", "HTTP/1.0 200 OK", http.Header{"Content-Length": {"5"}}, framing{}, false},
		"two blanks":        {"GET", "HTTP/1.1  200 OK", http.Header{"Content-Length": {"5"}}, framing{}, false},
		"signed status":     {"GET", "HTTP/1.1 +20 OK", http.Header{"Content-Length": {"5"}}, framing{}, false},
		"low status":        {"GET", "HTTP/1.1 020 OK", http.Header{"Content-Length": {"5"}}, framing{}, false},
		"long status":       {"GET", "HTTP/1.1 2000 OK", http.Header{"Content-Length": {"5"}}, framing{}, false},
	} {
		got, ok := frame(test.method, test.line, test.header)
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%s: got %+v, %v; want %+v, %v", name, got, ok, test.want, test.ok)
		}
	}
}

func TestSound(t *testing.T) {
	for head, want := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n":                                true,
		"HTTP/1.1 200 a: b\r\nX: \u00e9\r\ntransfer-encoding:chunked\r\n\r\n":         true,
		"HTTP/1.1 200 OK\r\n\r\n":                                                     true,
		"HTTP/1.1 200 OK\nContent-Length: 5\n\n":                                      false,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\n":                                  false,
		"HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n":                                           false,
		"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n":                                         false,
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n":                                       false,
		"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\n":                                      false,
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\n":                                            false,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCONTENT-LENGTH: 5\r\n\r\n":           false,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n":  false,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n": false,
	} {
		if got := sound(head, http.StatusOK); got != want {
			t.Errorf("%q: got %v", head, got)
		}
	}
	for _, status := range []int{103, 204} {
		if sound("HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\n", status) || !sound("HTTP/1.1 103 X\r\nA: b\r\n\r\n", status) {
			t.Errorf("a length in a %d", status)
		}
	}
}
