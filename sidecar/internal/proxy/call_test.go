package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// GAP-02, BFF-28, BFF-35: what a call must bring, and what it is told if not.
func TestCallIsRefused(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{upstream: u.URL})
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
		code   string
	}{
		"no session":           {func(q *http.Request) { q.Header.Del("Cookie") }, 401, "no_session"},
		"unknown session":      {func(q *http.Request) { q.Header.Set("Cookie", session.CookieName+"="+strings.Repeat("A", 43)) }, 401, "session_ended"},
		"malformed cookie":     {func(q *http.Request) { q.Header.Set("Cookie", session.CookieName+"=x") }, 401, "no_session"},
		"two session cookies":  {func(q *http.Request) { q.Header.Add("Cookie", q.Header.Get("Cookie")) }, 401, "no_session"}, // COOK-06
		"cookie in lower case": {func(q *http.Request) { q.Header.Set("Cookie", strings.ToLower(session.CookieName)+"="+r.cookie) }, 401, "no_session"},
		"no CSRF header":       {func(q *http.Request) { q.Header.Del("X-Csrf") }, 403, "csrf_header_missing"},
		"another site":         {func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") }, 403, "cross_origin"},
		"another method":       {func(q *http.Request) { q.Method = "DELETE" }, 405, "method_not_allowed"},
		"method in lower case": {func(q *http.Request) { q.Method = "get" }, 405, "method_not_allowed"},
	} {
		req := r.call("GET", "/api")
		c.change(req)
		answer := r.do(req)
		if got := code(t, answer); answer.StatusCode != c.status || got != c.code {
			t.Errorf("%s: %d %s", name, answer.StatusCode, got)
		}
		if answer.Header.Get("Location") != "" || answer.Header.Get("Content-Type") != "application/problem+json" || answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, answer.Header)
		}
		if c.status == 405 && answer.Header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: Allow is %q", name, answer.Header.Get("Allow"))
		}
		// What names a session that is not there is of no use to the browser.
		if cleared := len(answer.Header["Set-Cookie"]) > 0; cleared != (c.code == "session_ended") {
			t.Errorf("%s: touches cookies: %t", name, cleared)
		}
	}
	if n := len(u.requests()); n != 0 {
		t.Errorf("%d refused calls arrived", n)
	}
}

func TestNoSessionNamesTheLogin(t *testing.T) {
	r := newRig(t, parts{upstream: "http://127.0.0.1:1"})
	req := r.call("GET", "/api")
	req.Header.Del("Cookie")
	body := make([]byte, 4096)
	n, _ := r.do(req).Body.Read(body)
	if !strings.Contains(string(body[:n]), `"loginURL":"/bff/login"`) {
		t.Errorf("%s", body[:n])
	}
}

// expiredTokens want a refresh.
var expiredTokens = token.Set{Access: token.Access{Token: "old", Expiry: time.Now().Add(-time.Second)}, Refresh: "r1"}

// BFF-11: an access token that has expired is renewed before the call.
func TestCallRefreshes(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{upstream: u.URL, tokens: expiredTokens})
	var refreshes atomic.Int32
	r.refresh = func(_ context.Context, old token.Set, _ token.Target) (token.Set, error) {
		refreshes.Add(1)
		if old.Refresh != "r1" {
			return token.Set{}, fmt.Errorf("refreshed with something else")
		}
		return token.Set{Access: token.Access{Token: "new", Expiry: time.Now().Add(time.Hour)}, Refresh: "r2"}, nil
	}
	for range 2 {
		if answer := r.do(r.call("GET", "/api")); answer.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", answer.StatusCode, code(t, answer))
		}
		if got := u.last(t).Header.Get("Authorization"); got != "Bearer new" {
			t.Errorf("Authorization is %q", got)
		}
	}
	if refreshes.Load() != 1 {
		t.Errorf("%d refreshes", refreshes.Load())
	}
}

// BFF-13, GAP-07: only a refused refresh token ends a session.
func TestCallWhenRefreshFails(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
		ended  bool
	}{
		"refused":     {fmt.Errorf("refresh: %w", token.ErrInvalidGrant), 401, "session_ended", true},
		"unavailable": {errors.New("503"), 503, "provider_unavailable", false},
		"timed out":   {context.DeadlineExceeded, 503, "provider_unavailable", false},
	} {
		u := newUpstream(t, ok)
		r := newRig(t, parts{upstream: u.URL, tokens: expiredTokens})
		r.refresh = func(context.Context, token.Set, token.Target) (token.Set, error) { return token.Set{}, c.err }
		answer := r.do(r.call("GET", "/api"))
		if got := code(t, answer); answer.StatusCode != c.status || got != c.code {
			t.Errorf("%s: %d %s", name, answer.StatusCode, got)
		}
		cleared := strings.Contains(strings.Join(answer.Header["Set-Cookie"], ""), session.CookieName+"=;")
		if cleared != c.ended {
			t.Errorf("%s: cookie cleared: %t", name, cleared)
		}
		if _, err := r.sessions.Find(t.Context(), r.cookie); errors.Is(err, session.ErrNone) != c.ended {
			t.Errorf("%s: afterwards the session is %v", name, err)
		}
		if len(u.requests()) != 0 {
			t.Errorf("%s: the call was forwarded", name)
		}
	}
}

// failing sessions make the world misbehave.
type failing struct{ find, touch, refresh, renew error }

