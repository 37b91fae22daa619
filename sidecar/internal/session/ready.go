package session

import (
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Ready returns the session of a cookie's value if a call can use it at once: it
// is in memory and sure, its use was written lately, and its access token for
// the target, if one is needed, is good for some time. Then Find would return
// it, and Touch and Refreshed would do nothing. Ready asks, writes and starts
// nothing, takes no lock that others hold for long, and allocates nothing. When
// it is not ok nothing is said about the session: ask Find.
func (s *Sessions) Ready(cookieValue string, target token.Target, needsToken bool) (*Session, bool) {
	if len(cookieValue) != valueSize || s.ringSeen.Load() != s.ring() {
		return nil, false
	}
	sess, sure := s.cache.get(digestOf(cookieValue))
	if !sure {
		return nil, false
	}
	now, limits := s.clock(), s.limits()
	if sess.within(limits.Lifetime) != sess || !now.Before(sess.IdleExpiresAt) || s.pending.over(sess) != sess {
		return nil, false
	}
	if !s.useIsKnown(sess, now, limits.IdleTimeout) {
		return nil, false
	}
	if needsToken && (want{target: target}).need(sess.Tokens, now, s.late(sess.handle.key)) != needNothing {
		return nil, false
	}
	return sess, true
}

// useIsKnown says whether a use of the session now need not be written.
func (s *Sessions) useIsKnown(sess *Session, now time.Time, idle time.Duration) bool {
	return usedLately(sess, now, idle) || s.touched.holds(sess.handle.key, now)
}
