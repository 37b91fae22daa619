package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const (
	// MaxRefreshMargin is how long before its expiry an access token is renewed. It
	// is a tenth of the token's life when that is less: a token of a minute is
	// renewed 6 s ahead.
	MaxRefreshMargin = 30 * time.Second
	marginShare      = 10

	// RefreshTimeout bounds one refresh, whatever the request it is for does.
	RefreshTimeout = 15 * time.Second
	// RefreshCooldown is how long after a failed refresh the next of the same
	// session waits, so that a provider in trouble is left alone.
	RefreshCooldown = 5 * time.Second
)

var errCooling = fmt.Errorf("%w: it failed a moment ago", ErrRefreshFailed)

// Refreshed returns sess itself when its access token is good for longer than
// the margin (see MaxRefreshMargin) or does not say when it expires; otherwise
// the session with new tokens.
//
// One refresh of a session runs in this process at a time, with the refresh
// function of whoever came first; everybody else waits for its outcome. It is
// detached from the callers: one that gives up gets its context's error, and the
// refresh goes on. Its result is written by compare-and-swap; what another
// replica wrote meanwhile is used instead.
//
// refresh gets the tokens to renew. What its answer leaves out, a refresh token
// or an ID token, stays as it was (RFC 6749 section 6, OpenID Connect Core
// section 12.2).
//
// It returns ErrEnded, and the session is removed, when refresh returns
// token.ErrInvalidGrant (RFC 10017 section 6.1.2.2) and no other replica has
// renewed the session, or when an expired access token comes with no refresh
// token. It returns ErrNone when the session was ended meanwhile. Any other
// failure may pass: then it returns sess while its access token is still valid,
// and otherwise ErrRefreshFailed, ErrUnavailable or ErrUnreadable. For
// RefreshCooldown after a failed refresh it does not try again.
func (s *Sessions) Refreshed(ctx context.Context, sess *Session, refresh func(ctx context.Context, old token.Set) (token.Set, error)) (*Session, error) {
	now := s.clock()
	if needOf(sess, now) == needNothing {
		return sess, nil
	}
	if s.cooling.holds(sess.handle.key, now) {
		return orStillValid(sess, now, errCooling)
	}
	f := s.flights.join(sess.handle.key, func() (*Session, error) {
		return s.renew(context.WithoutCancel(ctx), sess, refresh)
	})
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a renewed access token: %w", ctx.Err())
	}
	if f.err != nil {
		return orStillValid(sess, s.clock(), f.err)
	}
	return f.session, nil
}

// orStillValid returns a session whose renewal failed while its access token can
// still be used, unless the failure is the session's end.
func orStillValid(sess *Session, now time.Time, err error) (*Session, error) {
	if errors.Is(err, ErrNone) || errors.Is(err, ErrEnded) || sess.Tokens.ExpiresWithin(now, 0) {
		return nil, fmt.Errorf("renew access token: %w", err)
	}
	return sess, nil
}

// need is what a session's access token asks for.
type need int

const (
	needNothing need = iota
	needRenewal
	needLogin // expired, and nothing to renew it with
)

func needOf(sess *Session, now time.Time) need {
	switch t := sess.Tokens; {
	case !t.ExpiresWithin(now, margin(t.AccessExpiry.Sub(sess.obtainedAt))):
		return needNothing
	case t.Refresh != "":
		return needRenewal
	case t.ExpiresWithin(now, 0):
		return needLogin
	}
	return needNothing
}

// margin is how long before its expiry an access token of this life is renewed.
func margin(life time.Duration) time.Duration {
	return max(0, min(MaxRefreshMargin, life/marginShare))
}
