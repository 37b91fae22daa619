package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// maxWrites bounds how often a write is tried against other writers.
const maxWrites = 4

// renewal is a session with renewed tokens that are to be stored.
type renewal struct {
	session *Session
	target  token.Target // what was renewed
	turn    *tenure
}

// keep stores a renewed session. The provider may have spent the old refresh
// token already: when the store cannot be reached, the session goes on from
// memory and is stored as soon as that is possible. The lease is held until then.
func (s *Sessions) keep(ctx context.Context, r renewal) (*Session, error) {
	kept, err := s.write(ctx, r)
	if mayPass(err) {
		s.storeLater(ctx, r, err)
		return r.session, nil
	}
	s.giveBack(ctx, r.turn)
	if err == nil {
		// Reading it has the store tell of later changes, and it stays in memory should
		// the store go away.
		if kept, err = s.reread(ctx, kept); err == nil {
			return kept, nil
		}
	}
	if errors.Is(err, ErrNone) {
		s.forget(r.session.handle.key)
		s.discard(ctx, r.session.Tokens)
		return nil, err
	}
	s.cool(r.session.handle.key)
	s.logger.ErrorContext(ctx, "renewed tokens cannot be stored; the session may have to log in again", "cause", err)
	return nil, err
}

// reread reads a session that was stored a moment ago. It returns the session
// itself when it cannot be read just now, and ErrNone when it is gone.
func (s *Sessions) reread(ctx context.Context, kept *Session) (*Session, error) {
	again, err := s.stored(ctx, kept.handle)
	if mayPass(err) {
		return kept, nil
	}
	return again, err
}

// mayPass says whether a write may succeed later: the store or the key ring may
// come back.
func mayPass(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnreadable)
}

// write replaces a session's record, if nobody has changed it and nobody has
// taken the lease over. It returns the session as it is stored then. It returns
// ErrNone, ErrUnavailable, ErrUnreadable or ErrTooLarge.
//
// Who has lost the lease, because it stood still for too long, has been given
// tokens all the same, and the refresh token in the store may be spent. Nobody
// else has them, so they are stored unless somebody has stored others since. The
// one who has the lease then finds them, or puts its own, later ones on top.
func (s *Sessions) write(ctx context.Context, r renewal) (*Session, error) {
	renewed, fence := r.session, &r.turn.lease
	for range maxWrites {
		entry, err := renewed.seal(s.ring())
		if errors.Is(err, ErrTooLarge) && len(renewed.Tokens.Narrowed) > 0 {
			renewed = withoutOthers(renewed, r.target)
			entry, err = renewed.seal(s.ring())
		}
		if err != nil {
			return nil, err
		}
		err = s.heard(ctx, s.store.Replace(ctx, renewed.handle.key, entry, fence))
		if err == nil {
			s.cache.drop(renewed.handle.digest)
			kept := *renewed
			kept.version++
			return &kept, nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, ErrNone) {
			return nil, err
		}
		stored, err := s.stored(ctx, renewed.handle) // which also says why it has ended
		if err != nil {
			return nil, err
		}
		if stored.version == renewed.version {
			fence = nil
			continue
		}
		if !laterThan(renewed.Tokens, stored.Tokens, r.target) {
			return stored, nil // somebody else's, or ours whose answer was lost
		}
		renewed = onTop(stored, renewed, r.target)
	}
	return nil, fmt.Errorf("%w: it was changed again and again", ErrUnavailable)
}

// withoutOthers leaves out the narrowed tokens for other targets. They can be had
// again; the refresh token cannot.
func withoutOthers(renewed *Session, target token.Target) *Session {
	access, _ := renewed.Tokens.For(target)
	slim := renewed.Tokens
	slim.Narrowed = nil
	return renewed.withTokens(slim.With(target, access))
}

func laterThan(ours, stored token.Set, target token.Target) bool {
	our, _ := ours.For(target)
	other, ok := stored.For(target)
	return !ok || our.ObtainedAt.After(other.ObtainedAt)
}

// onTop puts what was renewed on a session that was changed meanwhile.
func onTop(stored, renewed *Session, target token.Target) *Session {
	access, _ := renewed.Tokens.For(target)
	tokens, obtainedAt := stored.Tokens, stored.obtainedAt
	if renewed.obtainedAt.After(obtainedAt) {
		tokens = tokens.WithKey(renewed.Tokens.Key)
		tokens.Refresh, tokens.ID = renewed.Tokens.Refresh, renewed.Tokens.ID
		obtainedAt = renewed.obtainedAt
	}
	next := stored.withTokens(tokens.With(target, access))
	next.obtainedAt = obtainedAt
	return next
}
