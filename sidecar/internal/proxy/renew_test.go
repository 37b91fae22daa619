package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// picky is a resource server that takes one token and no other.
func picky(t testing.TB, taken, challenge string) *upstream {
	t.Helper()
	return newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "Bearer "+taken {
			if challenge != "" {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "no")
			return
		}
		_, _ = w.Write(body)
	})
}

// endless are tokens of which nobody knows when they expire (OA-08).
var endless = token.Set{Access: token.Access{Token: "t1"}, Refresh: "r1"}

// renewing makes a rig hand out t2, t3 and so on.
func (r *rig) renewing() *atomic.Int32 {
	var n atomic.Int32
	r.refresh = func(_ context.Context, old token.Set, target token.Target) (token.Set, error) {
		old.Refresh = fmt.Sprintf("r%d", n.Add(1)+1)
		return old.With(target, token.Access{Token: fmt.Sprintf("t%d", n.Load()+1), ObtainedAt: time.Now()}), nil
	}
	return &n
}

// OA-08: a token whose end nobody told is renewed when it is refused, and the
// call is sent again.
func TestRefusedTokenIsRenewed(t *testing.T) {
	for _, challenge := range []string{``, `Bearer`, `Bearer error="invalid_token"`} {
		u := picky(t, "t2", challenge)
		r := newRig(t, parts{upstream: u.URL, tokens: endless})
		renewals := r.renewing()
		server := r.serve(t)
		for range 2 {
			answer, err := http.DefaultClient.Do(r.request(t, "POST", server.URL+"/api", strings.NewReader("the body")))
			must(t, err)
			body, err := io.ReadAll(answer.Body)
			must(t, err)
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK || string(body) != "the body" {
				t.Errorf("%q: %s %q", challenge, answer.Status, body)
			}
		}
		if renewals.Load() != 1 || len(u.requests()) != 3 {
			t.Errorf("%q: %d renewals, %d calls", challenge, renewals.Load(), len(u.requests()))
		}
	}
}

