package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// touchShare is the part of the idle timeout that may pass before a use is
// written again.
const touchShare = 10

// Touch counts as a use of the session: its idle timeout starts again. Each
// replica writes it at most once in a tenth of the idle timeout, so a session
// may end that much earlier than its last use says. It returns ErrNone or
// ErrUnavailable; a store that does not answer is no error while the session
// goes on without it (see Find).
func (s *Sessions) Touch(ctx context.Context, sess *Session) error {
	idle, now := s.limits().IdleTimeout, s.clock()
	if s.useIsKnown(sess, now, idle) || !s.touched.set(sess.handle.key, now, now.Add(idle/touchShare)) {
		return nil
	}
	err := s.heard(ctx, s.store.Touch(ctx, sess.handle.key, idle))
	switch {
	case err == nil:
		s.cache.used(sess.handle.digest, now.Add(idle))
		return nil
	case errors.Is(err, ErrUnavailable):
		s.touched.move(sess.handle.key, now.Add(min(idle/touchShare, askAgain)))
		if s.graced(s.known(sess.handle), now) {
			s.cache.usedMeanwhile(sess.handle.digest, now.Add(idle))
			return nil
		}
	default:
		s.touched.clear(sess.handle.key)
		s.cache.drop(sess.handle.digest)
		if _, why := s.stored(ctx, sess.handle); errors.Is(why, ErrNone) {
			err = why
		}
	}
	return fmt.Errorf("touch session: %w", err)
}

// usedLately says whether a use within a tenth of the idle timeout is known when
// the session was found.
func usedLately(sess *Session, now time.Time, idle time.Duration) bool {
	ends := sess.IdleExpiresAt
	if ends.Equal(sess.ExpiresAt) {
		// Cut short by the session's life: it does not tell the last use. What this
		// process has written is not cut short.
		if ends = sess.idles; !ends.After(sess.ExpiresAt) {
			return false
		}
	}
	left := ends.Sub(now)
	// More than idle is left when the policy's timeout was shortened: the use to
	// write is the one that makes that count.
	return left <= idle && left > idle-idle/touchShare
}
