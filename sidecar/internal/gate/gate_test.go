package gate_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

const origin = "https://shop.example.com"

// headers in the form "Name: value | Name: value".
func request(method, headers string) *http.Request {
	r := httptest.NewRequest(method, "/api/orders", nil)
	r.Host = "10.0.0.7:18080" // what an ingress may make of it
	for line := range strings.SplitSeq(headers, " | ") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header.Add(name, value)
		}
	}
	return r
}

const (
	csrf      = "X-CSRF: 1"
	own       = "Origin: https://shop.example.com"
	handshake = "Connection: keep-alive, Upgrade | Upgrade: websocket | Sec-WebSocket-Key: x | Sec-WebSocket-Version: 13"
)

type row struct{ method, headers string }

func try(t *testing.T, rule gate.Rule, want problem.Kind, rows ...row) {
	t.Helper()
	g, err := gate.New(origin)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rows {
		if got := g.Check(rule, request(c.method, c.headers)); got.Kind != want {
			t.Errorf("%s %q: %q, want %q", c.method, c.headers, got.Kind, want)
		} else if want != problem.None && got.Detail == "" {
			t.Errorf("%s %q: refused without a word", c.method, c.headers)
		}
	}
}

func every(headers string) []row {
	var rows []row
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		rows = append(rows, row{m, headers})
	}
	return rows
}

// BFF-28, BFF-29: the header is needed with every method, whatever else the
// browser says.
func TestCallWithoutTheHeader(t *testing.T) {
	for _, rule := range []gate.Rule{gate.Call, gate.Fetch} {
		for _, headers := range []string{"", own, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: same-origin | " + own,
			"X-CSRF: 0", "X-CSRF: ", "X-CSRF: 11", "X-CSRF: 1 | X-CSRF: 1", "X-CSRF: 1, 1", "X_CSRF: 1",
			"Accept: text/event-stream", "Accept: text/event-stream | Sec-Fetch-Site: bogus"} {
			try(t, rule, problem.CSRFHeaderMissing, every(headers)...)
		}
	}
}

func TestCallOfOurPage(t *testing.T) {
	for _, rule := range []gate.Rule{gate.Call, gate.Fetch} {
		for _, headers := range []string{csrf, csrf + " | " + own, csrf + " | Sec-Fetch-Site: same-origin",
			csrf + " | Sec-Fetch-Site: same-origin | Sec-Fetch-Mode: cors | Sec-Fetch-Dest: empty | " + own} {
			try(t, rule, problem.None, every(headers)...)
		}
		// FM-01: an unknown value counts as absent. For unsafe methods Go's own
		// protection is stricter, and has the last word.
		try(t, rule, problem.None, row{"GET", csrf + " | Sec-Fetch-Site: unheard-of"})
		try(t, rule, problem.CrossOrigin, row{"POST", csrf + " | Sec-Fetch-Site: unheard-of"})
	}
}

// FM-03, FM-04, BFF-25, BFF-26: the header does not help a foreign or sibling
// origin, however it may have got there.
func TestCallOfAnotherOrigin(t *testing.T) {
	foreign := []string{
		"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Sec-Fetch-Site: none",
		"Origin: https://evil.example", "Origin: null", "Origin: ", "Origin: http://shop.example.com",
		"Origin: https://shop.example.com:444", "Origin: https://shop.example.com.evil.example",
		"Origin: https://evilshop.example.com", "Origin: https://SHOP.example.com", "Origin: https://shop.example.com/",
		"Origin: https://10.0.0.7:18080", "Origin: http://10.0.0.7:18080", // Host proves nothing
		own + " | " + own, own + " | Origin: https://evil.example",
		own + " | Sec-Fetch-Site: cross-site",
	}
	for _, rule := range []gate.Rule{gate.Call, gate.Fetch, gate.Submit} {
		for _, headers := range foreign {
			try(t, rule, problem.CrossOrigin, every(csrf+" | "+headers)...)
			try(t, rule, problem.CrossOrigin, every(headers)...)
		}
	}
}

