package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("metrics: %d", w.Code)
	}
	return w.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	q := m.Requests("orders")
	serve := func(next http.HandlerFunc) {
		defer func() { _ = recover() }()
		q.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), next)
	}
	serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) })
	serve(func(http.ResponseWriter, *http.Request) {})
	serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); panic(http.ErrAbortHandler) })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	q.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(gone), func(http.ResponseWriter, *http.Request) {})

	wantLines(t, scrape(t, m),
		`bff_requests_total{code="4xx",route="orders"} 1`,
		`bff_requests_total{code="2xx",route="orders"} 2`,
		`bff_requests_total{code="5xx",route="orders"} 1`,
		`bff_requests_total{code="aborted",route="orders"} 1`,
		`bff_request_duration_seconds_count{route="orders"} 5`,
		`bff_requests_in_flight 0`,
		`bff_build_info{version="v1"} 1`)
}

func TestEventsAreCounted(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	m.Login("")
	m.Login("nonce_mismatch")
	m.Logout("logout", "")
	m.Logout("backchannel_logout", "logout_token_replayed")
	m.Revocation("busy")
	m.Refresh("")
	m.Refresh("provider_unreachable")
	m.EventStream("busy")
	m.SessionsEnded(3, "backchannel_logout")
	m.SessionFind()
	m.StoreCalls("load").Inc()
	m.StoreError("load")
	m.Reloaded(true, time.Unix(1000, 0), 7)
	m.Reloaded(false, time.Unix(2000, 0), 8)
	m.Draining()
	wantLines(t, scrape(t, m),
		`bff_logins_total{reason="",result="success"} 1`,
		`bff_logins_total{reason="nonce_mismatch",result="failure"} 1`,
		`bff_logouts_total{flow="logout",reason="",result="success"} 1`,
		`bff_logouts_total{flow="backchannel_logout",reason="logout_token_replayed",result="failure"} 1`,
		`bff_token_revocations_total{reason="busy",result="failure"} 1`,
		`bff_token_refreshes_total{reason="provider_unreachable",result="failure"} 1`,
		`bff_sessions_created_total 1`,
		`bff_event_streams_total{reason="busy",result="failure"} 1`,
		`bff_sessions_ended_total{reason="backchannel_logout"} 3`,
		`bff_session_finds_total 1`,
		`bff_store_calls_total{operation="load"} 1`,
		`bff_store_errors_total{operation="load"} 1`,
		`bff_config_last_reload_successful 0`,
		`bff_config_last_reload_success_timestamp_seconds 1000`,
		`bff_policy_generation 7`,
		`bff_draining 1`)
}

// A clock that nobody has seen yet is not said to be right.
func TestClockOffset(t *testing.T) {
	m := telemetry.NewMetrics("v1")
	known := false
	m.ClockOffset(func() (time.Duration, bool) { return -1500 * time.Millisecond, known })
	if text := scrape(t, m); strings.Contains(text, "bff_provider_clock_offset_seconds ") {
		t.Error("an offset that nobody knows")
	}
	known = true
	wantLines(t, scrape(t, m), `bff_provider_clock_offset_seconds -1.5`)
}

// BFF-36: an audit event names the request, not the user.
func TestAuditEvent(t *testing.T) {
	var out bytes.Buffer
	logger, err := telemetry.NewLogger(&out, "info")
	if err != nil {
		t.Fatal(err)
	}
	telemetry.NewAudit(logger).Write(problem.WithRequestID(t.Context(), "R1"), telemetry.EventLoginFailed, "nonce_mismatch")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]any{"audit": true, "event": "login_failed", "requestID": "R1", "reason": "nonce_mismatch"} {
		if line[k] != v {
			t.Errorf("%s is %v, want %v", k, line[k], v)
		}
	}
}

func TestLogLevelSaysWhatToWrite(t *testing.T) {
	if _, err := telemetry.NewLogger(&bytes.Buffer{}, "loud"); err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Error(err)
	}
}
