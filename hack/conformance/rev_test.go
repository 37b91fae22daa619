//go:build conformance

package conformance

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

// LogoutOf logs a browser out by fetch, which no trouble with a revocation may
// disturb.
func (w *world) LogoutOf(l loggedIn) {
	w.Helper()
	started := time.Now()
	if r := l.Fetch(w.CallOf("POST", "/bff/logout")); r.Status != http.StatusOK || l.Jar.Value(cookieName) != "" {
		w.Errorf("%s", r)
	}
	if took := time.Since(started); took > 5*time.Second {
		w.Errorf("the logout took %s", took)
	}
	w.WantEnded(l)
}

func TestREV_01_ARevocationIsAnAuthenticatedForm(t *testing.T) {
	t.Parallel()
	covers(t, "REV-01")
	for method, options := range map[string][]option{
		"client_secret_basic": nil,
		"client_secret_post":  {client(func(c *as.Client) { c.Method = "client_secret_post" })},
		"private_key_jwt":     {newClientKey(t).option()},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(options, secureProvider())...) // AS* complains of all that is not right
			w.LogoutOf(w.LoginAs("alice"))
			r := w.Revocations(1)[0]
			if r.Method != http.MethodPost || len(r.Query) > 0 || r.Header.Get("Content-Type") != formType {
				t.Errorf("%s of %q with %d parameters in the URL", r.Method, r.Header.Get("Content-Type"), len(r.Query))
			}
			if hint := r.Form.Get("token_type_hint"); r.Form.Get("token") == "" || hint != "" && hint != "refresh_token" {
				t.Errorf("token_type_hint is %q", hint)
			}
		})
	}
}

func TestREV_02_NoTokenOfTheSessionOutlivesIt(t *testing.T) {
	t.Parallel()
	covers(t, "REV-02")
	for what, change := range map[string]func(*as.Behaviour){
		"where access tokens go with the refresh token": func(*as.Behaviour) {},
		"where each token is revoked alone":             func(b *as.Behaviour) { b.RevokeOne = true },
		"without a refresh token":                       func(b *as.Behaviour) { b.NoRefreshToken = true },
		"after refreshes":                               func(b *as.Behaviour) { b.AccessLifetime = 2 * time.Second },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, behaviour(change))
			ended, other := w.LoginAs("alice"), w.LoginAs("bob")
			if what == "after refreshes" {
				w.Eventually("a refresh", func() bool {
					ended.Fetch(w.CallOf("GET", "/api/x"))
					return len(w.AS.Grants("refresh_token")) > 0
				})
				w.AS.Change(func(b *as.Behaviour) { b.AccessLifetime = time.Hour })
			}
			w.LogoutOf(ended)
			w.Revocations(1)
			w.Eventually("every token of the session is dead", func() bool { return len(w.AS.Living(ended.sid)) == 0 })
			hints := []string{}
			for _, r := range w.AS.Requests(as.Revocation) {
				hints = append(hints, r.Form.Get("token_type_hint"))
			}
			if first := hints[0]; (first == "refresh_token") == (what == "without a refresh token") {
				t.Errorf("the order of revocations is %q: the refresh token comes first", hints)
			}
			if len(w.AS.Living(other.sid)) == 0 {
				t.Error("the tokens of another session are dead")
			}
		})
	}
}

func TestREV_03_ARevokedTokenIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	covers(t, "REV-03")
	w := newWorld(t, replicas(2))
	l := w.LoginAs("alice")
	call := withCookie(w.CallOf("GET", "/api/x"), l.cookie)
	for replica := range w.Replicas { // both have it at hand
		w.Target(replica)
		if r := l.Fetch(call); r.Status != http.StatusOK {
			t.Fatal(r)
		}
	}
	w.Target(0)
	w.LogoutOf(l)
	w.Revocations(1)
	w.RS.Forget()
	for replica := range w.Replicas {
		w.Target(replica)
		w.WantProblem(w.NewAgent().Fetch(call), http.StatusUnauthorized, "session_ended")
	}
	w.WantUpstream(0)
	if n := len(w.AS.Grants("refresh_token")); n != 0 {
		t.Errorf("%d refreshes", n)
	}
}

