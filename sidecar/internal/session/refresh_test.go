package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

var errProvider = errors.New("the provider answered 503")

// always is a provider that fails in every call.
func always(int) error { return errProvider }

func refreshed(t *testing.T, w *world, s *session.Session, p *provider) *session.Session {
	t.Helper()
	got, err := w.Refreshed(t.Context(), s, own, p.refresh)
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
			if s.Tokens.Access.Token == before.Access.Token || s.Tokens.Refresh == before.Refresh || !s.Tokens.Access.Expiry.Equal(time.Now().Add(life)) {
				t.Fatalf("the tokens were not replaced: they expire at %s", s.Tokens.Access.Expiry)
			}
			if again := w.find(t, value); again.Tokens.Access.Token != s.Tokens.Access.Token || again.ID != s.ID || again.Claims["name"] != "Alice" || !again.ExpiresAt.Equal(s.ExpiresAt) {
				t.Fatal("what was found afterwards is another session")
			}
		}
		if n := p.called(); n != 5 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

func TestTokenWithoutExpiryIsUsedAsItIs(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		tokens := (&provider{}).issue()
		tokens.Access.Expiry = time.Time{}
		value, err := w.Create(t.Context(), session.Session{Issuer: "i", Subject: "s", Tokens: tokens})
		wantErr(t, err, nil)
		s := w.find(t, value)
		time.Sleep(20 * time.Minute)
		if got := refreshed(t, w, s, &provider{failing: always}); got != s {
			t.Error("it was renewed")
		}
	})
}

// OA-09, SEC-18: what the answer leaves out stays, and so does a refresh token of
// a provider that does not rotate.
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
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{dead: true}
		s, value := w.login(t, p)
		time.Sleep(life)
		_, err := w.Refreshed(t.Context(), s, own, p.refresh)
		wantErr(t, err, session.ErrEnded)
		if got := session.ReasonOf(err); got != session.EndRefused {
			t.Errorf("the reason is %q", got)
		}
		_, err = w.Find(t.Context(), value)
		wantEnd(t, err, session.EndRefused)
		_, err = w.Refreshed(t.Context(), s, own, p.refresh)
		wantEnd(t, err, session.EndRefused)
		if n := p.called(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

// OIDC-11: a refresh whose ID token is somebody else's ends the session at once,
// and nothing of the answer is used.
func TestOtherUserEndsTheSession(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{losing: func(int) error { return fmt.Errorf("refresh: %w", token.ErrOtherUser) }}
		s, value := w.login(t, p)
		time.Sleep(life)
		got, err := w.Refreshed(t.Context(), s, own, p.refresh)
		wantErr(t, err, session.ErrEnded)
		if got != nil || session.ReasonOf(err) != session.EndRefused {
			t.Errorf("got %v, and the reason %q", got, session.ReasonOf(err))
		}
		_, err = w.Find(t.Context(), value)
		wantEnd(t, err, session.EndRefused)
	})
}

func TestInvalidGrantWhileTheStoreIsAway(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{dead: true}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.cut("Delete")
		_, err := w.Refreshed(t.Context(), s, own, p.refresh)
		wantErr(t, err, session.ErrUnavailable)
		if errors.Is(err, session.ErrEnded) {
			t.Error("it says that the session was removed")
		}
		w.store.repair()
		time.Sleep(session.RefreshCooldown)
		_, err = w.Refreshed(t.Context(), w.find(t, value), own, p.refresh)
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
		_, err = w.Refreshed(t.Context(), s, own, p.refresh)
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
			_, err := w.Refreshed(t.Context(), s, own, p.refresh)
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
		wantErr(t, w.Drain(t.Context()), nil)
		if got := refreshed(t, w, s, p); got != s || p.called() != 1 {
			t.Errorf("it was tried %d times in the cool-down", p.called())
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
			_, err := w.Refreshed(t.Context(), s, own, p.refresh)
			if expired := !time.Now().Before(s.Tokens.Access.Expiry); expired != errors.Is(err, session.ErrRefreshFailed) {
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
		_, _ = w.Refreshed(t.Context(), other, own, p.refresh)
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
		_, err := w.Refreshed(t.Context(), s, own, p.refresh)
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
		_, err := w.Refreshed(t.Context(), s, own, p.refresh)
		wantErr(t, err, session.ErrRefreshFailed)
		if got := w.find(t, value); got.Tokens.Access.Token != s.Tokens.Access.Token {
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
		_, err := w.Refreshed(ctx, s, own, p.refresh)
		wantErr(t, err, context.Canceled)
		if time.Now().After(s.Tokens.Access.Expiry.Add(p.takes/2 + time.Millisecond)) {
			t.Error("it waited all the same")
		}
		wantErr(t, w.Drain(t.Context()), nil)
		if got := w.find(t, value); got.Tokens.Access.Token == s.Tokens.Access.Token {
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
			if late := refreshed(t, w, old, p); late.Tokens.Access.Token != winner.Tokens.Access.Token {
				t.Fatal("the late caller has other tokens")
			}
		}
		if n := p.called(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
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
