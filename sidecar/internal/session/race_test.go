package session_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

func newRedis(t testing.TB, address string) *store.Redis {
	t.Helper()
	redis, err := store.NewRedis(store.RedisOptions{Addresses: []string{address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	return redis
}

// expired logs in with an access token that is over.
func expired(t testing.TB, w *world, p *provider) string {
	t.Helper()
	tokens := p.issue()
	tokens.Access.Expiry = time.Now().Add(-time.Second)
	value, err := w.Create(t.Context(), session.Session{Issuer: issuer, Subject: "alice", Claims: map[string]any{"name": p.marker}, Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// GAP-06: 50 parallel calls on an expired token, of each of four sessions, while
// the provider rotates strictly: one refresh a session, and all succeed.
func TestParallelCallsRefreshOnce(t *testing.T) {
	for name, s := range map[string]func(t *testing.T) store.Store{
		"Memory": func(*testing.T) store.Store { return store.NewMemory(nil, 0) },
		"Redis":  func(t *testing.T) store.Store { return newRedis(t, redistest.Start(t).Address) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, s(t))
			var group sync.WaitGroup
			start := make(chan struct{})
			providers := make([]*provider, 4)
			for i := range providers {
				p := &provider{takes: time.Duration(i) * 5 * time.Millisecond}
				providers[i] = p
				value := expired(t, w, p)
				for range 50 {
					group.Go(func() {
						<-start
						s, err := w.Find(context.Background(), value)
						if err != nil {
							t.Error(err)
							return
						}
						if err := w.Touch(context.Background(), s); err != nil {
							t.Error(err)
						}
						s, err = w.Refreshed(context.Background(), s, own, p.refresh)
						if err != nil {
							t.Error(err)
						} else if s.Tokens.Access.Token != "access-2" {
							t.Errorf("the access token is %q", s.Tokens.Access.Token)
						}
					})
				}
			}
			close(start)
			group.Wait()
			for i, p := range providers {
				if n := p.called(); n != 1 {
					t.Errorf("session %d was refreshed %d times", i, n)
				}
			}
		})
	}
}

// Finding, using, renewing and ending the same session from many goroutines.
func TestEverythingAtOnce(t *testing.T) {
	w := newWorld(t, store.NewMemory(nil, 0))
	p := &provider{}
	value := expired(t, w, p)
	var group sync.WaitGroup
	var ended atomic.Bool
	for i := range 200 {
		group.Go(func() {
			s, err := w.Find(context.Background(), value)
			if err == nil {
				err = w.Touch(context.Background(), s)
			}
			if err == nil {
				_, err = w.Refreshed(context.Background(), s, own, p.refresh)
			}
			if err == nil && i == 100 {
				ended.Store(true)
				err = w.End(context.Background(), s, session.EndLogout)
			}
			if err != nil && (!ended.Load() || !errors.Is(err, session.ErrNone)) {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// SEC-19, OA-10: a dump of the store has no token, no name and no cookie in it,
// neither after a login nor after a refresh.
func TestStoreDumpIsSealed(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t, newRedis(t, server.Address))
	p := &provider{marker: "MARKER"}
	value := expired(t, w, p)
	ticket, err := w.Park(t.Context(), []byte("MARKER"), time.Minute)
	wantErr(t, err, nil)
	_, err = w.Once(t.Context(), "MARKER", time.Minute)
	wantErr(t, err, nil)
	for _, when := range []string{"after the login", "after a refresh"} {
		dump := server.Must(t, "EVAL", `
local all = ''
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local content = kind == 'hash' and redis.call('HGETALL', key) or kind == 'zset' and redis.call('ZRANGE', key, 0, -1) or {redis.call('GET', key)}
  all = all .. key .. ' ' .. kind .. ' ' .. table.concat(content, ' ') .. '\n'
end
return all`, "0")
		if len(dump) < 500 || !strings.Contains(dump, "bff:{") {
			t.Fatalf("the dump is %q", dump)
		}
		for _, secret := range []string{"MARKER", "alice", "id.example.com", value, ticket} {
			if strings.Contains(dump, secret) {
				t.Errorf("%s, %q is in the store", when, secret)
			}
		}
		s, err := w.Refreshed(t.Context(), w.find(t, value), own, p.refresh)
		wantErr(t, err, nil)
		if s.Tokens.Access.Token != "access-MARKER2" {
			t.Fatalf("the access token is %q", s.Tokens.Access.Token)
		}
	}
}

// GAP-07 on a real network: the connection to the store breaks while the
// provider rotates.
func TestConnectionBreaksDuringRefresh(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Start(t))
	w := newWorld(t, newRedis(t, proxy.Address))
	p := &provider{}
	value := expired(t, w, p)
	s, err := w.Refreshed(t.Context(), w.find(t, value), own, func(ctx context.Context, old token.Set, target token.Target) (token.Set, error) {
		proxy.Cut()
		return p.refresh(ctx, old, target)
	})
	wantErr(t, err, nil)
	if got, err := w.Find(t.Context(), value); err != nil || got.Tokens.Access.Token != s.Tokens.Access.Token {
		t.Errorf("without the store it is not found with its new tokens: %v", err)
	}
	proxy.Pass()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	wantErr(t, w.Drain(ctx), nil)
	if got, err := w.replica().Find(t.Context(), value); err != nil || got.Tokens.Access.Token != s.Tokens.Access.Token {
		t.Errorf("another replica found %v", err)
	}
}
