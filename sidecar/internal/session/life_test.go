package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// inTime runs a test of sessions in a memory store, in a bubble where sleeping
// takes no time.
func inTime(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, store.NewMemory(time.Now, 0))) })
}

func TestSessionIsFoundAsItWasCreated(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		tokens := (&provider{}).issue()
		value, err := w.Create(t.Context(), session.Session{
			Issuer: "https://id.example.com", Subject: "alice", ProviderSID: "sid", Tokens: tokens,
			ACR: "two-factors", AuthTime: time.Unix(1795521600, 0), Network: netip.MustParsePrefix("2001:db8::/56"),
			Claims: map[string]any{"name": "Alice", "groups": []any{"a", "b"}, "number": json.Number("12345678901234567890")},
			ID:     "chosen by the caller", CreatedAt: time.Unix(1, 0), ExpiresAt: time.Unix(2, 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		s := w.find(t, value)
		if s.Issuer != "https://id.example.com" || s.Subject != "alice" || s.ProviderSID != "sid" ||
			s.ACR != "two-factors" || s.AuthTime.Unix() != 1795521600 || s.Network.String() != "2001:db8::/56" ||
			s.Tokens.Access.Token != tokens.Access.Token || s.Tokens.Refresh != tokens.Refresh || s.Tokens.ID != tokens.ID || !s.Tokens.Access.Expiry.Equal(tokens.Access.Expiry) {
			t.Errorf("found %q, %q, %q, %v", s.Issuer, s.Subject, s.ProviderSID, s.Tokens)
		}
		if got := fmt.Sprint(s.Claims); got != "map[groups:[a b] name:Alice number:12345678901234567890]" {
			t.Errorf("the claims are %s", got)
		}
		now := time.Now()
		if !s.CreatedAt.Equal(now) || !s.ExpiresAt.Equal(now.Add(lifetime)) || !s.IdleExpiresAt.Equal(now.Add(idle)) {
			t.Errorf("created %s, ends %s, idles out %s; it is %s", s.CreatedAt, s.ExpiresAt, s.IdleExpiresAt, now)
		}
		if len(s.ID) < 20 || strings.Contains(value, s.ID) {
			t.Errorf("its id is %q", s.ID)
		}
	})
}

// GAP-03: every login has a new cookie and a new id.
func TestEveryLoginIsNew(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		seen := map[string]bool{}
		for range 100 {
			s, value := w.login(t, &provider{})
			if seen[value] || seen[s.ID] {
				t.Fatal("a cookie or id came twice")
			}
			seen[value], seen[s.ID] = true, true
		}
	})
}

func TestCreateNeedsALogin(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		whole := session.Session{Issuer: "i", Subject: "s", Tokens: token.Set{Access: token.Access{Token: "a"}}}
		for name, change := range map[string]func(*session.Session){
			"issuer":       func(s *session.Session) { s.Issuer = "" },
			"subject":      func(s *session.Session) { s.Subject = "" },
			"access token": func(s *session.Session) { s.Tokens = token.Set{Refresh: "r"} },
		} {
			s := whole
			change(&s)
			if value, err := w.Create(t.Context(), s); err == nil || value != "" {
				t.Errorf("a session without %s was created", name)
			}
		}
		whole.Tokens.Access.Token = strings.Repeat("x", session.MaxRecordSize)
		_, err := w.Create(t.Context(), whole)
		wantErr(t, err, session.ErrTooLarge)
		if n := w.store.called("Create"); n != 0 {
			t.Errorf("the store was asked %d times", n)
		}
	})
}

func TestNoSession(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, good := w.login(t, &provider{})
		for name, value := range map[string]string{
			"empty":     "",
			"unknown":   value,
			"malformed": good[:42],
			"changed":   flipLast(good),
			"garbage":   strings.Repeat("%", 43),
			"huge":      strings.Repeat("A", 1<<20),
		} {
			if _, err := w.Find(t.Context(), value); !errors.Is(err, session.ErrNone) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Another policy's sidecar, with the same ring and store, does not find it.
		other := session.New(session.Options{Store: w.store, Ring: w.ring.Load, PolicyUID: "another", Limits: func() session.Limits { return *w.limits.Load() }})
		_, err := other.Find(t.Context(), good)
		wantErr(t, err, session.ErrNone)
	})
}

