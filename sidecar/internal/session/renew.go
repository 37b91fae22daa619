package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const (
	// turnTimeout bounds how long a renewal waits for the lease: longer than another
	// replica may take with it.
	turnTimeout = RefreshTimeout + leaseTime
	// turnPoll is about how often the lease is asked for. Usually the store's word
	// that the session has changed comes before that.
	turnPoll = 200 * time.Millisecond
	// maxTurns bounds how often a renewal begins anew since another replica took the
	// lease from it.
	maxTurns = 3
)

// rereads are the waits before the looks into the store that a refused refresh
// token gets before its session is ended. Another replica may have lost its
// lease, and with it the chance to be first, but not what it was given.
var rereads = []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond}

var (
	errOvertaken = fmt.Errorf("%w: other replicas are at it", ErrRefreshFailed)
	errNoTarget  = fmt.Errorf("%w, and no refresh token to get one with", ErrTarget)
)

// renew is one flight: it gets an access token for a session, from the store if
// it is there, otherwise from the provider.
func (s *Sessions) renew(ctx context.Context, h handle, w want, refresh Refresh) (*Session, error) {
	for range maxTurns {
		current, turn, err := s.turn(ctx, h, w)
		if err != nil || turn == nil {
			return current, err
		}
		renewed, err := s.spend(ctx, current, w.target, turn, refresh)
		if !errors.Is(err, errOvertaken) {
			return renewed, err
		}
	}
	s.cool(h.key)
	return nil, errOvertaken
}

// turn waits until the session has what is wanted, and then returns it with no
// tenure, or until it is up to this process to get it.
func (s *Sessions) turn(ctx context.Context, h handle, w want) (*Session, *tenure, error) {
	changed, stop := s.changes.await(h.key)
	defer stop()
	timeout := time.NewTimer(turnTimeout)
	defer timeout.Stop()
	for {
		current, _, err := s.find(ctx, h)
		if err != nil {
			return nil, nil, err
		}
		if enough, err := s.enough(ctx, current, w); enough || err != nil {
			return current, nil, err
		}
		if waiting, ok := s.pending.get(h.key); ok {
			if err := s.settle(ctx, waiting); err != nil {
				return nil, nil, err
			}
			continue
		}
		if rest := s.outage.settles(s.clock()); rest > 0 {
			if !either(changed, rest, timeout.C) {
				return nil, nil, errOvertaken
			}
			continue
		}
		asked := s.clock()
		lease, err := s.store.Acquire(ctx, h.key, leaseTime)
		if err == nil {
			_ = s.heard(ctx, nil) // this may be the first answer after an outage
			if s.outage.settles(s.clock()) > 0 {
				_ = s.store.Release(ctx, lease)
				continue
			}
			return s.begin(ctx, h, w, s.hold(ctx, lease, asked))
		}
		if err := s.heard(ctx, err); !errors.Is(err, store.ErrHeld) {
			return nil, nil, err
		}
		if !either(changed, turnPoll/2+rand.N(turnPoll), timeout.C) {
			return nil, nil, errOvertaken
		}
	}
}

// either waits for a change, but not longer than d. It says false when the time
// for all of the waiting is over.
func either(changed <-chan struct{}, d time.Duration, timeout <-chan time.Time) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-timeout:
		return false
	}
	return true
}

// begin reads the session under the lease: only what is read now is sure to be
// what the refresh token is.
func (s *Sessions) begin(ctx context.Context, h handle, w want, turn *tenure) (*Session, *tenure, error) {
	current, err := s.stored(ctx, h)
	enough := false
	if err == nil {
		enough, err = s.enough(ctx, current, w)
	}
	if err != nil || enough {
		s.giveBack(ctx, turn)
		return current, nil, err
	}
	return current, turn, nil
}

// enough says whether a session has what is wanted. It returns an error when
// the provider is not to be asked for it.
func (s *Sessions) enough(ctx context.Context, current *Session, w want) (bool, error) {
	key, now := current.handle.key, s.clock()
	switch w.need(current.Tokens, now, 0) {
	case needNothing:
		return true, nil
	case needLogin:
		if !w.target.IsZero() {
			return false, errNoTarget
		}
		if _, err := s.stored(ctx, current.handle); err != nil { // a copy is not enough to end it
			return false, err
		}
		return false, s.finish(ctx, current, EndExpired)
	}
	if err := s.held(key, w.target, now); err != nil {
		return false, err // it failed after our caller had looked
	}
	if access, ok := current.Tokens.For(w.target); ok && access.Token == w.refused &&
		access.ObtainedAt.After(current.CreatedAt) && now.Sub(access.ObtainedAt) < RefreshCooldown {
		return false, errCooling // it was renewed a moment ago, and another one is refused as well
	}
	return false, nil
}

