package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// idSize is the length of a session's public handle before it is encoded.
const idSize = 16

// localPolicy stands for the uid of a policy that has none, as on a laptop.
const localPolicy = "local"

// Limits say how long sessions last. Both must be positive.
type Limits struct {
	// Lifetime ends a session this long after its login. Shortened, it holds for
	// the sessions that are there; lengthened, only for new ones.
	Lifetime time.Duration
	// IdleTimeout ends a session that was not used for this long.
	IdleTimeout time.Duration
}

// Options make Sessions. Store, Ring and Limits are required.
type Options struct {
	Store store.Store
	// Ring is the namespace's current key ring. It is asked at every use, so that
	// it may be rotated.
	Ring func() *keyring.Ring
	// PolicyUID is the uid of the policy the sessions belong to. Sessions of
	// another policy are never found.
	PolicyUID string
	// Limits are the current limits.
	Limits func() Limits
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
	store  store.Store
	ring   func() *keyring.Ring
	keys   keys
	limits func() Limits
	clock  func() time.Time
	random io.Reader
	logger *slog.Logger

	touched *marks  // sessions whose use was written lately
	cooling *marks  // sessions whose renewal failed lately
	flights flights // renewals under way
	pending pending // renewed sessions that are not in the store yet
}

// New makes Sessions.
func New(o Options) *Sessions {
	if o.PolicyUID == "" {
		o.PolicyUID = localPolicy
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sessions{
		store: o.Store, ring: o.Ring, keys: keysOf(o.PolicyUID), limits: o.Limits, clock: o.Clock, random: o.Random, logger: o.Logger,
		touched: newMarks(maxMarks), cooling: newMarks(maxMarks),
	}
}

// Create stores a new session and returns the value of its cookie, which is
// always a fresh one. ID, CreatedAt and ExpiresAt are set here, whatever sess
// has there. It returns ErrUnavailable, ErrTooLarge, or ErrUnreadable when there
// is no key ring.
func (s *Sessions) Create(ctx context.Context, sess Session) (cookieValue string, err error) {
	if sess.Issuer == "" || sess.Subject == "" || sess.Tokens.Access == "" {
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
	sess.CreatedAt, sess.ExpiresAt = now, now.Add(limits.Lifetime)
	sess.handle, sess.obtainedAt = h, now

	entry, err := sess.seal(s.ring())
	if err != nil {
		return "", fmt.Errorf("create session: %w", err)
	}
	if err := s.store.Create(ctx, h.key, entry, limits.Lifetime, limits.IdleTimeout); err != nil {
		return "", fmt.Errorf("create session: %w", fromStore(err))
	}
	return value, nil
}

// Find returns the session a cookie value names. Finding is not using: it does
// not extend the session. It returns ErrNone, ErrUnavailable or ErrUnreadable.
func (s *Sessions) Find(ctx context.Context, cookieValue string) (*Session, error) {
	h, ok := s.keys.parse(cookieValue)
	if !ok {
		return nil, fmt.Errorf("find session: %w", ErrNone)
	}
	sess, err := s.load(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("find session: %w", err)
	}
	return sess, nil
}

// End removes a session. It is no error if it is gone already. It returns
// ErrUnavailable, and then the session may still be there.
func (s *Sessions) End(ctx context.Context, sess *Session) error {
	if err := s.store.Delete(ctx, sess.handle.key); err != nil {
		return fmt.Errorf("end session: %w", fromStore(err))
	}
	s.forget(sess.handle.key)
	return nil
}

// forget drops what this process knows of a session beside the store.
func (s *Sessions) forget(key string) {
	s.pending.drop(key)
	s.touched.clear(key)
	s.cooling.clear(key)
}

// load reads a session: the store's, with the tokens that this process has
// renewed but could not store yet.
func (s *Sessions) load(ctx context.Context, h handle) (*Session, error) {
	sess, err := s.stored(ctx, h)
	if err != nil {
		return nil, err
	}
	return s.pending.over(sess), nil
}

// stored reads a session as the store has it.
func (s *Sessions) stored(ctx context.Context, h handle) (*Session, error) {
	entry, err := s.store.Load(ctx, h.key)
	if err != nil {
		return nil, fromStore(err)
	}
	sess, err := h.open(s.ring(), entry)
	if err != nil {
		return nil, err
	}
	now := s.clock()
	sess.ExpiresAt = earlier(sess.ExpiresAt, sess.CreatedAt.Add(s.limits().Lifetime))
	sess.IdleExpiresAt = earlier(sess.ExpiresAt, now.Add(entry.IdleLeft))
	if !now.Before(sess.ExpiresAt) {
		return nil, ErrNone
	}
	return sess, nil
}

// fromStore turns a store's error into one of this package. What a store does
// not know how to say is unavailable: it says nothing about the session.
func fromStore(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ErrNone
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
