package session

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const (
	// RefreshTimeout bounds one refresh, whatever the request it is for does.
	RefreshTimeout = 15 * time.Second
	// RefreshCooldown is how long after a failed refresh the next of the same
	// session waits, so that a provider in trouble is left alone. It is also how
	// often at most an upstream's refusal renews a token.
	RefreshCooldown = 5 * time.Second
	// TargetCooldown is how long after the provider has refused a token for a target
	// it is not asked again for the same session.
	TargetCooldown = time.Minute
)

var errCooling = fmt.Errorf("%w: it failed a moment ago", ErrRefreshFailed)

// Refresh gets an access token for a target from the provider, with the refresh
// token of old. What its answer leaves out, a refresh token or an ID token, stays
// as it was (RFC 6749 section 6, OpenID Connect Core section 12.2).
type Refresh = func(ctx context.Context, old token.Set, target token.Target) (token.Set, error)

// Refreshed returns a session with an access token for the target (RFC 8707
// section 2.2). That is sess itself when it has one that does not say when it
// expires or is good for some time. When it is about to expire (see
// MaxRefreshMargin), sess is returned too, and the token is renewed behind it.
// When it has expired or there is none, the caller waits for another.
//
// One refresh of a session runs at a time, on all replicas together, whatever
// the targets: a refresh token is only used by who holds the session's lease in
// the store. Everybody else waits for the outcome and gets it from the store. A
// replica that dies meanwhile delays the others by a few seconds. A refresh is
// detached from the callers: one that gives up gets its context's error, and the
// refresh goes on.
//
// It returns ErrEnded, and the session is removed, when refresh returns
// token.ErrInvalidGrant (RFC 10017 section 6.1.2.2) and no other replica has
// renewed the session, when it returns token.ErrOtherUser, or when the expired
// access token of the login comes with no refresh token. It returns ErrNone when
// the session was ended meanwhile. It returns ErrTarget when refresh returned
// token.ErrInvalidTarget, and for TargetCooldown after that.
//
// Any other failure may pass: then it returns sess while its access token is
// still valid, and otherwise ErrRefreshFailed, ErrUnavailable or ErrUnreadable.
// For RefreshCooldown after a failed refresh it does not try again. While the
// store does not answer no refresh token is used, since two replicas might use
// the same one.
func (s *Sessions) Refreshed(ctx context.Context, sess *Session, target token.Target, refresh Refresh) (*Session, error) {
	w := want{target: target}
	now := s.clock()
	n := w.need(sess.Tokens, now, s.late(sess.handle.key))
	if n == needNothing {
		return sess, nil
	}
	if err := s.held(sess.handle.key, target, now); err != nil {
		return orStillValid(sess, target, now, err)
	}
	if n == needSoon {
		if _, out := s.outage.began(); !out && s.flights.hasRoom() {
			s.fly(ctx, sess, w, refresh)
		}
		return sess, nil
	}
	return s.await(ctx, sess, w, refresh)
}

// Renew is Refreshed for an access token that an upstream has refused, though it
// is not known to have expired (RFC 6750 section 3.1, invalid_token). It returns
// a session with another token if there is one or one could be had, and sess
// itself if not: when there is no refresh token, and when the token is itself
// the result of a refresh less than RefreshCooldown ago.
func (s *Sessions) Renew(ctx context.Context, sess *Session, target token.Target, refresh Refresh) (*Session, error) {
	access, ok := sess.Tokens.For(target)
	if !ok {
		return s.Refreshed(ctx, sess, target, refresh)
	}
	return s.await(ctx, sess, want{target, access.Token}, refresh)
}

// late is where in the margin this replica renews a session.
func (s *Sessions) late(key string) float64 {
	return float64(maphash.String(s.seed, key)>>11) / (1 << 53)
}

// held says why the provider is not to be asked just now.
func (s *Sessions) held(key string, target token.Target, now time.Time) error {
	if s.cooling.holds(key, now) {
		return errCooling
	}
	if !target.IsZero() && s.refusing.holds(targetMark(key, target), now) {
		return ErrTarget
	}
	return nil
}

func targetMark(key string, target token.Target) string { return key + "\n" + target.Key() }

// fly starts a renewal, or joins the one that is under way.
func (s *Sessions) fly(ctx context.Context, sess *Session, w want, refresh Refresh) *flight {
	detached := context.WithoutCancel(ctx)
	return s.flights.join(flightID{sess.handle.key, w.target.Key(), w.refused}, func() (*Session, error) {
		return s.renew(detached, sess.handle, w, refresh)
	})
}

func (s *Sessions) await(ctx context.Context, sess *Session, w want, refresh Refresh) (*Session, error) {
	f := s.fly(ctx, sess, w, refresh)
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a renewed access token: %w", ctx.Err())
	}
	if f.err != nil {
		return orStillValid(sess, w.target, s.clock(), f.err)
	}
	return f.session, nil
}

// orStillValid returns a session whose renewal failed while its access token can
// still be used, unless the failure is the session's end.
func orStillValid(sess *Session, target token.Target, now time.Time, err error) (*Session, error) {
	if errors.Is(err, ErrNone) || errors.Is(err, ErrEnded) || !usable(sess.Tokens, target, now) {
		return nil, fmt.Errorf("renew access token: %w", err)
	}
	return sess, nil
}
