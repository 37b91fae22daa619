package session_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// A session that is ready is the one that Find returns, and there is nothing to
// do for it: whatever has happened to it, to others, to the store, to the limits
// and to the key ring before.
func TestReadyDecidesAsFindTouchAndRefreshedDo(t *testing.T) {
	ready, not := 0, 0
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				c := newChaos(t, w, seed)
				for range 300 {
					c.step(t)
					synctest.Wait()
					for _, value := range c.values {
						for _, target := range []token.Target{own, orders, billing} {
							for _, needsToken := range []bool{true, false} {
								if c.check(t, value, target, needsToken) {
									ready++
								} else {
									not++
								}
							}
						}
					}
				}
				w.store.repair()
				wantErr(t, w.Drain(t.Context()), nil)
				wantErr(t, c.other.Drain(t.Context()), nil)
			})
		})
	}
	t.Logf("ready %d times, and %d times not", ready, not)
	if ready < 20_000 || not < 20_000 {
		t.Errorf("ready %d times and %d times not: this shows too little", ready, not)
	}
}

// chaos is a world in which things happen at random.
type chaos struct {
	*world
	random   *rand.Rand
	provider *provider
	other    *session.Sessions
	values   []string
	store    *faultyStore
}

func newChaos(t *testing.T, w *world, seed uint64) *chaos {
	c := &chaos{world: w, random: rand.New(rand.NewPCG(seed, 7)), other: w.replica(), store: w.store}
	fails := rand.New(rand.NewPCG(seed, 8)) // a refresh runs at any time
	c.provider = &provider{failing: func(int) error {
		if fails.IntN(4) == 0 {
			return context.DeadlineExceeded
		}
		return nil
	}}
	for range 3 {
		_, value := w.login(t, c.provider)
		c.values = append(c.values, value)
	}
	return c
}

func (c *chaos) step(t *testing.T) {
	i := c.random.IntN(len(c.values))
	target := []token.Target{own, own, orders, billing}[c.random.IntN(4)]
	switch c.random.IntN(24) {
	case 0:
		c.store.cut([][]string{{"Load"}, {"Touch"}, {"Replace"}, everything}[c.random.IntN(4)]...)
	case 1, 2, 3, 4:
		c.store.repair()
	case 5:
		c.store.Lost(0)
	case 6:
		c.limits.Store(&session.Limits{
			Lifetime:    []time.Duration{lifetime, lifetime / 4, time.Hour}[c.random.IntN(3)],
			IdleTimeout: []time.Duration{idle, idle / 3}[c.random.IntN(2)], OutageGrace: grace,
		})
	case 7:
		text, err := c.ring.Load().Marshal()
		wantErr(t, err, nil)
		ring, err := keyring.Parse(text)
		wantErr(t, err, nil)
		c.ring.Store(ring)
	case 8:
		if sess, err := c.Find(t.Context(), c.values[i]); err == nil && c.random.IntN(8) == 0 {
			_ = c.End(t.Context(), sess, session.EndLogout)
		}
	case 9: // a new one takes the place of one that may have ended
		if _, err := c.Find(t.Context(), c.values[i]); err != nil {
			if value, err := c.Create(t.Context(), session.Session{Issuer: issuer, Subject: "alice", Tokens: c.provider.issue()}); err == nil {
				c.values[i] = value
			}
		}
	case 10, 11, 12: // another replica uses it
		c.use(t, c.other, c.values[i], target)
	case 13:
		time.Sleep(time.Duration(c.random.Int64N(int64(idle))))
	case 14, 15, 16:
		time.Sleep(time.Duration(c.random.Int64N(int64(life / 2))))
	default:
		c.use(t, c.Sessions, c.values[i], target)
	}
}

func (c *chaos) use(t *testing.T, s *session.Sessions, value string, target token.Target) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if sess, err := s.Find(ctx, value); err == nil && s.Touch(ctx, sess) == nil {
		_, _ = s.Refreshed(ctx, sess, target, c.provider.refresh)
	}
}

// check says whether a session is ready, and if it is, checks that it may be.
func (c *chaos) check(t *testing.T, value string, target token.Target, needsToken bool) bool {
	t.Helper()
	asked, called := c.store.asked(), c.provider.called()
	unchanged := func(what string) {
		t.Helper()
		synctest.Wait()
		if n := c.store.asked() - asked; n != 0 {
			t.Fatalf("%s asked the store %d times", what, n)
		}
		if n := c.provider.called() - called; n != 0 {
			t.Fatalf("%s called the provider %d times", what, n)
		}
	}
	sess, ok := c.Ready(value, target, needsToken)
	unchanged("Ready")
	if !ok {
		if sess != nil {
			t.Fatal("there is a session that is not ready")
		}
		return false
	}
	found, err := c.Find(t.Context(), value)
	wantErr(t, err, nil)
	unchanged("Find")
	if found != sess {
		t.Fatal("Find returned another session")
	}
	wantErr(t, c.Touch(t.Context(), sess), nil)
	unchanged("Touch")
	if !needsToken {
		return true
	}
	refreshed, err := c.Refreshed(t.Context(), sess, target, c.provider.refresh)
	wantErr(t, err, nil)
	unchanged("Refreshed")
	if refreshed != sess {
		t.Fatal("Refreshed returned another session")
	}
	access, _ := sess.Tokens.For(target)
	if authorization, ok := sess.Authorization(target); !ok || len(authorization) != 1 || authorization[0] != "Bearer "+access.Token {
		t.Fatal("there is no header value for its token, or another")
	}
	return true
}

