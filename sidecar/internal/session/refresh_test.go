package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

var errProvider = errors.New("the provider answered 503")

// always is a provider that fails in every call.
func always(int) error { return errProvider }

func refreshed(t *testing.T, w *world, s *session.Session, p *provider) *session.Session {
	t.Helper()
	got, err := w.Refreshed(t.Context(), s, p.refresh)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// BFF-11: an expired access token is renewed with the session's refresh token.
func TestExpiredTokenIsRenewed(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		for range 5 {
			time.Sleep(life)
			before := s.Tokens
			s = refreshed(t, w, s, p)
			if s.Tokens.Access == before.Access || s.Tokens.Refresh == before.Refresh || !s.Tokens.AccessExpiry.Equal(time.Now().Add(life)) {
				t.Fatalf("the tokens were not replaced: they expire at %s", s.Tokens.AccessExpiry)
			}
			if again := w.find(t, value); again.Tokens.Access != s.Tokens.Access || again.ID != s.ID || again.Claims["name"] != "Alice" || !again.ExpiresAt.Equal(s.ExpiresAt) {
				t.Fatal("what was found afterwards is another session")
			}
		}
		if n := p.called(); n != 5 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

func TestTokenIsRenewedAheadOfItsExpiry(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, _ := w.login(t, p)
		time.Sleep(life - life/10 - time.Millisecond)
		if refreshed(t, w, s, p) != s || p.called() != 0 {
			t.Fatal("renewed before the margin")
		}
		time.Sleep(time.Millisecond)
		if refreshed(t, w, s, p) == s || p.called() != 1 {
			t.Fatal("not renewed in the margin")
		}
	})
}

func TestTokenWithoutExpiryIsUsedAsItIs(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		tokens := (&provider{}).issue()
		tokens.AccessExpiry = time.Time{}
		value, err := w.Create(t.Context(), session.Session{Issuer: "i", Subject: "s", Tokens: tokens})
		wantErr(t, err, nil)
		s := w.find(t, value)
		time.Sleep(20 * time.Minute)
		if got := refreshed(t, w, s, &provider{failing: always}); got != s {
			t.Error("it was renewed")
		}
	})
}

// OA-09: what the answer leaves out stays.
func TestAnswerWithoutRefreshTokenKeepsTheOldOne(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		kept := ""
		p := &provider{}
		p.answer = func(set token.Set) token.Set {
			p.valid[kept] = true // this provider does not rotate
			set.Refresh, set.ID = "", ""
			return set
		}
		s, value := w.login(t, p)
		kept = s.Tokens.Refresh
		id := s.Tokens.ID
		for range 3 {
			time.Sleep(life)
			refreshed(t, w, s, p)
			if s = w.find(t, value); s.Tokens.Refresh != kept || s.Tokens.ID != id {
				t.Fatal("the refresh token or the ID token was lost")
			}
		}
	})
}

// BFF-13, REV-08: a dead refresh token ends the session, a valid access token or
// not.
func TestInvalidGrantEndsTheSession(t *testing.T) {
	for name, age := range map[string]time.Duration{"expired": life, "in the margin": life - time.Second} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				p := &provider{dead: true}
				s, value := w.login(t, p)
				time.Sleep(age)
				_, err := w.Refreshed(t.Context(), s, p.refresh)
				wantErr(t, err, session.ErrEnded)
				_, err = w.Find(t.Context(), value)
				wantErr(t, err, session.ErrNone)
				_, err = w.Refreshed(t.Context(), s, p.refresh)
				wantErr(t, err, session.ErrNone)
				if n := p.called(); n != 1 {
					t.Errorf("the provider was asked %d times", n)
				}
			})
		})
	}
}

func TestInvalidGrantWhileTheStoreIsAway(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{dead: true}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.cut("Delete")
		_, err := w.Refreshed(t.Context(), s, p.refresh)
		wantErr(t, err, session.ErrUnavailable)
		if errors.Is(err, session.ErrEnded) {
			t.Error("it says that the session was removed")
		}
		w.store.repair()
		time.Sleep(session.RefreshCooldown)
		_, err = w.Refreshed(t.Context(), w.find(t, value), p.refresh)
		wantErr(t, err, session.ErrEnded)
	})
}

