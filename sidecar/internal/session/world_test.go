package session_test

import (
	"cmp"
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
	grace     = 10 * time.Minute
	policyUID = "4f6b3c1e"
	issuer    = "https://id.example.com"
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

	mu        sync.Mutex
	discarded []token.Set
}

func newWorld(t testing.TB, s store.Store) *world {
	t.Helper()
	w := &world{store: &faultyStore{Store: s}}
	w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle, OutageGrace: grace})
	w.ring.Store(newRing(t))
	w.Sessions = w.replica()
	return w
}

// replica makes more Sessions on the same store, ring and limits.
func (w *world) replica() *session.Sessions { return w.replicaOn(w.store) }

// replicaOn makes Sessions that have a connection of their own to the store.
func (w *world) replicaOn(s store.Store) *session.Sessions {
	return session.New(session.Options{
		Store: s, Ring: w.ring.Load, PolicyUID: policyUID, Limits: func() session.Limits { return *w.limits.Load() },
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
		Discard: func(_ context.Context, tokens token.Set) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.discarded = append(w.discarded, tokens)
		},
	})
}

// thrownAway are the refresh tokens that were handed to Discard.
func (w *world) thrownAway() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var refresh []string
	for _, tokens := range w.discarded {
		refresh = append(refresh, tokens.Refresh)
	}
	return refresh
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
		Issuer: issuer, Subject: "alice", ProviderSID: "provider-sid",
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
	mu      sync.Mutex
	calls   int
	count   int
	valid   map[string]bool
	targets []token.Target
	dead    bool

	// Fixed before the first call.
	marker  string
	takes   time.Duration
	lives   time.Duration        // what it gives out; 0 is life
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
	return token.Set{Access: p.access(name), Refresh: "refresh-" + name, ID: "id-" + name}
}

func (p *provider) access(name string) token.Access {
	now := time.Now()
	return token.Access{Token: "access-" + name, ObtainedAt: now, Expiry: now.Add(cmp.Or(p.lives, life))}
}

func (p *provider) refresh(ctx context.Context, old token.Set, target token.Target) (token.Set, error) {
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
	p.targets = append(p.targets, target)
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
	if !target.IsZero() {
		narrowed := set.Access
		narrowed.Token += " for " + target.Resource
		set = token.Set{Access: old.Access, Narrowed: old.Narrowed, Refresh: set.Refresh, ID: old.ID}.With(target, narrowed)
	}
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

// takeAgain makes a refresh token good once more, as a provider with a grace
// period does.
func (p *provider) takeAgain(refresh string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.valid[refresh] = true
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

// wantEnd checks that an error says that a session is not there, and why.
func wantEnd(t testing.TB, err error, why session.EndReason) {
	t.Helper()
	wantErr(t, err, session.ErrNone)
	if got := session.ReasonOf(err); got != why {
		t.Fatalf("it says that the reason is %q, want %q", got, why)
	}
}

// own is the target that the login was for.
var own token.Target
