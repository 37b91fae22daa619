package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

var (
	orders  = token.Target{Resource: "https://orders.example.com"}
	billing = token.Target{Resource: "https://billing.example.com", Scopes: []string{"read"}}
)

// RES-04: each target has an access token of its own, got when it is needed and
// kept.
func TestNarrowedTokens(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		for _, target := range []token.Target{orders, billing, orders, {}} {
			got, err := w.Refreshed(t.Context(), s, target, p.refresh)
			wantErr(t, err, nil)
			access, ok := got.Tokens.For(target)
			if !ok || got.Tokens.Access.Token != "access-1" {
				t.Fatalf("there is no token for %v, or the login's has changed", target)
			}
			if again := w.find(t, value); again.Tokens.Narrowed[target.Key()] != got.Tokens.Narrowed[target.Key()] {
				t.Errorf("found another token for %v: %v", target, access)
			}
			s = got
		}
		if orders, _ := s.Tokens.For(orders); orders.Token != "access-2 for https://orders.example.com" || s.Tokens.Refresh != "refresh-3" || p.called() != 2 {
			t.Errorf("the token is %q, the refresh token %q, after %d calls", orders.Token, s.Tokens.Refresh, p.called())
		}
		// It is renewed like the login's.
		time.Sleep(life)
		s, err := w.Refreshed(t.Context(), s, orders, p.refresh)
		wantErr(t, err, nil)
		if orders, _ := s.Tokens.For(orders); orders.Token != "access-4 for https://orders.example.com" {
			t.Errorf("the token is %q", orders.Token)
		}
		if _, ok := s.Tokens.For(billing); ok {
			t.Error("a token that has expired is kept: the record grows")
		}
	})
}

// RES-07, GAP-06: targets share one refresh token, so their refreshes run one
// after another, each with the token the last one brought, over all replicas.
func TestTargetsTakeTurns(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{takes: 300 * time.Millisecond}
		s, value := w.login(t, p)
		replicas := []*session.Sessions{w.Sessions, w.replica(), w.replica()}
		time.Sleep(life)
		targets := []token.Target{{}, orders, billing}
		for i := range 60 {
			replica, target := replicas[i%3], targets[i/3%3]
			go func() {
				got, err := replica.Refreshed(context.Background(), s, target, p.refresh)
				if err != nil {
					t.Error(err)
				} else if a, ok := got.Tokens.For(target); !ok || a.ExpiresWithin(time.Now(), 0) {
					t.Errorf("there is no good token for %v", target)
				}
			}()
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if p.called() != len(targets) {
			t.Errorf("the provider was asked %d times for %d targets: %v", p.called(), len(targets), p.targets)
		}
		found := w.find(t, value)
		for _, target := range targets {
			if _, ok := found.Tokens.For(target); !ok {
				t.Errorf("the token for %v is lost", target)
			}
		}
		if found.Tokens.Refresh != "refresh-4" {
			t.Errorf("the refresh token is %q", found.Tokens.Refresh)
		}
	})
}

// RES-06: what the provider gives no token for fails, alone, and is not asked
// for again and again.
func TestInvalidTarget(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		refresh := func(ctx context.Context, old token.Set, target token.Target) (token.Set, error) {
			if target.Resource == orders.Resource {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.calls++
				return token.Set{}, fmt.Errorf("refresh: %w", token.ErrInvalidTarget)
			}
			return p.refresh(ctx, old, target)
		}
		s, value := w.login(t, p)
		for range 100 {
			_, err := w.Refreshed(t.Context(), s, orders, refresh)
			wantErr(t, err, session.ErrTarget)
		}
		if n := p.called(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
		// Neither the session nor its other tokens are touched by that.
		s = w.find(t, value)
		s, err := w.Refreshed(t.Context(), s, billing, refresh)
		wantErr(t, err, nil)
		time.Sleep(life)
		s, err = w.Refreshed(t.Context(), s, own, refresh)
		wantErr(t, err, nil)

		before := p.called()
		time.Sleep(session.TargetCooldown)
		_, err = w.Refreshed(t.Context(), s, orders, refresh)
		wantErr(t, err, session.ErrTarget)
		if n := p.called() - before; n != 1 {
			t.Errorf("after the cool-down it was asked %d times", n)
		}
	})
}

// Narrowed tokens that do not fit into the record give way; the refresh token,
// which was spent and replaced, does not.
func TestTooManyNarrowedTokens(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		p.answer = func(set token.Set) token.Set {
			for key, access := range set.Narrowed {
				if len(access.Token) < 1000 {
					access.Token += strings.Repeat("x", session.MaxRecordSize/3)
					set.Narrowed[key] = access
				}
			}
			return set
		}
		s, value := w.login(t, p)
		for i := range 6 {
			target := token.Target{Resource: fmt.Sprint("https://", i, ".example.com")}
			var err error
			s, err = w.Refreshed(t.Context(), s, target, p.refresh)
			wantErr(t, err, nil)
			if access, ok := w.find(t, value).Tokens.For(target); !ok || len(access.Token) < 1000 {
				t.Fatalf("there is no token for target %d", i)
			}
		}
		time.Sleep(life)
		s, err := w.Refreshed(t.Context(), w.find(t, value), own, p.refresh)
		wantErr(t, err, nil)
		if s.Tokens.Refresh != "refresh-8" {
			t.Errorf("the refresh token is %q", s.Tokens.Refresh)
		}
	})
}