func TestNothingToRenewWith(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		tokens := (&provider{}).issue()
		tokens.Refresh = ""
		value, err := w.Create(t.Context(), session.Session{Issuer: "i", Subject: "s", Tokens: tokens})
		wantErr(t, err, nil)
		p := &provider{failing: always}
		time.Sleep(life - time.Millisecond)
		s := w.find(t, value)
		if refreshed(t, w, s, p) != s {
			t.Error("a token that is still valid is not used")
		}
		time.Sleep(time.Millisecond)
		_, err = w.Refreshed(t.Context(), s, p.refresh)
		wantErr(t, err, session.ErrEnded)
		_, err = w.Find(t.Context(), value)
		wantErr(t, err, session.ErrNone)
		if p.called() != 0 {
			t.Error("the provider was asked")
		}
	})
}

// BFF-13, GAP-07: a provider in trouble ends no session. AS* gives 503 twice,
// then OK.
func TestProviderTroubleEndsNoSession(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{failing: func(call int) error {
			if call <= 2 {
				return errProvider
			}
			return nil
		}}
		s, value := w.login(t, p)
		time.Sleep(life)
		for range 2 {
			_, err := w.Refreshed(t.Context(), s, p.refresh)
			wantErr(t, err, session.ErrRefreshFailed)
			wantErr(t, err, errProvider)
			s = w.find(t, value)
			time.Sleep(session.RefreshCooldown)
		}
		refreshed(t, w, s, p)
	})
}

func TestValidTokenIsUsedWhileItCannotBeRenewed(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{failing: always}
		s, _ := w.login(t, p)
		time.Sleep(life - 2*time.Second)
		if got := refreshed(t, w, s, p); got != s {
			t.Error("got another session")
		}
	})
}

// A dead provider is not hammered.
func TestCooldown(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{failing: always}
		s, value := w.login(t, p)
		time.Sleep(life - 3*time.Second) // valid at first, expired later
		for range 100 {
			_, err := w.Refreshed(t.Context(), s, p.refresh)
			if expired := !time.Now().Before(s.Tokens.AccessExpiry); expired != errors.Is(err, session.ErrRefreshFailed) {
				t.Fatalf("expired: %v, and the error is %v", expired, err)
			}
			time.Sleep(session.RefreshCooldown / 50)
		}
		if n := p.called(); n != 2 {
			t.Errorf("the provider was asked %d times in two cool-downs, want 2", n)
		}
		// It is a cool-down of this session only.
		other, _ := w.login(t, p)
		time.Sleep(life)
		_, _ = w.Refreshed(t.Context(), other, p.refresh)
		if n := p.called(); n != 3 {
			t.Errorf("another session's refresh was held back: %d calls", n)
		}
		p.failing = nil
		time.Sleep(session.RefreshCooldown)
		refreshed(t, w, w.find(t, value), p)
	})
}

func TestRefreshHasItsOwnDeadline(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{takes: time.Hour}
		s, _ := w.login(t, p)
		time.Sleep(life)
		start := time.Now()
		_, err := w.Refreshed(t.Context(), s, p.refresh)
		wantErr(t, err, session.ErrRefreshFailed)
		wantErr(t, err, context.DeadlineExceeded)
		if took := time.Since(start); took != session.RefreshTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAnswerWithoutAccessTokenIsNone(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{answer: func(token.Set) token.Set { return token.Set{} }}
		s, value := w.login(t, p)
		time.Sleep(life)
		_, err := w.Refreshed(t.Context(), s, p.refresh)
		wantErr(t, err, session.ErrRefreshFailed)
		if got := w.find(t, value); got.Tokens.Access != s.Tokens.Access {
			t.Error("the session was changed")
		}
	})
}

