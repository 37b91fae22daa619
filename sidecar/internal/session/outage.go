package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// askAgain is how often the store is asked about one session, and told of its
// use, while it does not answer.
const askAgain = time.Second

// outage is whether the store answers.
type outage struct {
	since atomic.Int64 // in nanoseconds, 0 while it answers
}

func (o *outage) begin(now time.Time) { o.since.CompareAndSwap(0, now.UnixNano()) }

func (o *outage) end() {
	if o.since.Load() != 0 {
		o.since.Store(0)
	}
}

// began says when the outage began, if there is one.
func (o *outage) began() (time.Time, bool) {
	since := o.since.Load()
	return time.Unix(0, since), since != 0
}

// heard takes what the store has answered, or that it has not, and returns it as
// an error of this package.
func (s *Sessions) heard(ctx context.Context, err error) error {
	err = fromStore(err)
	if !errors.Is(err, ErrUnavailable) {
		s.outage.end()
	} else if ctx.Err() == nil { // otherwise it is the caller who did not wait
		s.outage.begin(s.clock())
	}
	return err
}

// graced says whether a session that the store could not be asked about may go
// on: for Limits.OutageGrace, and never past an end that is known.
func (s *Sessions) graced(known cached, now time.Time) bool {
	if !known.lives(now) {
		return false
	}
	since, ok := s.outage.began()
	if !ok {
		since = now
	}
	since = s.cache.unanswered(known.session.handle.digest, since)
	return now.Sub(since) < s.limits().OutageGrace
}

// rests says whether a session goes on without asking the store once more, which
// has failed to answer about it a moment ago.
func (s *Sessions) rests(known cached, now time.Time) bool {
	_, out := s.outage.began()
	return out && known.lives(now) && now.Sub(known.doubted) < s.limits().OutageGrace &&
		s.cache.rests(known.session.handle.digest, now, now.Add(askAgain))
}

// lives says whether none of a session's known ends has come.
func (c cached) lives(now time.Time) bool {
	return c.session != nil && now.Before(c.session.ExpiresAt) && (now.Before(c.session.IdleExpiresAt) || now.Before(c.idles))
}