// spend uses the session's refresh token. It returns errOvertaken when the turn
// may be over before that.
func (s *Sessions) spend(ctx context.Context, current *Session, target token.Target, turn *tenure, refresh Refresh) (*Session, error) {
	key := current.handle.key
	if !turn.lasts() {
		s.giveBack(ctx, turn)
		return nil, errOvertaken
	}
	renewed, err := s.ask(ctx, current, target, refresh)
	if err == nil {
		return s.keep(ctx, renewal{renewed, target, turn})
	}
	defer s.giveBack(ctx, turn)
	switch {
	case errors.Is(err, token.ErrOtherUser):
		s.logger.WarnContext(ctx, "a refresh was answered with an ID token that does not belong to the login; the session was ended")
		return nil, s.finish(ctx, current, EndRefused)
	case errors.Is(err, token.ErrInvalidGrant):
		return nil, s.refused(ctx, current, turn)
	case errors.Is(err, token.ErrInvalidTarget) && !target.IsZero():
		now := s.clock()
		s.refusing.set(targetMark(key, target), now, now.Add(TargetCooldown))
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	}
	s.cool(key)
	return nil, fmt.Errorf("%w: %w", ErrRefreshFailed, err)
}

// ask has an access token for the target renewed.
func (s *Sessions) ask(ctx context.Context, current *Session, target token.Target, refresh Refresh) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, RefreshTimeout)
	defer cancel()
	asked := s.clock().UTC()
	tokens, err := refresh(ctx, current.Tokens, target)
	if err != nil {
		return nil, err
	}
	access, ok := tokens.For(target)
	if !ok || access.Token == "" {
		return nil, errors.New("the answer has no access token")
	}
	if old, had := current.Tokens.For(target); had && old.Token == access.Token && access.ExpiresWithin(asked, 0) {
		return nil, errors.New("the answer has the access token that has expired")
	}
	if access.ObtainedAt.IsZero() {
		access.ObtainedAt = asked
	}
	set := withoutExpired(current.Tokens, asked)
	if tokens.Key != nil {
		set = set.WithKey(tokens.Key)
	}
	set = set.With(target, access)
	if tokens.Refresh != "" {
		set.Refresh = tokens.Refresh
	}
	if tokens.ID != "" {
		set.ID = tokens.ID
	}
	renewed := current.withTokens(set)
	renewed.obtainedAt = asked
	return renewed, nil
}

// withoutExpired leaves out narrowed tokens that have expired: the routes they
// were for may be gone, and the record must not grow.
func withoutExpired(tokens token.Set, now time.Time) token.Set {
	narrowed := maps.Clone(tokens.Narrowed)
	maps.DeleteFunc(narrowed, func(_ string, a token.Access) bool { return a.ExpiresWithin(now, 0) })
	tokens.Narrowed = narrowed
	return tokens
}

// refused ends a session whose refresh token is dead. It returns errOvertaken
// instead when another replica has renewed it, or has the lease now.
func (s *Sessions) refused(ctx context.Context, current *Session, turn *tenure) error {
	for _, wait := range rereads {
		pause(ctx, wait)
		again, err := s.stored(ctx, current.handle)
		if err != nil {
			s.cool(current.handle.key)
			return err
		}
		if again.version != current.version {
			return errOvertaken
		}
	}
	ours, err := turn.holds(ctx)
	if err != nil {
		s.cool(current.handle.key)
		return s.heard(ctx, err)
	}
	if !ours {
		return errOvertaken
	}
	return s.finish(ctx, current, EndRefused)
}

// finish removes a session that nothing can renew, and returns ErrEnded when it
// is gone.
func (s *Sessions) finish(ctx context.Context, sess *Session, why EndReason) error {
	if err := s.remove(ctx, sess.handle.digest, sess.handle.key, why, sess.Tokens); err != nil {
		s.cool(sess.handle.key)
		return err
	}
	return because(ErrEnded, why)
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