// A browser that goes away takes nobody with it: the refresh goes on, and its
// result is there for the next request.
func TestRefreshOutlivesItsRequest(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{takes: time.Second}
		s, value := w.login(t, p)
		time.Sleep(life)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(p.takes / 2)
			cancel()
		}()
		_, err := w.Refreshed(ctx, s, p.refresh)
		wantErr(t, err, context.Canceled)
		if time.Now().After(s.Tokens.AccessExpiry.Add(p.takes/2 + time.Millisecond)) {
			t.Error("it waited all the same")
		}
		wantErr(t, w.Drain(t.Context()), nil)
		if got := w.find(t, value); got.Tokens.Access == s.Tokens.Access {
			t.Error("the refresh was given up")
		}
		if n := p.called(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

// GAP-06: who comes late, with a session from before the refresh, gets the
// winner's tokens.
func TestLateCallerGetsTheWinnersResult(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		old, _ := w.login(t, p)
		time.Sleep(life)
		winner := refreshed(t, w, old, p)
		for range 10 {
			if late := refreshed(t, w, old, p); late.Tokens.Access != winner.Tokens.Access {
				t.Fatal("the late caller has other tokens")
			}
		}
		if n := p.called(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

// GAP-06: two replicas spend the same refresh token. The loser gets
// invalid_grant, sees that the session was renewed, and uses that.
func TestLoserAmongReplicasUsesTheWinnersResult(t *testing.T) {
	for _, delay := range []time.Duration{0, 50 * time.Millisecond, 450 * time.Millisecond} {
		t.Run(fmt.Sprintf("stored after %s", delay), func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				p := &provider{takes: time.Second} // both ask before either is answered
				s, value := w.login(t, p)
				other := w.replica()
				w.store.mu.Lock()
				w.store.onReplace = func() { time.Sleep(delay) }
				w.store.mu.Unlock()
				time.Sleep(life)
				for _, replica := range []*session.Sessions{w.Sessions, other} {
					go func() {
						got, err := replica.Refreshed(context.Background(), s, p.refresh)
						if err != nil {
							t.Error(err)
						} else if got.Tokens.Access == s.Tokens.Access {
							t.Error("the tokens are old")
						}
					}()
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if n := p.called(); n != 2 {
					t.Errorf("the provider was asked %d times", n)
				}
				w.find(t, value)
			})
		})
	}
}

// The stored tokens win over ours when another replica was first to write.
func TestConflictUsesWhatIsStored(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		p.answer = func(set token.Set) token.Set { // this provider takes a refresh token twice
			p.valid["refresh-1"] = true
			return set
		}
		s, value := w.login(t, p)
		other := w.replica()
		time.Sleep(life)
		var theirs *session.Session
		w.store.onReplace = func() {
			var err error
			if theirs, err = other.Refreshed(t.Context(), s, p.refresh); err != nil {
				t.Error(err)
			}
		}
		ours := refreshed(t, w, s, p)
		if ours.Tokens.Access != theirs.Tokens.Access || w.find(t, value).Tokens.Access != theirs.Tokens.Access {
			t.Error("the replicas have different tokens")
		}
	})
}

// A logout during a refresh stays a logout.
func TestSessionEndedDuringRefresh(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.onReplace = func() { wantErr(t, w.End(t.Context(), s), nil) }
		_, err := w.Refreshed(t.Context(), s, p.refresh)
		wantErr(t, err, session.ErrNone)
		_, err = w.Find(t.Context(), value)
		wantErr(t, err, session.ErrNone)
	})
}

// After a key rotation the next write seals with the new primary key.
func TestRefreshSealsAnew(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		old, fresh := w.ring.Load(), newRing(t)
		w.ring.Store(join(t, fresh, old))
		time.Sleep(life)
		refreshed(t, w, w.find(t, value), p)
		w.ring.Store(fresh) // the old key is gone
		if got := w.find(t, value); got.ID != s.ID {
			t.Error("found another session")
		}
	})
}