// What is used all the time is ready but for the moments in which something has
// to be written or renewed. A page that is open for the whole life of a session
// shows it.
func TestReadyIsTheUsualCase(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{lives: 5 * time.Minute}
		_, value := w.login(t, p)
		calls, ready := 0, 0
		for end := time.Now().Add(lifetime); ; time.Sleep(time.Second) {
			if !time.Now().Before(end) {
				break
			}
			calls++
			if _, ok := w.Ready(value, own, true); ok {
				ready++
				continue
			}
			sess := w.find(t, value)
			wantErr(t, w.Touch(t.Context(), sess), nil)
			_, err := w.Refreshed(t.Context(), sess, own, p.refresh)
			wantErr(t, err, nil)
			synctest.Wait()
		}
		// Each token takes a call that has it renewed, and one that reads the result;
		// each tenth of the idle time a call that is written.
		if most := 3*p.called() + int(lifetime/(idle/10)) + 2; calls-ready > most {
			t.Errorf("%d of %d calls were not ready, want at most %d", calls-ready, calls, most)
		}
		if _, ok := w.Ready(value, own, true); ok {
			t.Error("it is ready after its life")
		}
	})
}

func TestReadyNeedsAnEntireValue(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		if _, ok := w.Ready(value, own, true); !ok {
			t.Fatal("it is not ready after the login")
		}
		for _, bad := range []string{"", value[:42], value + "A", value[:42] + "!", "\x00" + value[1:]} {
			if _, ok := w.Ready(bad, own, false); ok {
				t.Errorf("%q is a session", bad)
			}
		}
	})
}

// DPOP-01: a token that is bound to a key is not sent without a proof.
func TestAuthorizationIsForBearerTokensOnly(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		unsorted := token.Target{Resource: "https://api.example.com", Scopes: []string{"write", "read", "admin"}}
		tokens := token.Set{Access: token.Access{Token: "plain"}, Refresh: "r", Key: []byte("key")}.
			With(orders, token.Access{Token: "bound", Type: token.DPoP}).
			With(unsorted, token.Access{Token: "bearer", Type: token.Bearer}).
			With(billing, token.Access{Token: "odd", Type: "MAC"})
		value, err := w.Create(t.Context(), session.Session{Issuer: issuer, Subject: "alice", Tokens: tokens})
		wantErr(t, err, nil)
		sess := w.find(t, value)
		scopes := slices.Clone(unsorted.Scopes)
		for target, want := range map[*token.Target]string{
			{}:                            "Bearer plain",
			&unsorted:                     "Bearer bearer",
			&orders:                       "",
			&billing:                      "",
			{Resource: unsorted.Resource}: "",
			{Resource: unsorted.Resource, Scopes: []string{"read"}}: "",
			{Scopes: unsorted.Scopes}:                               "",
		} {
			got, ok := sess.Authorization(*target)
			if ok != (want != "") || ok && (len(got) != 1 || got[0] != want) {
				t.Errorf("for %v it is %q, %v; want %q", *target, got, ok, want)
			}
		}
		if !slices.Equal(scopes, unsorted.Scopes) {
			t.Errorf("the scopes of the target were sorted in place: %v", unsorted.Scopes)
		}
		// Who changes a copy does not get the header of the token that was there.
		other := *sess
		other.Tokens.Access.Token = "other"
		if got, ok := other.Authorization(own); ok {
			t.Errorf("with another token it is still %q", got)
		}
		if _, ok := (&session.Session{Tokens: tokens}).Authorization(own); ok {
			t.Error("a session from elsewhere has a header value")
		}
	})
}

// The hot path costs no memory.
func TestReadyAllocatesNothing(t *testing.T) {
	w := newWorld(t, store.NewMemory(nil, 0))
	for _, target := range []token.Target{own, orders, billing, {Resource: "https://api.example.com", Scopes: []string{"c", "b", "a"}}} {
		tokens := token.Set{Access: token.Access{Token: "a"}, Refresh: "r"}.With(target, token.Access{Token: "a", Expiry: time.Now().Add(time.Hour), ObtainedAt: time.Now()})
		value, err := w.Create(t.Context(), session.Session{Issuer: issuer, Subject: "alice", Tokens: tokens})
		wantErr(t, err, nil)
		w.find(t, value)
		if n := testing.AllocsPerRun(1000, func() {
			sess, ok := w.Ready(value, target, true)
			if !ok {
				t.Fatal("it is not ready")
			}
			if _, ok := sess.Authorization(target); !ok {
				t.Fatal("there is no header value")
			}
		}); n != 0 {
			t.Errorf("for %v it takes %v allocations", target, n)
		}
	}
}
