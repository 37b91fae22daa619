package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
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
		"unknown session":      {func(q *http.Request) { q.Header.Set("Cookie", session.CookieName+"="+strings.Repeat("A", 43)) }, 401, "no_session"},
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
		if len(answer.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: touches cookies", name)
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

// BFF-11: an access token that has expired is renewed before the call.
func TestCallRefreshes(t *testing.T) {
	u := newUpstream(t, ok)
	r := newRig(t, parts{upstream: u.URL, tokens: token.Set{Access: "old", AccessExpiry: time.Now().Add(-time.Second), Refresh: "r1"}})
	var refreshes atomic.Int32
	r.refresh = func(_ context.Context, old token.Set) (token.Set, error) {
		refreshes.Add(1)
		if old.Refresh != "r1" {
			return token.Set{}, fmt.Errorf("refreshed with something else")
		}
		return token.Set{Access: "new", AccessExpiry: time.Now().Add(time.Hour), Refresh: "r2"}, nil
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
		r := newRig(t, parts{upstream: u.URL, tokens: token.Set{Access: "old", AccessExpiry: time.Now().Add(-time.Second), Refresh: "r1"}})
		r.refresh = func(context.Context, token.Set) (token.Set, error) { return token.Set{}, c.err }
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
type failing struct{ find, touch, refresh error }

func (f failing) Find(context.Context, string) (*session.Session, error) {
	return &session.Session{ExpiresAt: time.Now().Add(time.Hour), Tokens: token.Set{Access: "a"}}, f.find
}
func (f failing) Touch(context.Context, *session.Session) error { return f.touch }
func (f failing) Refreshed(_ context.Context, s *session.Session, _ func(context.Context, token.Set) (token.Set, error)) (*session.Session, error) {
	return s, f.refresh
}

func TestCallWhenSessionsFail(t *testing.T) {
	for name, c := range map[string]struct {
		sessions failing
		status   int
		code     string
	}{
		"store gone":                {failing{find: session.ErrUnavailable}, 503, "store_unavailable"},
		"store gone at touch":       {failing{touch: session.ErrUnavailable}, 503, "store_unavailable"},
		"ended between":             {failing{touch: session.ErrNone}, 401, "no_session"},
		"unreadable":                {failing{find: session.ErrUnreadable}, 503, "session_unreadable"},
		"ended while refreshing":    {failing{refresh: session.ErrNone}, 401, "no_session"},
		"store gone while renewing": {failing{refresh: session.ErrUnavailable}, 503, "store_unavailable"},
		"something else":            {failing{find: errors.New("bug")}, 500, "internal"},
	} {
		u := newUpstream(t, ok)
		answer := newRig(t, parts{upstream: u.URL, sessions: c.sessions})
		got := answer.do(answer.call("GET", "/api"))
		if problem := code(t, got); got.StatusCode != c.status || problem != c.code {
			t.Errorf("%s: %d %s", name, got.StatusCode, problem)
		}
		if c.status == 503 && got.Header.Get("Retry-After") == "" || len(got.Header["Set-Cookie"]) > 0 || len(u.requests()) > 0 {
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
