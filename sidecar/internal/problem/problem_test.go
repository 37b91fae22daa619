package problem_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

func write(t *testing.T, k problem.Kind, header http.Header, members ...problem.Member) (*http.Response, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	handler := problem.Identify(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.Write(w, r, "Do this instead.", members...)
	}))
	r := httptest.NewRequest(http.MethodGet, "/api", nil)
	r.Header = header
	handler.ServeHTTP(w, r)
	answer := w.Result()
	var body map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return answer, body
}

// GAP-02, GAP-08: errors are problem details (RFC 9457) and are never cached.
func TestAnswerIsAProblem(t *testing.T) {
	answer, body := write(t, problem.NoSession, http.Header{}, problem.LoginURL("/bff/login"))

	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", answer.StatusCode)
	}
	for name, want := range map[string]string{
		"Content-Type":           "application/problem+json",
		"Cache-Control":          "no-store",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := answer.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	want := map[string]any{
		"type":      "https://bff-operator.io/problems/no_session",
		"title":     "No session",
		"status":    float64(401),
		"detail":    "Do this instead.",
		"code":      "no_session",
		"loginURL":  "/bff/login",
		"requestID": answer.Header.Get("X-Request-Id"),
	}
	for member, value := range want {
		if body[member] != value {
			t.Errorf("%s is %v, want %v", member, body[member], value)
		}
	}
	if len(body) != len(want) {
		t.Errorf("members beyond the contract: %v", body)
	}
}

func TestRequestIDIsOurs(t *testing.T) {
	const chosen = "chosen-by-the-browser"
	seen := map[string]bool{}
	for range 100 {
		answer, body := write(t, problem.BadPath, http.Header{"X-Request-Id": {chosen}})
		id := answer.Header.Get("X-Request-Id")
		if id == chosen || len(id) < 26 || seen[id] || body["requestID"] != id {
			t.Fatalf("request id %q in the header, %v in the body", id, body["requestID"])
		}
		seen[id] = true
	}
}

// A client that is told 429 or 503 is told when to try again.
func TestEveryKindThatPassesSaysWhenToRetry(t *testing.T) {
	codes := map[string]bool{}
	for k := problem.NoSession; k <= problem.Internal; k++ {
		if k.Code() == "" || codes[k.Code()] || strings.ToLower(k.Code()) != k.Code() {
			t.Errorf("kind %d has code %q", k, k.Code())
		}
		codes[k.Code()] = true
		answer, body := write(t, k, http.Header{})
		if answer.StatusCode != k.Status() || body["title"] == "" || k.Status() < 400 {
			t.Errorf("%s: status %d, title %v", k, answer.StatusCode, body["title"])
		}
		if got := answer.Header.Get("Retry-After") != ""; got != (k.Status() == http.StatusServiceUnavailable || k.Status() == http.StatusTooManyRequests) {
			t.Errorf("%s: Retry-After present: %t", k, got)
		}
	}
}

func TestUnreachableApplicationClosesTheConnection(t *testing.T) {
	answer, _ := write(t, problem.ApplicationUnreachable, http.Header{})
	if answer.Header.Get("Connection") != "close" {
		t.Error("the connection stays with a replica whose application is gone")
	}
}
