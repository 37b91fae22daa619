package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const (
	lifetime  = 12 * time.Hour
	idle      = 30 * time.Minute
	policyUID = "4f6b3c1e"
	// life is how long the provider's access tokens live.
	life = time.Minute
)

// world is Sessions with everything around them. Its clock is the test's:
// inside a synctest bubble time passes by sleeping.
type world struct {
	*session.Sessions
	store  *faultyStore
	ring   atomic.Pointer[keyring.Ring]
	limits atomic.Pointer[session.Limits]
	log    lockedBuffer
}

func newWorld(t testing.TB, s store.Store) *world {
	t.Helper()
	w := &world{store: &faultyStore{Store: s}}
	w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle})
	w.ring.Store(newRing(t))
	w.Sessions = w.replica()
	return w
}

// replica makes more Sessions on the same store, ring and limits.
func (w *world) replica() *session.Sessions {
	return session.New(session.Options{
		Store: w.store, Ring: w.ring.Load, PolicyUID: policyUID, Limits: func() session.Limits { return *w.limits.Load() },
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
}

func newRing(t testing.TB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// login creates a session with tokens of p and returns it with its cookie value.
func (w *world) login(t testing.TB, p *provider) (*session.Session, string) {
	t.Helper()
	value, err := w.Create(t.Context(), session.Session{
		Issuer: "https://id.example.com", Subject: "alice", ProviderSID: "provider-sid",
		Claims: map[string]any{"name": "Alice"}, Tokens: p.issue(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.find(t, value), value
}

func (w *world) find(t testing.TB, value string) *session.Session {
	t.Helper()
	s, err := w.Find(t.Context(), value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// provider is an authorization server that rotates refresh tokens strictly: one
// is good once, and everything else is invalid_grant.
type provider struct {
	mu    sync.Mutex
	calls int
	count int
	valid map[string]bool
	dead  bool

	// Fixed before the first call.
	marker  string
	takes   time.Duration
	failing func(call int) error // before anything happens
	losing  func(call int) error // after the token was spent: the answer is lost
	answer  func(token.Set) token.Set
}

func (p *provider) issue() token.Set {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next()
}

func (p *provider) next() token.Set {
	p.count++
	name := fmt.Sprintf("%s%d", p.marker, p.count)
	if p.valid == nil {
		p.valid = map[string]bool{}
	}
	p.valid["refresh-"+name] = true
	return token.Set{Access: "access-" + name, Refresh: "refresh-" + name, ID: "id-" + name, AccessExpiry: time.Now().Add(life)}
}

func (p *provider) refresh(ctx context.Context, old token.Set) (token.Set, error) {
	if p.takes > 0 {
		select {
		case <-time.After(p.takes):
		case <-ctx.Done():
			return token.Set{}, ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.failing != nil {
		if err := p.failing(p.calls); err != nil {
			return token.Set{}, err
		}
	}
	if p.dead || !p.valid[old.Refresh] {
		return token.Set{}, fmt.Errorf("refresh: %w", token.ErrInvalidGrant)
	}
	delete(p.valid, old.Refresh)
	set := p.next()
	if p.losing != nil {
		if err := p.losing(p.calls); err != nil {
			return token.Set{}, err
		}
	}
	if p.answer != nil {
		set = p.answer(set)
	}
	return set, nil
}

func (p *provider) called() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// faultyStore is a store whose world misbehaves on demand.
type faultyStore struct {
	store.Store
	mu        sync.Mutex
	down      map[string]bool // by the method's name
	afterward map[string]bool // fails after it was done
	calls     map[string]int
	onReplace func() // before the next Replace, once
}

func (f *faultyStore) cut(methods ...string) { f.set(&f.down, methods) }

func (f *faultyStore) loseAnswers(methods ...string) { f.set(&f.afterward, methods) }

func (f *faultyStore) repair() {
	f.set(&f.down, nil)
	f.set(&f.afterward, nil)
}

func (f *faultyStore) set(which *map[string]bool, methods []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*which = map[string]bool{}
	for _, m := range methods {
		(*which)[m] = true
	}
}

func (f *faultyStore) called(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

func (f *faultyStore) do(method string, call func() error) error {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[method]++
	down, afterward := f.down[method], f.afterward[method]
	var first func()
	if method == "Replace" {
		first, f.onReplace = f.onReplace, nil
	}
	f.mu.Unlock()
	if first != nil {
		first()
	}
	if down {
		return fmt.Errorf("%s: %w", method, store.ErrUnavailable)
	}
	err := call()
	if afterward {
		return fmt.Errorf("%s: %w", method, store.ErrUnavailable)
	}
	return err
}

func (f *faultyStore) Create(ctx context.Context, key string, e store.Entry, lifetime, idle time.Duration) error {
	return f.do("Create", func() error { return f.Store.Create(ctx, key, e, lifetime, idle) })
}

func (f *faultyStore) Load(ctx context.Context, key string) (e store.Entry, err error) {
	err = f.do("Load", func() error { e, err = f.Store.Load(ctx, key); return err })
	return e, err
}

func (f *faultyStore) Replace(ctx context.Context, key string, e store.Entry) error {
	return f.do("Replace", func() error { return f.Store.Replace(ctx, key, e) })
}

func (f *faultyStore) Touch(ctx context.Context, key string, idle time.Duration) error {
	return f.do("Touch", func() error { return f.Store.Touch(ctx, key, idle) })
}

func (f *faultyStore) Delete(ctx context.Context, key string) error {
	return f.do("Delete", func() error { return f.Store.Delete(ctx, key) })
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got the error %v, want %v", got, want)
	}
}