// flipLast changes a bit of the secret that the last character carries.
func flipLast(value string) string {
	last := "A"
	if strings.HasSuffix(value, "A") {
		last = "Q"
	}
	return value[:42] + last
}

func TestSessionEndsAfterItsLifetime(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		for range int(lifetime / (20 * time.Minute)) {
			time.Sleep(20*time.Minute - time.Second)
			s := w.find(t, value)
			wantErr(t, w.Touch(t.Context(), s), nil)
			if s = w.find(t, value); s.IdleExpiresAt.After(s.ExpiresAt) {
				t.Fatalf("it idles out at %s, after its end at %s", s.IdleExpiresAt, s.ExpiresAt)
			}
		}
		time.Sleep(lifetime / (20 * time.Minute) * time.Second)
		_, err := w.Find(t.Context(), value)
		wantErr(t, err, session.ErrNone)
	})
}

// The record has its end in it: a store that forgot to end it changes nothing.
func TestLifetimeHoldsWithoutTheStore(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.store.Store = store.NewMemory(func() time.Time { return time.Unix(0, 0) }, 0) // time stands still there
		_, value := w.login(t, &provider{})
		time.Sleep(lifetime - time.Second)
		w.find(t, value)
		time.Sleep(time.Second)
		_, err := w.Find(t.Context(), value)
		wantErr(t, err, session.ErrNone)
	})
}

// A shorter lifetime holds at once, a longer one for new sessions only.
func TestChangedLifetime(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		w.limits.Store(&session.Limits{Lifetime: 10 * time.Minute, IdleTimeout: idle})
		if s := w.find(t, value); s.ExpiresAt.Sub(s.CreatedAt) != 10*time.Minute || s.IdleExpiresAt.After(s.ExpiresAt) {
			t.Errorf("it ends at %s and idles out at %s", s.ExpiresAt, s.IdleExpiresAt)
		}
		w.limits.Store(&session.Limits{Lifetime: 10 * lifetime, IdleTimeout: idle})
		if s := w.find(t, value); s.ExpiresAt.Sub(s.CreatedAt) != lifetime {
			t.Errorf("it ends at %s", s.ExpiresAt)
		}
		w.limits.Store(&session.Limits{Lifetime: 10 * time.Minute, IdleTimeout: idle})
		time.Sleep(10 * time.Minute)
		_, err := w.Find(t.Context(), value)
		wantEnd(t, err, session.EndExpired)
	})
}

func TestSessionIdlesOut(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		for range 29 { // looking is not using
			time.Sleep(time.Minute)
			w.find(t, value)
		}
		time.Sleep(time.Minute)
		_, err := w.Find(t.Context(), value)
		wantEnd(t, err, session.EndExpired)
	})
}

func TestUsePutsIdlingOff(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		for range 5 {
			time.Sleep(29 * time.Minute)
			wantErr(t, w.Touch(t.Context(), w.find(t, value)), nil)
			if s := w.find(t, value); !s.IdleExpiresAt.Equal(time.Now().Add(idle)) {
				t.Fatalf("it idles out at %s, it is %s", s.IdleExpiresAt, time.Now())
			}
		}
	})
}

// A use is written at most every tenth of the idle timeout by each replica,
// however many come.
func TestUseIsWrittenSparingly(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		other := w.replica()
		for range int(idle / time.Second) {
			time.Sleep(time.Second)
			wantErr(t, w.Touch(t.Context(), w.find(t, value)), nil)
			s, err := other.Find(t.Context(), value)
			wantErr(t, err, nil)
			wantErr(t, other.Touch(t.Context(), s), nil)
		}
		if n := w.store.called("Touch"); n < 10 || n > 20 {
			t.Errorf("%d uses were written by two replicas in one idle timeout, want 10 to 20", n)
		}
	})
}

// Requests that found the session before any of them used it write one use.
func TestConcurrentUsesWriteOnce(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		time.Sleep(10 * time.Minute)
		s := w.find(t, value)
		for range 50 {
			go func() { wantErr(t, w.Touch(t.Context(), s), nil) }()
		}
		synctest.Wait()
		if n := w.store.called("Touch"); n != 1 {
			t.Errorf("%d uses were written, want 1", n)
		}
	})
}

