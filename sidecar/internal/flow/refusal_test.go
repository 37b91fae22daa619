package flow_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

type counts []string

func (c *counts) Finished(f flow.Flow, r flow.Reason) { *c = append(*c, string(f)+" "+string(r)) }

func refused(t *testing.T, refusal flow.Refusal, headers http.Header) (answer *httptest.ResponseRecorder, log string, counted counts) {
	t.Helper()
	var text bytes.Buffer
	refuser := flow.Refuser{Logger: slog.New(slog.NewTextHandler(&text, nil)), Observer: &counted}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/bff/x", nil)
	r.Header = headers
	refuser.Refuse(w, r.WithContext(problem.WithRequestID(t.Context(), "REQUEST-ID")), refusal)
	return w, text.String(), counted
}

var (
	person = http.Header{"Sec-Fetch-Mode": {"navigate"}}
	script = http.Header{"Sec-Fetch-Mode": {"cors"}}
)

func TestRefusePerson(t *testing.T) {
	w, log, counted := refused(t, flow.Refusal{Flow: flow.Login, Reason: flow.ReasonReturnTo, Kind: problem.BadReturnTo, Detail: "It must be a path.", Again: "/bff/login?x=1&y=2"}, person)
	body := w.Body.String()
	for _, want := range []string{"<h1>You were not signed in</h1>", "<p>It must be a path.</p>", `<a href="/bff/login?x=1&amp;y=2">Try again</a>`, "REQUEST-ID"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	if w.Code != http.StatusBadRequest || w.Header().Get("Vary") != "Sec-Fetch-Mode, Accept, X-CSRF" {
		t.Errorf("%d, Vary %q", w.Code, w.Header().Get("Vary"))
	}
	for _, want := range []string{"level=INFO", "flow=login", "reason=return_to_invalid", "requestID=REQUEST-ID"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in %s", want, log)
		}
	}
	if len(counted) != 1 || counted[0] != "login return_to_invalid" {
		t.Errorf("counted %v", counted)
	}
}

func TestRefuseScript(t *testing.T) {
	w, _, _ := refused(t, flow.Refusal{Flow: flow.Session, Reason: flow.ReasonReturnTo, Kind: problem.BadReturnTo, Detail: "It must be a path."}, script)
	var p problem.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != problem.MediaType {
		t.Fatalf("%s: %v", w.Body, err)
	}
	if w.Code != http.StatusBadRequest || p.Code != "bad_return_to" || p.RequestID != "REQUEST-ID" || w.Header().Get("Vary") == "" {
		t.Errorf("%d %+v", w.Code, p)
	}
}

// A person is told when to try again as a script is.
func TestRetryAfter(t *testing.T) {
	for _, kind := range []problem.Kind{problem.LoginLoop, problem.StoreUnavailable, problem.SessionUnreadable, problem.BadRequest} {
		refusal := flow.Refusal{Flow: flow.Login, Reason: flow.ReasonLoop, Kind: kind}
		toPerson, _, _ := refused(t, refusal, person)
		toScript, _, _ := refused(t, refusal, script)
		if got, want := toPerson.Header().Get("Retry-After"), toScript.Header().Get("Retry-After"); got != want {
			t.Errorf("%s: Retry-After %q for a person, %q for a script", kind, got, want)
		}
	}
}

func TestTitles(t *testing.T) {
	for name, row := range map[string]struct {
		refusal flow.Refusal
		want    string
	}{
		"login":         {flow.Refusal{Flow: flow.Login, Kind: problem.BadRequest}, "You were not signed in"},
		"callback":      {flow.Refusal{Flow: flow.Callback, Kind: problem.LoginFailed}, "You were not signed in"},
		"outage":        {flow.Unavailable(flow.Login, session.ErrUnavailable, ""), "Sign-in is not possible right now"},
		"logout":        {flow.Unavailable(flow.Logout, session.ErrUnavailable, ""), "You were not signed out"},
		"front-channel": {flow.Refusal{Flow: flow.FrontChannel, Kind: problem.BadRequest}, "You were not signed out"},
		"half a logout": {flow.Unavailable(flow.Continue, session.ErrUnavailable, ""), "You are signed out of this site only"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, _ := refused(t, row.refusal, person)
			if !strings.Contains(w.Body.String(), "<title>"+row.want+"</title>") {
				t.Errorf("want %q in %s", row.want, w.Body)
			}
		})
	}
}

func TestUnavailable(t *testing.T) {
	for name, row := range map[string]struct {
		err    error
		reason flow.Reason
		kind   problem.Kind
	}{
		"store":      {session.ErrUnavailable, flow.ReasonStoreUnavailable, problem.StoreUnavailable},
		"unreadable": {session.ErrUnreadable, flow.ReasonSessionUnreadable, problem.SessionUnreadable},
		"key ring":   {flow.ErrNoKeyRing, flow.ReasonKeyRing, problem.SessionUnreadable},
		"too large":  {session.ErrTooLarge, flow.ReasonSessionTooLarge, problem.Internal},
		"a defect":   {errors.New("x"), flow.ReasonInternal, problem.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			err := fmt.Errorf("attempt: %w", row.err)
			got := flow.Unavailable(flow.Callback, err, "/again")
			if got.Reason != row.reason || got.Kind != row.kind || got.Detail == "" || got.Again != "/again" || !errors.Is(got.Err, row.err) {
				t.Errorf("%+v", got)
			}
			w, log, _ := refused(t, got, person)
			if w.Code != row.kind.Status() || (w.Code == 503) != (w.Header().Get("Retry-After") != "") || !strings.Contains(log, "level=WARN") {
				t.Errorf("%d, Retry-After %q, %s", w.Code, w.Header().Get("Retry-After"), log)
			}
		})
	}
}
