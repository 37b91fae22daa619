package session

import "time"

// What is noted about a session that is in the cache, beside the session.

// entry calls do with a session's entry, if there is one.
func (c *cache) entry(name digest, do func(*cached)) {
	s := c.shardOf(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.byName[name]; ok {
		do(e)
	}
}

// swap puts a session in the place of the same one with other ends.
func (c *cache) swap(old, sess *Session) {
	c.entry(old.handle.digest, func(e *cached) {
		if e.session == old {
			e.session = sess
		}
	})
}

// used notes a use that the store knows of.
func (c *cache) used(name digest, idles time.Time) {
	c.entry(name, func(e *cached) {
		later := *e.session
		later.idles = idles
		later.IdleExpiresAt = earlier(later.ExpiresAt, idles)
		e.session = &later
	})
}

// usedMeanwhile notes a use that the store could not be told of.
func (c *cache) usedMeanwhile(name digest, idles time.Time) {
	c.entry(name, func(e *cached) { e.idles = idles })
}

// unanswered notes that the store could not be asked about a session, in an
// outage that has lasted since a time, and returns since when that is so for
// this session. Of a session that is sure there is nothing to note: it may be
// sure for hours yet, and an outage after that is another one.
func (c *cache) unanswered(name digest, since time.Time) time.Time {
	c.entry(name, func(e *cached) {
		if e.epoch == c.epoch.Load() {
			return
		}
		if e.doubted.IsZero() {
			e.doubted = since
		}
		since = e.doubted
	})
	return since
}

// rests says whether the store has failed to answer about a session a moment
// ago. When it says no the caller has to ask, and it says yes to others until
// retry.
func (c *cache) rests(name digest, now, retry time.Time) (rests bool) {
	c.entry(name, func(e *cached) {
		switch {
		case e.doubted.IsZero():
		case now.Before(e.retry):
			rests = true
		default:
			e.retry = retry
		}
	})
	return rests
}
