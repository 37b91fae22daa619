package upstream

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// lines are those of a request's head, the fields in order.
func lines(head string) []string {
	head = strings.TrimSuffix(head, "\r\n\r\n")
	all := strings.Split(head, "\r\n")
	slices.Sort(all[1:])
	return all
}

func TestHead(t *testing.T) {
	for name, test := range map[string]struct {
		request http.Request
		want    []string
	}{
		"the least": {
			http.Request{URL: &url.URL{Host: "orders:80"}},
			[]string{"GET / HTTP/1.1", "Host: orders:80"},
		},
		"path and query": {
			http.Request{URL: &url.URL{Host: "orders", Opaque: "/a%2Fb", RawQuery: "c=%20&d"}},
			[]string{"GET /a%2Fb?c=%20&d HTTP/1.1", "Host: orders"},
		},
		"empty query": {
			http.Request{URL: &url.URL{Host: "orders", Opaque: "/", ForceQuery: true}},
			[]string{"GET /? HTTP/1.1", "Host: orders"},
		},
		"path that is not encoded": {
			http.Request{URL: &url.URL{Host: "orders", Path: "/a b"}},
			[]string{"GET /a%20b HTTP/1.1", "Host: orders"},
		},
		"another host": {
			http.Request{Host: "public.example", URL: &url.URL{Host: "orders"}},
			[]string{"GET / HTTP/1.1", "Host: public.example"},
		},
		"no body, but a method that has one": {
			http.Request{Method: "POST", URL: &url.URL{Host: "orders"}},
			[]string{"POST / HTTP/1.1", "Content-Length: 0", "Host: orders"},
		},
		"body": {
			http.Request{Method: "DELETE", ContentLength: 7, URL: &url.URL{Host: "orders"}},
			[]string{"DELETE / HTTP/1.1", "Content-Length: 7", "Host: orders"},
		},
		"fields": {
			http.Request{URL: &url.URL{Host: "orders"}, Header: http.Header{
				"A": {"b", " c\t"}, "Empty": {""}, "None": {}, "Utf-8": {"\u00e9"}, "User-Agent": {"ua", "another"},
			}},
			[]string{"GET / HTTP/1.1", "A: b", "A: c", "Empty: ", "Host: orders", "User-Agent: ua", "Utf-8: \u00e9"},
		},
		"fields that are decided elsewhere": {
			http.Request{URL: &url.URL{Host: "orders"}, Header: http.Header{
				"Host": {"evil"}, "hOST": {"evil"}, "Content-Length": {"7"}, "content-length": {"7"}, "User-Agent": {""},
			}},
			[]string{"GET / HTTP/1.1", "Host: orders"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := appendHead(nil, &test.request)
			if err != nil {
				t.Fatal(err)
			}
			if got := lines(string(got)); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// Nothing that could end a line early gets through, and no error tells a value.
func TestInvalidRequests(t *testing.T) {
	for _, bad := range []string{"a\rb", "a\nb", "a\x00b", "a\r\nX-Secret: y", "\x7f"} {
		for what, change := range map[string]func(*http.Request){
			"method":        func(r *http.Request) { r.Method = bad },
			"method, blank": func(r *http.Request) { r.Method = "GET /evil" },
			"host":          func(r *http.Request) { r.Host = bad },
			"host, blank":   func(r *http.Request) { r.Host = "a b" },
			"address":       func(r *http.Request) { r.Host, r.URL.Host = "", bad },
			"path":          func(r *http.Request) { r.URL.Opaque = "/" + bad },
			"path, blank":   func(r *http.Request) { r.URL.Opaque = "/a b" },
			"query":         func(r *http.Request) { r.URL.RawQuery = bad },
			"name":          func(r *http.Request) { r.Header[bad] = []string{"a"} },
			"name, blank":   func(r *http.Request) { r.Header["a b"] = []string{"a"} },
			"name, colon":   func(r *http.Request) { r.Header["a:b"] = []string{"a"} },
			"no name":       func(r *http.Request) { r.Header[""] = []string{"a"} },
			"value":         func(r *http.Request) { r.Header["Authorization"] = []string{"a", "secret" + bad} },
		} {
			r := request(t, "POST", "localhost:1", "/", strings.NewReader("a"))
			body := &countingBody{Reader: r.Body}
			r.Body = body
			change(r)
			_, err := client(t).RoundTrip(r)
			if err == nil || strings.Contains(err.Error(), "dial") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s %q: %v", what, bad, err)
			}
			if body.closes != 1 {
				t.Errorf("%s %q: the body was closed %d times", what, bad, body.closes)
			}
		}
	}
}

// A server would wait for what a body lacks, or take what it has too much for the
// next request.
func TestBodyIsNotOfItsLength(t *testing.T) {
	s, c := answers(t, small), client(t)
	errBroken := errors.New("broken")
	for name, test := range map[string]struct {
		body io.Reader
		want error
	}{
		"too short": {strings.NewReader("abcd"), nil},
		"too long":  {strings.NewReader("abcdef"), nil},
		"empty":     {strings.NewReader(""), nil},
		"broken":    {io.MultiReader(strings.NewReader("abc"), broken{errBroken}), errBroken},
	} {
		r := get(t, s)
		body := &countingBody{Reader: test.body}
		r.Method, r.Body, r.ContentLength = "POST", body, 5
		_, _, err := exchange(c, r)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if body.closes != 1 {
			t.Errorf("%s: the body was closed %d times", name, body.closes)
		}
	}
	s.wantConnections(t, 0)
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
