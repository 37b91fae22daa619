package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A renewed session that could not be stored is tried again after firstRetry,
// then after twice that and so on up to longestRetry, maxRetries times: about
// three minutes. At most maxPending sessions wait like that.
const (
	firstRetry   = 100 * time.Millisecond
	longestRetry = 5 * time.Second
	maxRetries   = 40
	maxPending   = 256
)

// pending are sessions with renewed tokens that are not in the store yet. Losing
// them would lose a refresh token that the provider has rotated.
type pending struct {
	mu    sync.Mutex
	byKey map[string]*Session
}

// hold remembers a session, in place of an older state of it. It says false
// when too many wait already.
func (p *pending) hold(sess *Session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, again := p.byKey[sess.handle.key]; !again && len(p.byKey) >= maxPending {
		return false
	}
	if p.byKey == nil {
		p.byKey = make(map[string]*Session)
	}
	p.byKey[sess.handle.key] = sess
	return true
}

func (p *pending) get(key string) (*Session, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sess, ok := p.byKey[key]
	return sess, ok
}

// over returns what waits for a stored session, or that session itself when
// nothing does or the store has moved on.
func (p *pending) over(stored *Session) *Session {
	waiting, ok := p.get(stored.handle.key)
	if !ok || waiting.version != stored.version {
		return stored
	}
	current := *stored
	current.Tokens, current.obtainedAt = waiting.Tokens, waiting.obtainedAt
	return &current
}

func (p *pending) drop(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byKey, key)
}

// holds says whether exactly this state of a session still waits.
func (p *pending) holds(sess *Session) bool {
	waiting, _ := p.get(sess.handle.key)
	return waiting == sess
}

// dropState drops exactly this state of a session.
func (p *pending) dropState(sess *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byKey[sess.handle.key] == sess {
		delete(p.byKey, sess.handle.key)
	}
}

// storeLater holds a session in memory and keeps trying to store it.
func (s *Sessions) storeLater(ctx context.Context, renewed *Session, cause error) {
	if !s.pending.hold(renewed) {
		s.logger.ErrorContext(ctx, "renewed tokens cannot be stored and too many wait already; the session may have to log in again", "cause", cause)
		return
	}
	s.logger.WarnContext(ctx, "renewed tokens cannot be stored yet; trying again", "cause", cause)
	s.flights.detached.begin()
	go func() {
		defer s.flights.detached.end()
		if err := s.storePending(ctx, renewed); err != nil {
			s.logger.ErrorContext(ctx, "renewed tokens were not stored; the session may have to log in again", "cause", err)
		}
	}()
}

// storePending tries to store a session that waits, until it is stored, gone, or
// renewed once more.
func (s *Sessions) storePending(ctx context.Context, renewed *Session) error {
	defer s.pending.dropState(renewed)
	wait := firstRetry
	var err error
	for range maxRetries {
		pause(ctx, wait)
		wait = min(2*wait, longestRetry)
		if !s.pending.holds(renewed) {
			return nil
		}
		_, err = s.write(ctx, renewed)
		if err == nil || errors.Is(err, ErrNone) {
			return nil
		}
		if !errors.Is(err, ErrUnavailable) {
			return err
		}
	}
	return fmt.Errorf("%d attempts: %w", maxRetries, err)
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
