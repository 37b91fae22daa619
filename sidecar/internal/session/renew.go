package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// rereads are the waits before the looks into the store that a refused refresh
// token gets before its session is ended. Another replica may have spent the
// token a moment ago and not have stored its successor yet.
var rereads = []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond}

// maxWrites bounds how often a write is tried against other writers.
const maxWrites = 3

// renew is one flight: it gets new tokens for a session, from the store if they
// are there, otherwise from the provider.
func (s *Sessions) renew(ctx context.Context, sess *Session, refresh func(context.Context, token.Set) (token.Set, error)) (*Session, error) {
	current, err := s.latest(ctx, sess.handle)
	if err != nil {
		return nil, err
	}
	switch needOf(current, s.clock()) {
	case needNothing:
		return current, nil
	case needLogin:
		return nil, s.finish(ctx, current)
	}
	if s.cooling.holds(current.handle.key, s.clock()) {
		return nil, errCooling // it failed after our caller had looked
	}
	renewed, err := s.ask(ctx, current, refresh)
	if errors.Is(err, token.ErrInvalidGrant) {
		return s.refused(ctx, current)
	}
	if err != nil {
		s.cool(current.handle.key)
		return nil, fmt.Errorf("%w: %w", ErrRefreshFailed, err)
	}
	return s.keep(ctx, renewed)
}

// latest is the newest that is known of a session.
func (s *Sessions) latest(ctx context.Context, h handle) (*Session, error) {
	sess, err := s.load(ctx, h)
	if waiting, ok := s.pending.get(h.key); ok && errors.Is(err, ErrUnavailable) {
		return waiting, nil
	}
	return sess, err
}

// ask has the tokens of a session renewed.
func (s *Sessions) ask(ctx context.Context, current *Session, refresh func(context.Context, token.Set) (token.Set, error)) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, RefreshTimeout)
	defer cancel()
	tokens, err := refresh(ctx, current.Tokens)
	if err != nil {
		return nil, err
	}
	if tokens.Access == "" {
		return nil, errors.New("the answer has no access token")
	}
	if tokens.Refresh == "" {
		tokens.Refresh = current.Tokens.Refresh
	}
	if tokens.ID == "" {
		tokens.ID = current.Tokens.ID
	}
	renewed := *current
	renewed.Tokens, renewed.obtainedAt = tokens, s.clock().UTC()
	return &renewed, nil
}

// refused ends a session whose refresh token is dead, unless another replica
// has renewed it.
func (s *Sessions) refused(ctx context.Context, current *Session) (*Session, error) {
	for _, wait := range rereads {
		pause(ctx, wait)
		again, err := s.latest(ctx, current.handle)
		if err != nil {
			return nil, err
		}
		if again.version == current.version && again.Tokens.Refresh == current.Tokens.Refresh {
			continue
		}
		if again.Tokens.ExpiresWithin(s.clock(), 0) {
			return nil, fmt.Errorf("%w: another replica's result has expired already", ErrRefreshFailed)
		}
		return again, nil
	}
	return nil, s.finish(ctx, current)
}

// finish removes a session that nothing can renew, and returns ErrEnded when it
// is gone.
func (s *Sessions) finish(ctx context.Context, sess *Session) error {
	if err := s.End(ctx, sess); err != nil {
		s.cool(sess.handle.key)
		return err
	}
	return ErrEnded
}

// keep stores a renewed session. The provider may have spent the old refresh
// token already: when the store cannot be reached, the session goes on from
// memory and is stored as soon as that is possible.
func (s *Sessions) keep(ctx context.Context, renewed *Session) (*Session, error) {
	kept, err := s.write(ctx, renewed)
	switch {
	case err == nil:
		s.pending.drop(renewed.handle.key)
		return kept, nil
	case errors.Is(err, ErrNone):
		s.forget(renewed.handle.key)
		return nil, err
	case !errors.Is(err, ErrUnavailable):
		s.cool(renewed.handle.key)
		s.logger.ErrorContext(ctx, "renewed tokens cannot be stored; the session may have to log in again", "cause", err)
		return nil, err
	}
	s.storeLater(ctx, renewed, err)
	return renewed, nil
}

// write replaces a session's record by compare-and-swap. When somebody else was
// first it returns the stored session, if that one's tokens need nothing or are
// newer; otherwise the new tokens go on top of it. It returns ErrNone, ErrUnavailable,
// ErrUnreadable or ErrTooLarge.
func (s *Sessions) write(ctx context.Context, renewed *Session) (*Session, error) {
	for range maxWrites {
		entry, err := renewed.seal(s.ring())
		if err != nil {
			return nil, err
		}
		next := *renewed
		err = s.store.Replace(ctx, renewed.handle.key, entry)
		if err == nil {
			next.version++
			return &next, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, fromStore(err)
		}
		stored, err := s.stored(ctx, renewed.handle)
		if err != nil {
			return nil, err
		}
		if needOf(stored, s.clock()) == needNothing || stored.obtainedAt.After(renewed.obtainedAt) {
			return stored, nil
		}
		next = *stored
		next.Tokens, next.obtainedAt = renewed.Tokens, renewed.obtainedAt
		renewed = &next
	}
	return nil, fmt.Errorf("%w: it was changed again and again", ErrUnavailable)
}

func (s *Sessions) cool(key string) {
	now := s.clock()
	s.cooling.set(key, now, now.Add(RefreshCooldown))
}

func pause(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
