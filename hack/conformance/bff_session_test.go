//go:build conformance

package conformance

import (
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

func TestBFF_10_AfterALogoutTheOldCookieIsWorthless(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-10", "COOK-13")
	w := newWorld(t, replicas(2))
	w.Login()
	stolen := w.CallOf("GET", "/api/x")
	stolen.Header.Set("Cookie", cookieName+"="+w.Cookie())
	if r := w.NewAgent().Fetch(stolen); r.Status != http.StatusOK {
		t.Fatalf("before the logout: %s", r)
	}
	w.Logout()
	if w.Cookie() != "" {
		t.Error("the browser still holds the cookie")
	}
	w.RS.Forget()
	for replica := range w.Replicas {
		w.Target(replica)
		w.WantProblem(w.NewAgent().Fetch(stolen), http.StatusUnauthorized)
	}
	w.WantUpstream(0)
}

func TestBFF_11_AnExpiredAccessTokenIsRenewed(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-11")
	w := newWorld(t, behaviour(func(b *as.Behaviour) { b.AccessLifetime = time.Second }))
	w.Login()
	old := w.AS.Tokens()[0]
	w.Eventually("the access token expires", func() bool { _, ok := w.AS.TokenInfo(old.Value); return !ok })
	w.AS.Change(func(b *as.Behaviour) { b.AccessLifetime = time.Hour })
	for range 3 {
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			t.Errorf("%s", r)
		}
	}
	if n := len(w.AS.Grants("refresh_token")); n != 1 {
		t.Errorf("%d refreshes, want one", n)
	}
	w.WantUpstream(3)
	if w.RS.Last().Token() == old.Value {
		t.Error("the old token was sent")
	}
}

func TestBFF_12_TheSessionEndsAfterItsLifetimeHoweverItIsUsed(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-12")
	w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Session.IdleTimeout, s.Session.Lifetime = metav1.Duration{Duration: time.Minute}, metav1.Duration{Duration: time.Minute}
	}))
	w.Login()
	started := time.Now()
	if s := w.Session(); s.ExpiresIn == nil || *s.ExpiresIn > 60 {
		t.Fatalf("%+v", s)
	}
	for time.Since(started) < 58*time.Second {
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			t.Fatalf("after %s: %s", time.Since(started), r)
		}
		time.Sleep(2 * time.Second) // a user at work
	}
	w.Eventually("the session ends", func() bool { return w.Call("GET", "/api/x").Status == http.StatusUnauthorized })
	if lived := time.Since(started); lived > 65*time.Second {
		t.Errorf("it lived %s", lived)
	}
	if w.Session().Authenticated {
		t.Error("the session endpoint does not know")
	}
}

func TestBFF_13_ADeadRefreshTokenEndsTheSession(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-13", "REV-08")
	w := newWorld(t, replicas(2), behaviour(func(b *as.Behaviour) { b.AccessLifetime = time.Second }))
	w.Login()
	cookie := w.Cookie()
	w.AS.RevokeRefreshTokens()
	w.Eventually("the session ends", func() bool { return w.Call("GET", "/api/x").Status == http.StatusUnauthorized })
	w.WantProblem(w.Call("GET", "/api/x"), http.StatusUnauthorized)
	if w.Cookie() != "" {
		t.Error("the cookie was not cleared")
	}
	for replica := range w.Replicas {
		w.Target(replica)
		if w.Session().Authenticated {
			t.Errorf("replica %d still has it", replica)
		}
	}
	dead := len(w.AS.Grants("refresh_token"))
	again := w.CallOf("GET", "/api/x")
	again.Header.Set("Cookie", cookieName+"="+cookie)
	w.WantProblem(w.UA.Fetch(again), http.StatusUnauthorized, "session_ended")
	if n := len(w.AS.Grants("refresh_token")); n != dead {
		t.Error("the dead refresh token was tried again")
	}
}

func TestBFF_13_TroubleAtTheProviderEndsNoSession(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-13", "GAP-07")
	for name, spoil := range map[string]func(*as.Server){
		"500": func(s *as.Server) { s.Fault(as.Token, 2, http.StatusInternalServerError) },
		"503": func(s *as.Server) { s.Fault(as.Token, 2, http.StatusServiceUnavailable) },
		"429": func(s *as.Server) {
			s.Fault(as.Token, 2, http.StatusTooManyRequests, http.Header{"Retry-After": {"1"}})
		},
		"dropped": func(s *as.Server) {
			s.Change(func(b *as.Behaviour) { b.Rotation = as.Reissue }) // the refresh token was spent by what was dropped
			s.Drop(as.Token, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, behaviour(func(b *as.Behaviour) { b.AccessLifetime = time.Second }))
			w.Login()
			cookie := w.Cookie()
			time.Sleep(1100 * time.Millisecond) // the access token's life
			spoil(w.AS)
			if r := w.Call("GET", "/api/x"); r.Status == http.StatusUnauthorized {
				t.Errorf("logged out: %s", r)
			}
			w.AS.Change(func(b *as.Behaviour) { b.AccessLifetime = time.Hour })
			w.Eventually("the API answers again", func() bool { return w.Call("GET", "/api/x").Status == http.StatusOK })
			if !w.Session().Authenticated || w.Cookie() != cookie {
				t.Error("the session has not survived")
			}
		})
	}
}

func TestBFF_14_SessionsAreKeptOnTheServerAndSharedByReplicas(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-14")
	w := newWorld(t, replicas(2))
	w.Login()
	w.Target(1)
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Fatalf("the other replica does not know the session: %s", r)
	}
	cookie := w.Cookie()
	w.Target(0)
	w.Logout()
	w.Target(1)
	call := w.CallOf("GET", "/api/x")
	call.Header.Set("Cookie", cookieName+"="+cookie)
	w.WantProblem(w.UA.Fetch(call), http.StatusUnauthorized)
}

func TestBFF_14_AStoreThatIsAwayEndsNoSession(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-14")
	w := newWorld(t, ownStore(), replicas(2))
	w.Login()
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Fatal(r)
	}
	if err := w.Store.Freeze(); err != nil {
		t.Fatal(err)
	}
	cookie := w.Cookie()
	for range 3 { // the replica that knows the session goes on
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			t.Errorf("while the store does not answer: %s", r)
		}
	}
	w.Target(1) // the other has never seen it
	r := w.Call("GET", "/api/x")
	w.WantProblem(r, http.StatusServiceUnavailable)
	if r.Header.Get("Retry-After") == "" || w.Cookie() != cookie {
		t.Errorf("%v; the cookie is kept: %t", r.Header, w.Cookie() == cookie)
	}
	if err := w.Store.Thaw(); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the other replica answers", func() bool { return w.Call("GET", "/api/x").Status == http.StatusOK })

	// A store that comes back empty has logged everybody out, and they are told so.
	w.Store.Kill()
	if err := w.Store.Resume(); err != nil {
		t.Fatal(err)
	}
	for replica := range w.Replicas {
		w.Target(replica)
		call := withCookie(w.CallOf("GET", "/api/x"), cookie)
		w.Eventually("the replica has noticed", func() bool { return w.NewAgent().Fetch(call).Status == http.StatusUnauthorized })
		w.WantProblem(w.NewAgent().Fetch(call), http.StatusUnauthorized, "session_ended")
	}
	w.Login()
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Error(r)
	}
}
