package session

import (
	"context"
	"errors"
	"fmt"
)

// Find returns the session a cookie value names. Finding is not using: it does
// not extend the session. It returns ErrNone, ErrUnavailable or ErrUnreadable.
//
// A session that was found lately is not looked up again until the store says
// that it has changed, or that changes may have been missed. While the store
// does not answer such a session goes on for Limits.OutageGrace. When its idle
// time seems to be over the store is always asked, since another replica may
// have seen it used.
func (s *Sessions) Find(ctx context.Context, cookieValue string) (*Session, error) {
	if len(cookieValue) == valueSize {
		if sess := s.sure(digestOf(cookieValue)); sess != nil {
			return sess, nil
		}
	}
	h, ok := s.keys.handle(cookieValue)
	if !ok {
		return nil, fmt.Errorf("find session: %w", ErrNone)
	}
	sess, _, err := s.find(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("find session: %w", err)
	}
	return sess, nil
}

// sure returns a session about which the store need not be asked, or nil.
func (s *Sessions) sure(name digest) *Session {
	// A ring that changed opens other records: a key may have been taken out of it
	// for a reason.
	if ring := s.ring(); s.ringSeen.Load() != ring {
		s.ringSeen.Store(ring)
		s.cache.doubt()
	}
	sess, sure := s.cache.get(name)
	if !sure {
		return nil
	}
	limited := sess.within(s.limits().Lifetime)
	if limited != sess {
		s.cache.swap(sess, limited)
	}
	if !s.clock().Before(limited.IdleExpiresAt) {
		return nil
	}
	return s.pending.over(limited)
}

// find returns a session: the store's, with the tokens that this process has
// renewed but could not store yet. It is certain unless it is from memory, where
// the store could not be asked about it.
func (s *Sessions) find(ctx context.Context, h handle) (sess *Session, certain bool, err error) {
	if sess := s.sure(h.digest); sess != nil {
		return sess, true, nil
	}
	known := s.known(h)
	now := s.clock()
	if known.session != nil && !now.Before(known.session.ExpiresAt) {
		s.cache.drop(h.digest)
		return nil, false, because(ErrNone, EndExpired)
	}
	if s.rests(known, now) {
		return known.session, false, nil
	}
	sess, err = s.stored(ctx, h)
	switch {
	case err == nil:
		return s.pending.over(sess), true, nil
	case errors.Is(err, ErrUnavailable) && s.graced(known, s.clock()):
		return known.session, false, nil
	case errors.Is(err, ErrNone) && ReasonOf(err) == EndUnknown && known.session != nil && !now.Before(known.session.IdleExpiresAt):
		return nil, false, because(ErrNone, EndExpired)
	}
	return nil, false, err
}

// known is what this process knows of a session that it is not sure of.
func (s *Sessions) known(h handle) cached {
	known, ok := s.cache.look(h.digest)
	if ok {
		known.session = s.pending.over(known.session.within(s.limits().Lifetime))
	}
	return known
}

// stored reads a session as the store has it, and keeps it in the cache.
func (s *Sessions) stored(ctx context.Context, h handle) (*Session, error) {
	m := s.cache.mark(h.digest)
	entry, err := s.store.Load(ctx, h.key)
	if err := s.heard(ctx, err); err != nil {
		if errors.Is(err, ErrNone) {
			s.cache.drop(h.digest)
		}
		return nil, err
	}
	sess, err := h.open(s.ring(), entry)
	if err != nil {
		return nil, err
	}
	now := s.clock()
	sess.idles = now.Add(entry.IdleLeft)
	sess = sess.within(s.limits().Lifetime)
	if !now.Before(sess.ExpiresAt) {
		return nil, because(ErrNone, EndExpired)
	}
	s.cache.put(sess, m)
	return sess, nil
}
