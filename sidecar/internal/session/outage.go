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
	// away is nil while it answers. Its times keep their monotonic reading, so that a
	// clock that is set neither lengthens nor shortens the grace.
	away atomic.Pointer[absence]
	// rest is until when no refresh token is spent after an outage: leases may have
	// run out in it, and whoever had one may hold renewed tokens that it can store
	// only now.
	rest atomic.Pointer[time.Time]
}

// absence is a time in which the store does not answer.
type absence struct {
	// since is when the store was last heard of: what has changed after that may not
	// be known.
	since time.Time
	// noticed is when it did not answer.
	noticed time.Time
}

const (
	// settleAfter is the shortest outage in which a lease may have run out. One that
	// was about to be extended has more than three seconds left; each process notices
	// an outage at its own next call, so this is well below that.
	settleAfter = time.Second
	// settleTime is longer than any replica takes to find the store again (2 s at
	// most between its attempts) and to store what waits (longestRetry).
	settleTime = 3 * time.Second
)

// settles says for how long no refresh token is spent.
func (o *outage) settles(now time.Time) time.Duration {
	if until := o.rest.Load(); until != nil {
		return until.Sub(now)
	}
	return 0
}

// begin notes that the store does not answer, and was not heard of for a time
// before that.
func (o *outage) begin(now time.Time, silence time.Duration) {
	if o.away.Load() == nil {
		o.away.CompareAndSwap(nil, &absence{since: now.Add(-silence), noticed: now})
	}
}

func (o *outage) end(now time.Time) {
	if away := o.away.Load(); away != nil {
		if now.Sub(away.noticed) >= settleAfter {
			until := now.Add(settleTime)
			o.rest.Store(&until)
		}
		o.away.Store(nil)
	}
}

// began says when the store was last heard of, if there is an outage.
func (o *outage) began() (time.Time, bool) {
	if away := o.away.Load(); away != nil {
		return away.since, true
	}
	return time.Time{}, false
}

// heard takes what the store has answered, or that it has not, and returns it as
// an error of this package.
func (s *Sessions) heard(ctx context.Context, err error) error {
	err = fromStore(err)
	if !errors.Is(err, ErrUnavailable) {
		s.outage.end(s.clock())
	} else if ctx.Err() == nil { // otherwise it is the caller who did not wait
		s.outage.begin(s.clock(), 0)
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