// A session with nothing to get a token with has none for a target, and stays.
func TestNoRefreshTokenForATarget(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		tokens := (&provider{}).issue()
		tokens.Refresh = ""
		value, err := w.Create(t.Context(), session.Session{Issuer: issuer, Subject: "s", Tokens: tokens})
		wantErr(t, err, nil)
		p := &provider{failing: always}
		_, err = w.Refreshed(t.Context(), w.find(t, value), orders, p.refresh)
		wantErr(t, err, session.ErrTarget)
		if p.called() != 0 {
			t.Error("the provider was asked")
		}
		w.find(t, value)
	})
}

func renewed(t *testing.T, w *world, s *session.Session, target token.Target, p *provider) *session.Session {
	t.Helper()
	got, err := w.Renew(t.Context(), s, target, p.refresh)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// OA-08: a token whose expiry nobody knows is renewed when an upstream refuses
// it; once for all who were refused, and not for ever.
func TestRefusedTokenIsRenewed(t *testing.T) {
	for _, target := range []token.Target{own, orders} {
		t.Run(target.Resource, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				p := &provider{}
				first, value := w.login(t, p)
				first, err := w.Refreshed(t.Context(), first, target, p.refresh)
				wantErr(t, err, nil)
				other := w.replica()
				before := p.called()
				time.Sleep(session.RefreshCooldown)
				for range 20 {
					go func() { _, _ = w.Renew(context.Background(), first, target, p.refresh) }()
					go func() { _, _ = other.Renew(context.Background(), first, target, p.refresh) }()
				}
				synctest.Wait()
				time.Sleep(time.Second)
				if n := p.called() - before; n != 1 {
					t.Errorf("the provider was asked %d times for one refused token", n)
				}
				second := renewed(t, w, first, target, p) // who comes late gets the result
				a, _ := first.Tokens.For(target)
				b, _ := second.Tokens.For(target)
				if a.Token == b.Token || p.called()-before != 1 {
					t.Errorf("the token is %q after %d calls", b.Token, p.called()-before)
				}

				// The upstream refuses whatever comes: it gets the same again.
				for range 20 {
					if got := renewed(t, w, second, target, p); got.Tokens.Refresh != second.Tokens.Refresh {
						t.Fatal("it was renewed again")
					}
				}
				time.Sleep(session.RefreshCooldown)
				third := renewed(t, w, w.find(t, value), target, p)
				if third.Tokens.Refresh == second.Tokens.Refresh || p.called()-before != 2 {
					t.Errorf("after the cool-down it was not renewed: %d calls", p.called()-before)
				}
			})
		})
	}
}

// What cannot be renewed just now goes on, as its expiry says that it may.
func TestRefusedTokenThatCannotBeRenewed(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{failing: always}
		s, value := w.login(t, p)
		if got := renewed(t, w, s, own, p); got != s || p.called() != 1 {
			t.Errorf("another session after %d calls", p.called())
		}
		w.store.cutAll()
		time.Sleep(session.RefreshCooldown)
		if got := renewed(t, w, s, own, p); got != s || p.called() != 1 {
			t.Errorf("another session after %d calls", p.called())
		}
		w.store.repair()
		time.Sleep(session.RefreshCooldown)
		p.failing, p.dead = nil, true
		_, err := w.Renew(t.Context(), w.find(t, value), own, p.refresh)
		wantErr(t, err, session.ErrEnded)
	})
}

func TestRefusedTokenWithNothingToRenewIt(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		tokens := (&provider{}).issue()
		tokens.Refresh = ""
		value, err := w.Create(t.Context(), session.Session{Issuer: issuer, Subject: "s", Tokens: tokens})
		wantErr(t, err, nil)
		s := w.find(t, value)
		if got := renewed(t, w, s, own, &provider{failing: always}); got != s {
			t.Error("another session")
		}
	})
}

// RFC 9449 section 5: after the provider's algorithms have changed there is
// another key, and tokens that are bound to the former one are of no use.
func TestAnotherKeyDropsWhatIsBoundToTheFormer(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		bound := func(name string) token.Access {
			access := p.access(name)
			access.Type = token.DPoP
			return access
		}
		bearer := p.access("bearer")
		value, err := w.Create(t.Context(), session.Session{Issuer: issuer, Subject: "alice", Tokens: token.Set{
			Access: bound("old"), Refresh: "refresh", Key: []byte("old"),
			Narrowed: map[string]token.Access{orders.Key(): bound("orders"), billing.Key(): bearer},
		}})
		wantErr(t, err, nil)
		target := token.Target{Resource: "https://new.example.com"}
		got, err := w.Refreshed(t.Context(), w.find(t, value), target, func(_ context.Context, old token.Set, _ token.Target) (token.Set, error) {
			return token.Set{Refresh: "refresh", Key: []byte("new")}.With(target, bound("new")), nil
		})
		wantErr(t, err, nil)
		if string(got.Tokens.Key) != "new" {
			t.Errorf("the key is %q", got.Tokens.Key)
		}
		for _, gone := range []token.Target{own, orders} {
			if _, ok := got.Tokens.For(gone); ok {
				t.Errorf("there is a token for %v", gone)
			}
		}
		for _, stays := range []token.Target{target, billing} {
			if _, ok := got.Tokens.For(stays); !ok {
				t.Errorf("there is no token for %v", stays)
			}
		}
	})
}
