package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

const answerSize = 1 << 10

// BenchmarkCall is one authenticated call of a browser over real connections:
// gate, session, token, upstream, answer of 1 KiB. It counts the client's and
// the upstream's work too; BenchmarkDirect is those two alone.
func BenchmarkCall(b *testing.B) {
	u := newUpstreamServer(b)
	r := newRig(b, parts{upstream: u.URL})
	server := httptest.NewServer(r.handler)
	defer server.Close()
	benchmark(b, server.URL+"/api/orders", r.cookie)
}

// BenchmarkCallOfAnOpenSession is the same without reading, opening and decoding
// a record.
func BenchmarkCallOfAnOpenSession(b *testing.B) {
	u := newUpstreamServer(b)
	r := newRig(b, parts{upstream: u.URL, sessions: failing{}})
	server := httptest.NewServer(r.handler)
	defer server.Close()
	benchmark(b, server.URL+"/api/orders", r.cookie)
}

// BenchmarkCallWithABoundToken is BenchmarkCall with a proof for each call.
func BenchmarkCallWithABoundToken(b *testing.B) {
	u := newUpstreamServer(b)
	r := newRig(b, parts{upstream: u.URL, tokens: bound(b)})
	server := httptest.NewServer(r.handler)
	defer server.Close()
	benchmark(b, server.URL+"/api/orders", r.cookie)
}

// BenchmarkDirect calls the upstream without us.
func BenchmarkDirect(b *testing.B) {
	benchmark(b, newUpstreamServer(b).URL+"/api/orders", strings.Repeat("A", 43))
}

func newUpstreamServer(b *testing.B) *httptest.Server {
	body := []byte(strings.Repeat("x", answerSize))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	b.Cleanup(server.Close)
	return server
}

func benchmark(b *testing.B, url, cookie string) {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	defer transport.CloseIdleConnections()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequest("GET", url, nil)
			if err != nil {
				b.Fatal(err)
			}
			for name, value := range browser {
				r.Header[name] = []string{value}
			}
			r.Header["Cookie"] = []string{"a=1; " + session.CookieName + "=" + cookie + "; b=2"}
			answer, err := transport.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			if err != nil || n != answerSize || answer.StatusCode != http.StatusOK {
				b.Fatalf("%d, %d bytes, %v", answer.StatusCode, n, err)
			}
		}
	})
}

// browser is what a fetch sends.
var browser = map[string]string{
	"X-Csrf": "1", "Accept": "application/json", "Accept-Language": "en-GB,en;q=0.9", "Accept-Encoding": "gzip, deflate, br, zstd",
	"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
	"Referer":    "https://shop.example.com/", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty",
	"Sec-Ch-Ua": `"Chromium";v="141"`, "Sec-Ch-Ua-Platform": `"Linux"`,
}
