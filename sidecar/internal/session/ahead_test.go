package session_test

import (
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Ahead of its expiry a token is renewed behind the request, which uses the old
// one.
func TestTokenIsRenewedAheadOfItsExpiry(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{takes: time.Second}
		s, value := w.login(t, p)
		time.Sleep(life - life/10 - time.Millisecond)
		if refreshed(t, w, s, p) != s {
			t.Fatal("renewed before the margin")
		}
		time.Sleep(life/20 + time.Millisecond) // where the last of all replicas has begun
		start := time.Now()
		for range 10 {
			if refreshed(t, w, s, p) != s {
				t.Fatal("the old token was not used while it is good")
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the requests waited %s", took)
		}
		wantErr(t, w.Drain(t.Context()), nil)
		if got := w.find(t, value); got.Tokens.Access.Token != "access-2" || p.called() != 1 {
			t.Errorf("the access token is %q after %d calls", got.Tokens.Access.Token, p.called())
		}
	})
}

// What began together is not renewed together: each session and replica has a
// time of its own in the margin.
func TestRenewalsAreSpread(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		var sessions []*session.Session
		for range 40 {
			s, _ := w.login(t, p)
			sessions = append(sessions, s)
		}
		time.Sleep(life - life/10)
		begun := map[int]int{} // by the tenth of the margin's first half
		for tenth := range 11 {
			before := p.called()
			for _, s := range sessions {
				refreshed(t, w, s, p)
			}
			wantErr(t, w.Drain(t.Context()), nil)
			begun[tenth] = p.called() - before
			for i, s := range sessions {
				if again, err := w.Refreshed(t.Context(), s, own, p.refresh); err != nil {
					t.Fatal(err)
				} else if again != s {
					sessions[i] = again
				}
			}
			time.Sleep(life / 20 / 10)
		}
		if p.called() != len(sessions) {
			t.Errorf("%d sessions were renewed %d times in the first half of the margin: %v", len(sessions), p.called(), begun)
		}
		for tenth, n := range begun {
			if n > len(sessions)/2 {
				t.Errorf("%d of %d were renewed at once, in tenth %d", n, len(sessions), tenth)
			}
		}
	})
}

func TestInvalidGrantAheadOfExpiryEndsTheSession(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{dead: true}
		s, value := w.login(t, p)
		time.Sleep(life - time.Second)
		if refreshed(t, w, s, p) != s {
			t.Error("the request did not get the token that is good")
		}
		wantErr(t, w.Drain(t.Context()), nil)
		_, err := w.Find(t.Context(), value)
		wantEnd(t, err, session.EndRefused)
	})
}