func TestFailedUseIsTriedAgain(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		time.Sleep(10 * time.Minute)
		w.store.cut("Touch")
		s := w.find(t, value)
		wantErr(t, w.Touch(t.Context(), s), nil) // it goes on without the store
		w.store.repair()
		time.Sleep(time.Second)
		wantErr(t, w.Touch(t.Context(), s), nil)
		if got := w.find(t, value); !got.IdleExpiresAt.Equal(time.Now().Add(idle)) {
			t.Error("the use was not written")
		}
	})
}

func TestEndedSessionIsGone(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, value := w.login(t, &provider{})
		time.Sleep(10 * time.Minute)
		wantErr(t, w.End(t.Context(), s, session.EndLogout), nil)
		wantErr(t, w.End(t.Context(), s, session.EndLogout), nil)
		_, err := w.Find(t.Context(), value)
		wantErr(t, err, session.ErrNone)
		wantErr(t, w.Touch(t.Context(), s), session.ErrNone)
		_, err = w.Find(t.Context(), value)
		wantErr(t, err, session.ErrNone)
	})
}

// An outage says nothing about a session, and nothing is deleted in one.
func TestStoreOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, value := w.login(t, &provider{})
		w.store.cutAll()
		_, err := w.Create(t.Context(), *s)
		wantErr(t, err, session.ErrUnavailable)
		_, err = w.replica().Find(t.Context(), value)
		wantErr(t, err, session.ErrUnavailable)
		wantErr(t, err, store.ErrUnavailable)
		wantErr(t, w.End(t.Context(), s, session.EndLogout), session.ErrUnavailable)
		w.store.repair()
		w.find(t, value)
	})
}

// A record whose key left the ring cannot be opened, and is still there when the
// key comes back.
func TestKeyLeavesTheRing(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		ring := w.ring.Load()
		for name, other := range map[string]func(){"another ring": func() { w.ring.Store(newRing(t)) }, "no ring": func() { w.ring.Store(nil) }} {
			other()
			_, err := w.Find(t.Context(), value)
			if !errors.Is(err, session.ErrUnreadable) || errors.Is(err, session.ErrNone) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := w.store.called("Delete") + w.store.called("Replace"); n != 0 {
			t.Errorf("the store was changed %d times", n)
		}
		w.ring.Store(ring)
		w.find(t, value)
	})
}

// GAP-09: whatever prints a session, or an error about it, shows none of it.
func TestNothingPrintsASession(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{marker: "MARKER"}
		s, value := w.login(t, p)
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			fmt.Fprintf(&out, verb+verb+verb, s, *s, struct{ S *session.Session }{s})
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "session", s, "copy", *s)
		if err := json.NewEncoder(&out).Encode(s); err != nil {
			t.Fatal(err)
		}

		w.store.cutAll()
		_, find := w.replica().Find(t.Context(), value)
		wantErr(t, find, session.ErrUnavailable)
		w.store.repair()
		ring := w.ring.Swap(newRing(t))
		_, unreadable := w.Find(t.Context(), value)
		_, none := w.Find(t.Context(), value[:42])
		w.ring.Store(ring)
		time.Sleep(life)
		p.dead = true
		_, ended := w.Refreshed(t.Context(), s, token.Target{}, p.refresh)
		fmt.Fprintln(&out, find, unreadable, none, ended, w.log.String())

		for _, secret := range []string{"MARKER", value, value[:42], "bff:{"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%q was printed: %s", secret, out.String())
			}
		}
	})
}

// A policy without a uid, as on a laptop, still has one hash tag for its keys.
func TestPolicyWithoutUID(t *testing.T) {
	keys := &keyRecorder{Store: store.NewMemory(nil, 0)}
	ring := newRing(t)
	s := session.New(session.Options{
		Store: keys, Ring: func() *keyring.Ring { return ring },
		Limits: func() session.Limits { return session.Limits{Lifetime: lifetime, IdleTimeout: idle} },
	})
	if _, err := s.Create(t.Context(), session.Session{Issuer: "i", Subject: "s", Tokens: token.Set{Access: token.Access{Token: "a"}}}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(keys.last, "bff:{local}:s:") {
		t.Errorf("the key is %q", keys.last)
	}
}

type keyRecorder struct {
	store.Store
	last string
}

func (k *keyRecorder) Create(ctx context.Context, key string, n store.New) error {
	k.last = key
	return k.Store.Create(ctx, key, n)
}