func TestREV_03_ARefreshUnderWayBringsNothingBack(t *testing.T) {
	t.Parallel()
	covers(t, "REV-03")
	issued, release := make(chan struct{}, 8), make(chan struct{})
	w := newWorld(t, replicas(2), behaviour(func(b *as.Behaviour) {
		b.AccessLifetime, b.RevokeOne = time.Second, true // the new tokens do not die with the old
		b.TokenResponse = func(grant string, _ map[string]any) {
			if grant == "refresh_token" {
				issued <- struct{}{}
				<-release
			}
		}
	}))
	l := w.LoginAs("alice")
	time.Sleep(1100 * time.Millisecond) // the access token's life
	w.AS.Change(func(b *as.Behaviour) { b.AccessLifetime = time.Hour })
	there := w.fixedAgent(1)
	call := withCookie(w.CallOf("GET", "/api/x"), l.cookie)
	answered := make(chan string, 1)
	go func() {
		r, err := there.TryFetch(call)
		answered <- textOf(r, err)
	}()
	within(w, "the refresh", func() string { <-issued; return "" })
	w.LogoutOf(l)
	w.Revocations(1)
	w.RS.Forget()
	close(release) // the new tokens arrive, for a session that is over
	t.Logf("the call that waited for them: %s", within(w, "an answer", func() string { return <-answered }))
	w.WantUpstream(0)
	w.WantEnded(l)
	w.Eventually("the new refresh token is revoked as well", func() bool { return !slices.Contains(w.AS.Living(l.sid), "refresh token") })
}

func TestREV_04_A200IsTheEndOfIt(t *testing.T) {
	t.Parallel()
	covers(t, "REV-04")
	for what, prepare := range map[string]func(*world){
		"with a page as its body":   func(w *world) { w.AtRevocation(http.StatusOK, "text/html", "<!doctype html><h1>Thank you</h1>") },
		"with an error as its body": func(w *world) { w.AtRevocation(http.StatusOK, "application/json", `{"error":"invalid_token"}`) },
		"with JSON that is broken":  func(w *world) { w.AtRevocation(http.StatusOK, "application/json", `{"`) },
		"for a token nobody knows":  func(w *world) { w.AS.RevokeAll() },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			l := w.LoginAs("alice")
			prepare(w)
			w.LogoutOf(l)
			w.Eventually("the revocation is counted as a success", func() bool { return w.Revoked("success") == 1 })
			if w.Revoked("failure") != 0 {
				t.Error("it is counted as a failure as well")
			}
			seen := map[string]bool{}
			for _, r := range w.AS.Requests(as.Revocation) {
				if token := r.Form.Get("token"); seen[token] {
					t.Error("it was tried again")
				} else {
					seen[token] = true
				}
			}
		})
	}
}

func TestREV_05_A503IsTriedAgainAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	covers(t, "REV-05")
	for what, test := range map[string]struct {
		trouble  func(*as.Server)
		notUntil time.Duration
	}{
		"503 with Retry-After": {func(s *as.Server) {
			s.Fault(as.Revocation, 1, http.StatusServiceUnavailable, http.Header{"Retry-After": {"4"}})
		}, 4 * time.Second},
		"503 with a date": {func(s *as.Server) {
			s.Fault(as.Revocation, 1, http.StatusServiceUnavailable, http.Header{"Retry-After": {time.Now().Add(5 * time.Second).UTC().Format(http.TimeFormat)}})
		}, 3 * time.Second},
		"503 twice":     {func(s *as.Server) { s.Fault(as.Revocation, 2, http.StatusServiceUnavailable) }, 0},
		"429":           {func(s *as.Server) { s.Fault(as.Revocation, 1, http.StatusTooManyRequests) }, 0},
		"no answer":     {func(s *as.Server) { s.Drop(as.Revocation, 1) }, 0},
		"a slow answer": {func(s *as.Server) { s.Delay(as.Revocation, 1, 3*time.Second) }, 0},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			l := w.LoginAs("alice")
			test.trouble(w.AS)
			w.LogoutOf(l) // at once, whatever becomes of the revocation
			w.Eventually("the revocation arrives", func() bool { return len(w.AS.Living(l.sid)) == 0 && w.Revoked("success") == 1 })
			attempts := w.AS.Requests(as.Revocation)
			if what != "a slow answer" && len(attempts) < 2 {
				t.Fatalf("%d attempts", len(attempts))
			}
			if len(attempts) > 1 {
				if waited := attempts[1].Time.Sub(attempts[0].Time); waited < test.notUntil {
					t.Errorf("tried again after %s, not to be before %s", waited, test.notUntil)
				}
			}
		})
	}
}