// A service that takes no token at all gets two calls and causes one renewal,
// and its answer is the answer.
func TestRefusalWithoutEnd(t *testing.T) {
	u := picky(t, "none", `Bearer error="invalid_token"`)
	r := newRig(t, parts{upstream: u.URL, tokens: endless})
	renewals := r.renewing()
	answer := r.do(r.call("GET", "/api"))
	if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` || code(t, answer) != "" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
	if renewals.Load() != 1 || len(u.requests()) != 2 {
		t.Errorf("%d renewals, %d calls", renewals.Load(), len(u.requests()))
	}
	// The next calls do not start another renewal each.
	for range 10 {
		r.do(r.call("GET", "/api"))
	}
	if renewals.Load() > 2 {
		t.Errorf("%d renewals for ten more calls", renewals.Load())
	}
}

// What has nothing to do with the token renews nothing.
func TestOtherRefusalsPass(t *testing.T) {
	for name, c := range map[string]struct {
		challenge string
		token     v1alpha1.TokenType
	}{
		"another scheme":       {`Basic realm="x"`, v1alpha1.TokenAccess},
		"insufficient scope":   {`Bearer error="insufficient_scope"`, v1alpha1.TokenAccess},
		"a route without one":  {`Bearer error="invalid_token"`, v1alpha1.TokenNone},
		"a step-up, forbidden": {`Bearer error="insufficient_user_authentication", acr_values="gold"`, v1alpha1.TokenAccess},
	} {
		u := picky(t, "none", c.challenge)
		r := newRig(t, parts{upstream: u.URL, tokens: endless, token: c.token})
		renewals := r.renewing()
		answer := r.do(r.call("GET", "/api"))
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusUnauthorized || string(body) != "no" || answer.Header.Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: %d %v %s", name, answer.StatusCode, answer.Header, body)
		}
		if renewals.Load() != 0 || len(u.requests()) != 1 {
			t.Errorf("%s: %d renewals, %d calls", name, renewals.Load(), len(u.requests()))
		}
	}
}

// BFF-13, GAP-07: a renewal that fails ends the session only if the grant is
// dead; else the service's own answer is the answer.
func TestRefusedTokenThatCannotBeRenewed(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"the grant is dead":   {token.ErrInvalidGrant, "session_ended"},
		"another user's":      {token.ErrOtherUser, "session_ended"},
		"the provider is out": {errors.New("503"), ""},
	} {
		u := picky(t, "none", `Bearer error="invalid_token"`)
		r := newRig(t, parts{upstream: u.URL, tokens: endless})
		r.refresh = func(context.Context, token.Set, token.Target) (token.Set, error) { return token.Set{}, c.err }
		answer := r.do(r.call("GET", "/api"))
		if got := code(t, answer); answer.StatusCode != http.StatusUnauthorized || got != c.code || len(u.requests()) != 1 {
			t.Errorf("%s: %d %s, %d calls", name, answer.StatusCode, got, len(u.requests()))
		}
		ended := c.code != ""
		if cleared := len(answer.Header["Set-Cookie"]) > 0; cleared != ended {
			t.Errorf("%s: cookie cleared: %t", name, cleared)
		}
		if _, err := r.sessions.Find(t.Context(), r.cookie); errors.Is(err, session.ErrNone) != ended {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A body that is not there any more is sent by the page again, with the new
// token.
func TestRefusedTokenAndALargeBody(t *testing.T) {
	u := picky(t, "t2", "")
	r := newRig(t, parts{upstream: u.URL, tokens: endless})
	r.renewing()
	server := r.serve(t)
	for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
		answer, err := http.DefaultClient.Do(r.request(t, "POST", server.URL+"/api", strings.NewReader(strings.Repeat("x", 1<<20))))
		must(t, err)
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s, want %d", answer.Status, want)
		}
	}
}

// RES-04, RES-06: a route gets a token of its own, and one that cannot be had
// fails that route alone.
func TestNarrowedToken(t *testing.T) {
	u := picky(t, "narrow", "")
	target := token.Target{Resource: "https://api.example.com/", Scopes: []string{"read"}}
	r := newRig(t, parts{upstream: u.URL, target: target})
	var asked token.Target
	r.refresh = func(_ context.Context, old token.Set, t token.Target) (token.Set, error) {
		asked = t
		return old.With(t, token.Access{Token: "narrow", Expiry: time.Now().Add(time.Hour)}), nil
	}
	if answer := r.do(r.call("GET", "/api")); answer.StatusCode != http.StatusOK || asked.Key() != target.Key() {
		t.Errorf("%d, asked for %+v", answer.StatusCode, asked)
	}

	r = newRig(t, parts{upstream: u.URL, target: target})
	before := len(u.requests())
	r.refresh = func(context.Context, token.Set, token.Target) (token.Set, error) {
		return token.Set{}, token.ErrInvalidTarget
	}
	answer := r.do(r.call("GET", "/api"))
	if got := code(t, answer); answer.StatusCode != http.StatusBadGateway || got != "token_unavailable" || len(answer.Header["Set-Cookie"]) > 0 {
		t.Errorf("%d %s", answer.StatusCode, got)
	}
	if _, err := r.sessions.Find(t.Context(), r.cookie); err != nil || len(u.requests()) != before {
		t.Errorf("%v, %d calls", err, len(u.requests())-before)
	}
}

// STEP-01, STEP-03, STEP-07: what an upstream asks for becomes a login URL, if
// the policy allows that and it would change anything.
func TestStepUp(t *testing.T) {
	const wants = `error="insufficient_user_authentication", acr_values="gold", max_age=60`
	both := []v1alpha1.LoginParameter{v1alpha1.ParameterACRValues, v1alpha1.ParameterMaxAge}
	for name, c := range map[string]struct {
		challenge string
		allowed   []v1alpha1.LoginParameter
		session   session.Session
		want      string
	}{
		"Bearer":                    {`Bearer ` + wants, both, session.Session{}, "/bff/login?acr_values=gold&max_age=60"},
		"DPoP, after others":        {`Basic realm="x", DPoP ` + wants, both, session.Session{}, "/bff/login?acr_values=gold&max_age=60"},
		"a login of another class":  {`Bearer ` + wants, both, session.Session{ACR: "silver", AuthTime: time.Now()}, "/bff/login?acr_values=gold&max_age=60"},
		"a login of long ago":       {`Bearer ` + wants, both, session.Session{ACR: "gold", AuthTime: time.Now().Add(-time.Hour)}, "/bff/login?acr_values=gold&max_age=60"},
		"what the login is already": {`Bearer ` + wants, both, session.Session{ACR: "gold", AuthTime: time.Now()}, ""},
		"half of it allowed":        {`Bearer ` + wants, both[:1], session.Session{}, ""},
		"nothing allowed":           {`Bearer ` + wants, nil, session.Session{}, ""},
		"malformed":                 {`Bearer ` + wants + `, max_age=-1`, both, session.Session{}, ""},
	} {
		u := picky(t, "none", c.challenge)
		r := newRig(t, parts{upstream: u.URL, stepUp: c.allowed, session: c.session})
		answer := r.do(r.call("GET", "/api"))
		body, _ := io.ReadAll(answer.Body)
		if c.want == "" {
			if answer.StatusCode != 401 || string(body) != "no" || answer.Header.Get("Content-Type") == "application/problem+json" {
				t.Errorf("%s: %d %s", name, answer.StatusCode, body)
			}
			continue
		}
		if answer.StatusCode != 401 || !strings.Contains(string(body), `"code":"step_up_required"`) ||
			!strings.Contains(strings.ReplaceAll(string(body), `\u0026`, "&"), `"loginURL":"`+c.want+`"`) || len(answer.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %d %s", name, answer.StatusCode, body)
		}
		if answer.Header.Get("WWW-Authenticate") != "" || len(u.requests()) != 1 {
			t.Errorf("%s: %v, %d calls", name, answer.Header, len(u.requests()))
		}
	}
}
