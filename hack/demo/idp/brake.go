package idp

import (
	"sync"
	"time"
)

// Guessing passwords is slowed down per user: after so many failures in a window even the right password is refused
// until the window has passed.
const (
	maxFailures   = 10
	failureWindow = time.Minute
)

// brake counts failed logins. Its memory is bounded by the number of users: all unknown names count as one.
type brake struct {
	now func() time.Time

	mu       sync.Mutex
	failures map[string]failures // by known username, "" for all others
}

type failures struct {
	count int
	since time.Time
}

func newBrake(now func() time.Time) *brake {
	return &brake{now: now, failures: map[string]failures{}}
}

// try runs the check unless the user has failed too often, and counts its outcome. The check runs under the lock, so
// that attempts in parallel gain nothing.
func (b *brake) try(user string, check func() bool) (ok, braked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	f := b.failures[user]
	if now.Sub(f.since) >= failureWindow {
		f = failures{since: now}
	}
	if f.count >= maxFailures {
		return false, true
	}
	if check() {
		delete(b.failures, user)
		return true, false
	}
	f.count++
	b.failures[user] = f
	return false, false
}