// BFF-27: no preflight is ever approved, not even our own.
func TestPreflight(t *testing.T) {
	for _, rule := range []gate.Rule{gate.Call, gate.Fetch, gate.Submit} {
		for _, headers := range []string{"Origin: https://evil.example", own, "", csrf} {
			try(t, rule, problem.CrossOrigin, row{"OPTIONS", "Access-Control-Request-Method: POST | " + headers})
		}
	}
}

// GAP-01: a WebSocket needs our exact Origin, and only that.
func TestWebSocket(t *testing.T) {
	for _, headers := range []string{own, own + " | Sec-Fetch-Site: same-origin", own + " | " + csrf} {
		try(t, gate.Call, problem.None, row{"GET", handshake + " | " + headers})
	}
	for _, headers := range []string{"", csrf, "Origin: null", "Origin: https://evil.example", "Origin: https://shop.example.com.",
		"Origin: http://shop.example.com", own + " | " + own, "Sec-Fetch-Site: same-origin"} {
		try(t, gate.Call, problem.CrossOrigin, row{"GET", handshake + " | " + headers})
	}
	// What only looks like a handshake is a call.
	try(t, gate.Call, problem.CSRFHeaderMissing,
		row{"POST", handshake + " | " + own},
		row{"GET", "Upgrade: websocket | " + own},
		row{"GET", "Connection: Upgrade | Upgrade: h2c | " + own},
		row{"GET", "Connection: Upgrade | Upgrade: websocket | Upgrade: h2c | " + own})
	// Our own endpoints have no WebSocket.
	try(t, gate.Fetch, problem.CSRFHeaderMissing, row{"GET", handshake + " | " + own})
}

// An EventSource of our own page can show nothing but Fetch Metadata.
func TestEventSource(t *testing.T) {
	const stream = "Accept: text/event-stream | "
	try(t, gate.Call, problem.None, row{"GET", stream + "Sec-Fetch-Site: same-origin"}, row{"GET", stream + csrf})
	try(t, gate.Call, problem.CSRFHeaderMissing, row{"GET", stream}, row{"GET", stream + own}, row{"POST", stream + "Sec-Fetch-Site: same-origin"},
		row{"GET", "Accept: text/event-stream, */* | Sec-Fetch-Site: same-origin"})
	try(t, gate.Call, problem.CrossOrigin, row{"GET", stream + "Sec-Fetch-Site: same-site"}, row{"GET", stream + "Sec-Fetch-Site: same-origin | Origin: https://evil.example"})
	try(t, gate.Fetch, problem.CSRFHeaderMissing, row{"GET", stream + "Sec-Fetch-Site: same-origin"})
}

// GAP-05: a logout is a fetch with the header or a form of our own page.
func TestSubmit(t *testing.T) {
	try(t, gate.Submit, problem.None, row{"POST", csrf}, row{"POST", own}, row{"POST", "Sec-Fetch-Site: same-origin"},
		row{"POST", own + " | Sec-Fetch-Site: same-origin | Sec-Fetch-Mode: navigate"})
	try(t, gate.Submit, problem.CSRFHeaderMissing, row{"POST", ""}, row{"POST", "Sec-Fetch-Site: unheard-of"})
}

// A rule that was forgotten lets nothing pass.
func TestNoRule(t *testing.T) {
	try(t, 0, problem.CrossOrigin, row{"GET", csrf + " | " + own})
}

func TestRequireAnswersWithoutCORSHeaders(t *testing.T) {
	g, err := gate.New(origin)
	if err != nil {
		t.Fatal(err)
	}
	handler := g.Require(gate.Call, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for headers, want := range map[string]int{csrf: http.StatusTeapot, "Origin: https://evil.example | Access-Control-Request-Method: GET": http.StatusForbidden} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request("OPTIONS", headers))
		if w.Code != want {
			t.Errorf("%q: %d", headers, w.Code)
		}
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%q: answered with %s", headers, name)
			}
		}
	}
}