func (f failing) Find(context.Context, string) (*session.Session, error) {
	return &session.Session{ExpiresAt: time.Now().Add(time.Hour), Tokens: token.Set{Access: token.Access{Token: "a"}}}, f.find
}
func (failing) Ready(string, token.Target, bool) (*session.Session, bool) { return nil, false }
func (f failing) Touch(context.Context, *session.Session) error           { return f.touch }
func (f failing) Refreshed(_ context.Context, s *session.Session, _ token.Target, _ proxy.Refresh) (*session.Session, error) {
	return s, f.refresh
}
func (f failing) Renew(_ context.Context, s *session.Session, _ token.Target, _ proxy.Refresh) (*session.Session, error) {
	return s, f.renew
}
func (f failing) Watch(*session.Session) (<-chan session.Event, func()) { return nil, func() {} }

func TestCallWhenSessionsFail(t *testing.T) {
	for name, c := range map[string]struct {
		sessions failing
		status   int
		code     string
	}{
		"store gone":                {failing{find: session.ErrUnavailable}, 503, "store_unavailable"},
		"store gone at touch":       {failing{touch: session.ErrUnavailable}, 503, "store_unavailable"},
		"ended between":             {failing{touch: session.ErrNone}, 401, "session_ended"},
		"unreadable":                {failing{find: session.ErrUnreadable}, 503, "session_unreadable"},
		"ended while refreshing":    {failing{refresh: session.ErrNone}, 401, "session_ended"},
		"no token for the resource": {failing{refresh: session.ErrTarget}, 502, "token_unavailable"}, // RES-06
		"store gone while renewing": {failing{refresh: session.ErrUnavailable}, 503, "store_unavailable"},
		"something else":            {failing{find: errors.New("bug")}, 500, "internal"},
	} {
		u := newUpstream(t, ok)
		answer := newRig(t, parts{upstream: u.URL, sessions: c.sessions})
		got := answer.do(answer.call("GET", "/api"))
		if problem := code(t, got); got.StatusCode != c.status || problem != c.code {
			t.Errorf("%s: %d %s", name, got.StatusCode, problem)
		}
		cleared := len(got.Header["Set-Cookie"]) > 0
		if c.status == 503 && got.Header.Get("Retry-After") == "" || cleared != (c.status == 401) || len(u.requests()) > 0 {
			t.Errorf("%s: %v, %d calls", name, got.Header, len(u.requests()))
		}
	}
}

func TestUpstreamDoesNotAnswer(t *testing.T) {
	slow := make(chan struct{})
	defer close(slow)
	hung := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-slow:
		case <-r.Context().Done():
		}
	})
	garbage, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer garbage.Close()
	go func() {
		for {
			conn, err := garbage.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("this is not HTTP secret=1\r\n\r\n"))
			conn.Close()
		}
	}()

	for name, c := range map[string]struct {
		url, code string
		status    int
		timeout   time.Duration
	}{
		"nobody listens": {"http://127.0.0.1:1", "upstream_unreachable", 502, 0},
		"garbage":        {"http://" + garbage.Addr().String(), "upstream_unreachable", 502, 0},
		"too slow":       {hung.URL, "upstream_timeout", 504, 50 * time.Millisecond},
	} {
		r := newRig(t, parts{upstream: c.url, token: v1alpha1.TokenNone})
		req := r.call("GET", "/api")
		if c.timeout > 0 {
			ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
			defer cancel()
			req = req.WithContext(ctx)
		}
		answer := r.do(req)
		if got := code(t, answer); answer.StatusCode != c.status || got != c.code {
			t.Errorf("%s: %d %s", name, answer.StatusCode, got)
		}
	}
}

func TestNothingIsAnsweredToABrowserThatHasGone(t *testing.T) {
	r := newRig(t, parts{upstream: "http://127.0.0.1:1"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answer := r.do(r.call("GET", "/api").WithContext(ctx))
	if body := code(t, answer); body != "" {
		t.Errorf("answered %s", body)
	}
}

// What the store still knows of a session's end is told, and a cookie that a
// newer login may have replaced stays.
func TestCallSaysWhyTheSessionEnded(t *testing.T) {
	for reason, c := range map[session.EndReason]struct {
		detail  string
		cleared bool
	}{
		session.EndLogout:       {"You have logged out", true},
		session.EndBackChannel:  {"The identity provider has ended this login", true},
		session.EndFrontChannel: {"The identity provider has ended this login", true},
		session.EndRefused:      {"does not renew this login", true},
		session.EndLimit:        {"only so many at once", true},
		session.EndNetwork:      {"from another network", true},
		session.EndExpired:      {"too old", true},
		session.EndReplaced:     {"A newer login in this browser", false},
	} {
		r := newRig(t, parts{upstream: "http://127.0.0.1:1"})
		sess, err := r.sessions.Find(t.Context(), r.cookie)
		must(t, err)
		must(t, r.sessions.End(t.Context(), sess, reason))
		answer := r.do(r.call("GET", "/api"))
		body, err := io.ReadAll(answer.Body)
		must(t, err)
		if answer.StatusCode != 401 || !strings.Contains(string(body), c.detail) || !strings.Contains(string(body), `"loginURL":"/bff/login"`) {
			t.Errorf("%s: %d %s", reason, answer.StatusCode, body)
		}
		if cleared := len(answer.Header["Set-Cookie"]) > 0; cleared != c.cleared {
			t.Errorf("%s: cookie cleared: %t", reason, cleared)
		}
	}
}
