package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A renewed session that could not be stored is tried again after firstRetry,
// then after twice that and so on up to longestRetry, as long as sessions go on
// without the store and for shortestWait at least. At most maxPending sessions
// wait like that.
const (
	firstRetry   = 100 * time.Millisecond
	longestRetry = 500 * time.Millisecond
	shortestWait = 3 * time.Minute
	maxPending   = 256
)

// pending are sessions with renewed tokens that are not in the store yet. Losing
// them would lose a refresh token that the provider has rotated.
type pending struct {
	count atomic.Int64 // of byKey, so that the usual look needs no lock

	mu    sync.Mutex
	byKey map[string]*renewal
}

// hold remembers a renewal. It says false when too many wait already.
func (p *pending) hold(r *renewal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byKey) >= maxPending {
		return false
	}
	if p.byKey == nil {
		p.byKey = make(map[string]*renewal)
	}
	p.byKey[r.session.handle.key] = r
	p.count.Store(int64(len(p.byKey)))
	return true
}

func (p *pending) get(key string) (*renewal, bool) {
	if p.count.Load() == 0 {
		return nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.byKey[key]
	return r, ok
}

// over returns what waits for a stored session, or that session itself when
// nothing does or the store has moved on.
func (p *pending) over(stored *Session) *Session {
	waiting, ok := p.get(stored.handle.key)
	if !ok || waiting.session.version != stored.version {
		return stored
	}
	current := *stored
	current.Tokens, current.authorizations = waiting.session.Tokens, waiting.session.authorizations
	current.obtainedAt = waiting.session.obtainedAt
	return &current
}

// drop takes out a renewal, and says false when it was not there any more.
func (p *pending) drop(r *renewal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byKey[r.session.handle.key] != r {
		return false
	}
	delete(p.byKey, r.session.handle.key)
	p.count.Store(int64(len(p.byKey)))
	return true
}

// storeLater holds a session in memory and keeps trying to store it.
func (s *Sessions) storeLater(ctx context.Context, r renewal, cause error) {
	if !s.pending.hold(&r) {
		s.giveBack(ctx, r.turn)
		s.logger.ErrorContext(ctx, "renewed tokens cannot be stored and too many wait already; the session may have to log in again", "cause", cause)
		return
	}
	s.logger.WarnContext(ctx, "renewed tokens cannot be stored yet; trying again", "cause", cause)
	s.flights.detached.begin()
	go func() {
		defer s.flights.detached.end()
		if err := s.keepTrying(ctx, &r); err != nil {
			s.logger.ErrorContext(ctx, "renewed tokens were not stored; the session may have to log in again", "cause", err)
		}
	}()
}

// keepTrying tries to store a renewal that waits, until that is settled.
func (s *Sessions) keepTrying(ctx context.Context, r *renewal) error {
	defer s.settled(ctx, r)
	wait := firstRetry
	var err error
	for begun := s.clock(); s.clock().Sub(begun) < max(shortestWait, s.limits().OutageGrace); {
		pause(ctx, wait)
		wait = min(2*wait, longestRetry)
		if waiting, ok := s.pending.get(r.session.handle.key); !ok || waiting != r {
			return nil
		}
		if err = s.settle(ctx, r); err == nil || errors.Is(err, ErrNone) {
			return nil
		}
		if !mayPass(err) {
			return err
		}
	}
	return err
}

// settle tries once to store a renewal that waits. It returns ErrNone when the
// session was ended meanwhile.
func (s *Sessions) settle(ctx context.Context, r *renewal) error {
	_, err := s.write(ctx, *r)
	if mayPass(err) {
		return err
	}
	if s.settled(ctx, r) && errors.Is(err, ErrNone) {
		s.discard(ctx, r.session.Tokens)
	}
	return err
}

// settled takes a renewal out of those that wait, and gives its lease back. It
// says false when that was done before.
func (s *Sessions) settled(ctx context.Context, r *renewal) bool {
	if !s.pending.drop(r) {
		return false
	}
	s.giveBack(ctx, r.turn)
	return true
}

// Drain waits until no refresh is under way and no renewed token waits for the
// store. Call it before the process ends: a token that was rotated and not
// stored is lost. It returns the context's error.
func (s *Sessions) Drain(ctx context.Context) error {
	if err := s.flights.detached.wait(ctx); err != nil {
		return fmt.Errorf("wait for token refreshes: %w", err)
	}
	return nil
}