func TestREV_06_ATokenTypeThatCannotBeRevokedIsNoFailure(t *testing.T) {
	t.Parallel()
	covers(t, "REV-06")
	w := newWorld(t)
	l := w.LoginAs("alice")
	w.AtRevocation(http.StatusBadRequest, "application/json", `{"error":"unsupported_token_type","error_description":"not here"}`)
	w.LogoutOf(l)
	w.Eventually("the log says why", func() bool { return w.Rejected("revocation_unsupported") > 0 })
	seen := map[string]bool{}
	for _, r := range w.AS.Requests(as.Revocation) {
		if token := r.Form.Get("token"); seen[token] {
			t.Error("what cannot be done was tried again")
		} else {
			seen[token] = true
		}
	}
	w.Login() // and the user gets on with it
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Error(r)
	}
}

func TestREV_07_WithoutAnEndpointNothingIsRevokedAndThatIsSaid(t *testing.T) {
	t.Parallel()
	covers(t, "REV-07")
	for what, option := range map[string]option{
		"none is advertised": behaviour(func(b *as.Behaviour) { b.WithoutRevocation = true }),
		"one that is no URL": behaviour(func(b *as.Behaviour) {
			b.Metadata = func(m map[string]any) { m["revocation_endpoint"] = "ftp://id.provider.test/revoke" }
		}),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, secureProvider(), option)
			l := w.LoginAs("alice")
			said := false
			for _, record := range w.Replicas[0].Records() {
				said = said || record["revokes"] == false
			}
			if !said {
				t.Error("the log does not say that nothing will be revoked")
			}
			w.LogoutOf(l)
			w.Replicas[0].Stop() // what is still to be done is done first
			if n := len(w.AS.Requests(as.Revocation)); n != 0 {
				t.Errorf("%d revocations", n)
			}
		})
	}
	t.Run("and is not counted as done", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, behaviour(func(b *as.Behaviour) { b.WithoutRevocation = true }))
		first, second := w.LoginAs("alice"), w.LoginAs("bob")
		w.LogoutOf(first)
		w.LogoutOf(second)
		w.Eventually("both are counted in some way", func() bool { return w.Revoked("") >= 2 })
		if n := w.Revoked("success"); n != 0 {
			t.Errorf("the metrics count %d revocations that never were", n)
		}
	})
}

func TestREV_08_TokensThatDieByThemselvesEndTheSession(t *testing.T) {
	t.Parallel()
	covers(t, "REV-08")
	w := newWorld(t, replicas(2))
	l := w.LoginAs("alice")
	call := withCookie(w.CallOf("GET", "/api/x"), l.cookie)
	if r := l.Fetch(call); r.Status != http.StatusOK {
		t.Fatal(r)
	}
	w.AS.RevokeAll() // by an administrator: the API refuses the access token, and the provider the refresh token
	w.Eventually("the session ends", func() bool { l.Fetch(call); return !w.Alive(0, l) })
	w.WantEnded(l)
	w.WantProblem(l.Fetch(call), http.StatusUnauthorized, "session_ended")
	if n := len(w.AS.Grants("refresh_token")); n > 2 {
		t.Errorf("%d refreshes of one session that is over", n)
	}
}
