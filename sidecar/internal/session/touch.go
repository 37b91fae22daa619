package session

import (
	"context"
	"fmt"
	"time"
)

// touchShare is the part of the idle timeout that may pass before a use is
// written again.
const touchShare = 10

// Touch counts as a use of the session: its idle timeout starts again. It is
// written at most once in a tenth of the idle timeout, so a session may end that
// much earlier than its last use says. It returns ErrNone or ErrUnavailable.
func (s *Sessions) Touch(ctx context.Context, sess *Session) error {
	idle, now := s.limits().IdleTimeout, s.clock()
	if usedLately(sess, now, idle) || !s.touched.set(sess.handle.key, now, now.Add(idle/touchShare)) {
		return nil
	}
	if err := s.store.Touch(ctx, sess.handle.key, idle); err != nil {
		s.touched.clear(sess.handle.key)
		return fmt.Errorf("touch session: %w", fromStore(err))
	}
	return nil
}

// usedLately says whether the store knew of a use within a tenth of the idle
// timeout, by any replica, when the session was found.
func usedLately(sess *Session, now time.Time, idle time.Duration) bool {
	if sess.IdleExpiresAt.Equal(sess.ExpiresAt) {
		return false // cut short by the session's life: it does not tell the last use
	}
	left := sess.IdleExpiresAt.Sub(now)
	// More than idle is left when the policy's timeout was shortened: the use to
	// write is the one that makes that count.
	return left <= idle && left > idle-idle/touchShare
}
