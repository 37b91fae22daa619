package dpop_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
)

func at(t testing.TB, raw string) *url.URL { return must[*url.URL](t)(url.Parse(raw)) }

func answer(nonces ...string) http.Header {
	h := http.Header{}
	for _, nonce := range nonces {
		h.Add("DPoP-Nonce", nonce)
	}
	return h
}

// DPOP-14: the latest nonce counts, and an answer without one changes nothing.
func TestLatestNonceCounts(t *testing.T) {
	var nonces dpop.Nonces
	u := at(t, "https://id.example.com/token")
	if got := nonces.Of(u); got != "" {
		t.Errorf("before the first answer: %q", got)
	}
	for _, step := range []struct {
		header http.Header
		want   string
	}{
		{answer("one"), "one"}, {answer(), "one"}, {answer("two"), "two"}, {answer("two"), "two"}, {nil, "two"}, {answer("one"), "one"},
	} {
		nonces.Note(u, step.header)
		if got := nonces.Of(u); got != step.want {
			t.Errorf("after %v: %q, want %q", step.header, got, step.want)
		}
	}
}

// DPOP-15: a nonce is for the origin that gave it, all of it and no other.
func TestNonceIsOfOneServer(t *testing.T) {
	var nonces dpop.Nonces
	nonces.Note(at(t, "https://api.example.com/orders?x=1"), answer("mine"))
	for raw, want := range map[string]string{
		"https://api.example.com":            "mine",
		"https://api.example.com/":           "mine",
		"https://api.example.com/invoices#x": "mine",
		"https://api.example.com:443/orders": "mine",
		"HTTPS://API.example.COM/orders":     "mine",
		"http://api.example.com/orders":      "",
		"https://api.example.com:8443/":      "",
		"https://api.example.com:80/":        "",
		"https://example.com/orders":         "",
		"https://api.example.com.evil.test/": "",
		"https://id.example.com/token":       "",
	} {
		if got := nonces.Of(at(t, raw)); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

// What is no nonce (RFC 9449 section 8.1) goes into no header of ours, and does
// not displace one that is.
func TestNoncesThatAreNone(t *testing.T) {
	u := at(t, "https://id.example.com/token")
	for name, header := range map[string]http.Header{
		"empty":        answer(""),
		"space":        answer("a b"),
		"quote":        answer(`a"b`),
		"backslash":    answer(`a\b`),
		"line break":   answer("a\r\nX: y"),
		"not ASCII":    answer("ä"),
		"DEL":          answer("a\x7f"),
		"NUL":          answer("a\x00"),
		"too long":     answer(strings.Repeat("a", 1025)),
		"two":          answer("a", "b"),
		"other header": {"Nonce": {"a"}},
	} {
		var nonces dpop.Nonces
		nonces.Note(u, header)
		if got := nonces.Of(u); got != "" {
			t.Errorf("%s: kept %q", name, got)
		}
		nonces.Note(u, answer("good"))
		nonces.Note(u, header)
		if got := nonces.Of(u); got != "good" {
			t.Errorf("%s: displaced a good one by %q", name, got)
		}
	}
	var nonces dpop.Nonces
	for _, good := range []string{"!", "~", "a[b]#$%'()*,;=@^_`{|}", strings.Repeat("a", 1024)} {
		nonces.Note(u, answer(good))
		if got := nonces.Of(u); got != good {
			t.Errorf("%q was not kept", good)
		}
	}
}

// However many servers there are, 256 of them are remembered: those used last.
func TestNoncesAreBounded(t *testing.T) {
	var nonces dpop.Nonces
	server := func(i int) *url.URL { return at(t, fmt.Sprintf("https://s%d.example/", i)) }
	for i := range 256 {
		nonces.Note(server(i), answer("n"))
	}
	nonces.Of(server(0))                    // used
	nonces.Note(server(1), answer("again")) // used
	for i := range 100 {
		nonces.Note(server(1000+i), answer("n"))
	}
	kept := 0
	for i := range 1200 {
		if nonces.Of(server(i)) != "" {
			kept++
		}
	}
	if kept != 256 {
		t.Errorf("%d are kept", kept)
	}
	for i, want := range map[int]string{0: "n", 1: "again", 2: "", 101: "", 102: "n", 255: "n", 1000: "n", 1099: "n"} {
		if got := nonces.Of(server(i)); got != want {
			t.Errorf("server %d: %q, want %q", i, got, want)
		}
	}
}

func TestNoncesAtOnce(t *testing.T) {
	var nonces dpop.Nonces
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 300 {
				u := &url.URL{Scheme: "https", Host: fmt.Sprintf("s%d.example", j)}
				nonces.Note(u, answer(fmt.Sprint("n", i)))
				nonces.Of(u)
			}
		})
	}
	group.Wait()
	if got := nonces.Of(at(t, "https://s299.example")); !strings.HasPrefix(got, "n") {
		t.Errorf("%q", got)
	}
}
