package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// idSize is the length of a session's public handle before it is encoded.
const idSize = 16

// Limits say how long sessions last, and how many there are. Lifetime and
// IdleTimeout must be positive.
type Limits struct {
	// Lifetime ends a session this long after its login. Shortened, it holds for
	// the sessions that are there; lengthened, only for new ones.
	Lifetime time.Duration
	// IdleTimeout ends a session that was not used for this long.
	IdleTimeout time.Duration
	// OutageGrace is how long sessions that are in memory go on while the store does
	// not answer. Zero is not at all.
	OutageGrace time.Duration
	// MaxPerUser is how many sessions one user has at most: one more ends the
	// oldest. Zero is no limit.
	MaxPerUser int
}

// Options make Sessions. Store, Ring and Limits are required.
type Options struct {
	// Store is where sealed sessions are. It is used by these Sessions alone:
	// replicas have a Store each.
	Store store.Store
	// Ring is the namespace's current key ring. It is asked at every use, so that
	// it may be rotated. A ring that has not changed must stay the same pointer.
	Ring func() *keyring.Ring
	// PolicyUID is the uid of the policy the sessions belong to. Sessions of
	// another policy are never found.
	PolicyUID string
	// Limits are the current limits.
	Limits func() Limits
	// Discard is told of tokens that nobody can use any more, since their session
	// was ended while they were renewed: the provider should revoke them (RFC 7009).
	// It must not block for long. Nil does nothing.
	Discard func(context.Context, token.Set)
	// CacheBytes is how much memory opened sessions may take, about. Zero is
	// DefaultCacheBytes.
	CacheBytes int
	// Clock tells the time; nil is time.Now.
	Clock func() time.Time
	// Random is where cookies come from; nil is crypto/rand.
	Random io.Reader
	// Logger is told of what happens after the request it happens for; nil is
	// silence.
	Logger *slog.Logger
}

// Sessions are the logins of one policy. It is safe for concurrent use.
type Sessions struct {
	store   store.Store
	ring    func() *keyring.Ring
	keys    keys
	limits  func() Limits
	discard func(context.Context, token.Set)
	clock   func() time.Time
	random  io.Reader
	logger  *slog.Logger
	seed    maphash.Seed // makes each replica renew at a time of its own

	ringSeen atomic.Pointer[keyring.Ring]
	cache    *cache
	outage   outage
	touched  *marks  // sessions whose use was written lately
	cooling  *marks  // sessions whose renewal failed lately
	refusing *marks  // sessions and targets that the provider gave no token for
	flights  flights // renewals under way
	pending  pending // renewed sessions that are not in the store yet
	changes  changes // who waits for a session to change
	watches  watches // who wants to know what becomes of a session
}

// New makes Sessions and has the store tell them of changes.
func New(o Options) *Sessions {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Discard == nil {
		o.Discard = func(context.Context, token.Set) {}
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	s := &Sessions{
		store: o.Store, ring: o.Ring, keys: keysOf(o.PolicyUID), limits: o.Limits, discard: o.Discard,
		clock: o.Clock, random: o.Random, logger: o.Logger, seed: maphash.MakeSeed(),
		cache:   newCache(o.CacheBytes),
		touched: newMarks(maxMarks), cooling: newMarks(maxMarks), refusing: newMarks(maxMarks),
	}
	s.store.Watch(watcher{s})
	return s
}

// Create stores a new session and returns the value of its cookie, which is
// always a fresh one. ID, CreatedAt and ExpiresAt are set here, whatever sess
// has there. If the user has more sessions than Limits.MaxPerUser now, the
// oldest ones are ended.
//
// It returns ErrUnavailable, ErrTooLarge, or ErrUnreadable when there is no key
// ring. Then there is no new session.
func (s *Sessions) Create(ctx context.Context, sess Session) (cookieValue string, err error) {
	if sess.Issuer == "" || sess.Subject == "" || sess.Tokens.Access.Token == "" {
		return "", errors.New("create session: issuer, subject and access token are required")
	}
	var id [idSize]byte
	if _, err := io.ReadFull(s.random, id[:]); err != nil {
		return "", fmt.Errorf("create session: draw its id: %w", err)
	}
	h, value, err := s.keys.newHandle(s.random)
	if err != nil {
		return "", fmt.Errorf("create session: %w", err)
	}
	limits, now := s.limits(), s.clock().UTC()
	sess.ID = base64.RawURLEncoding.EncodeToString(id[:])
	sess.CreatedAt, sess.ends = now, now.Add(limits.Lifetime)
	sess.handle, sess.obtainedAt, sess.version = h, now, 0
	if sess.Tokens.Access.ObtainedAt.IsZero() {
		sess.Tokens.Access.ObtainedAt = now
	}

	entry, err := sess.seal(s.ring())
	if err != nil {
		return "", fmt.Errorf("create session: %w", err)
	}
	err = s.store.Create(ctx, h.key, store.New{
		Entry: entry, Lifetime: limits.Lifetime, Idle: limits.IdleTimeout, Indexes: s.keys.indexes(&sess),
	})
	if err := s.heard(ctx, err); err != nil {
		return "", fmt.Errorf("create session: %w", err)
	}
	if limits.MaxPerUser > 0 {
		if err := s.evict(ctx, &sess, limits.MaxPerUser); err != nil {
			// A limit that cannot be kept must not be passed by trying again.
			_ = s.remove(context.WithoutCancel(ctx), h.digest, h.key, EndLimit, sess.Tokens)
			return "", fmt.Errorf("create session: end the user's oldest: %w", err)
		}
	}
	return value, nil
}

// End removes a session and notes why. It is no error if it is gone already. It
// returns ErrUnavailable, and then the session may still be there; this process
// no longer keeps a copy of it.
func (s *Sessions) End(ctx context.Context, sess *Session, why EndReason) error {
	if err := s.remove(ctx, sess.handle.digest, sess.handle.key, why, sess.Tokens); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// remove deletes an entry, and what this process knows of it. Renewed tokens
// that wait for the store are discarded unless they are the caller's.
func (s *Sessions) remove(ctx context.Context, name digest, key string, why EndReason, callers token.Set) error {
	err := s.heard(ctx, s.store.Delete(ctx, key, string(why)))
	// Whoever wanted it gone is not served from memory, even if it may still be in
	// the store.
	s.cache.drop(name)
	if err != nil {
		return err
	}
	if waiting, ok := s.pending.get(key); ok && s.settled(ctx, waiting) && waiting.session.Tokens.Refresh != callers.Refresh {
		s.discard(ctx, waiting.session.Tokens)
	}
	s.forget(key)
	s.changes.wake(key)
	return nil
}

// forget drops what this process has noted about a session.
func (s *Sessions) forget(key string) {
	s.touched.clear(key)
	s.cooling.clear(key)
}
