package events

import (
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// notice is how long before its end a page hears that its session is about to
// end.
const notice = time.Minute

// endOf is when a session ends if it is not used again.
func endOf(sess *session.Session) time.Time {
	if sess.IdleExpiresAt.Before(sess.ExpiresAt) {
		return sess.IdleExpiresAt
	}
	return sess.ExpiresAt
}

// plan says whether a page should hear now that its session ends at end, and how
// long it takes until that is to be asked again. warned is the end it has heard
// of last.
func plan(now, end, warned time.Time) (warn bool, wait time.Duration) {
	switch left := end.Sub(now); {
	case left > notice:
		return false, left - notice
	case end.Equal(warned):
		return false, max(left, time.Second) // the store has the last word on the end, and says it soon
	default:
		return true, max(left, time.Second)
	}
}
