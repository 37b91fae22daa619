package session

import (
	"sync"
	"time"
)

// DefaultCacheBytes is how much memory opened sessions may take, about, unless
// Options say so. A session of usual size takes 12 KiB.
const DefaultCacheBytes = 16 << 20

// maxCached bounds the number of opened sessions, however small they are.
const maxCached = 8192

// cache keeps opened sessions by the digest of their cookie, the lately used
// ones when there are too many. It knows nothing of time but what it is told.
//
// What the store says about changes comes at any moment, also while a session is
// being loaded that has just changed. A mark that was taken before the load
// tells.
type cache struct {
	maxBytes int

	mu     sync.Mutex
	byName map[digest]*cached
	ring   cached // next is the one used last, prev the one to go first
	bytes  int
	// epoch counts the times when everything that was known became doubtful.
	epoch uint64
	// changed counts the changes of the sessions whose digest begins with a byte.
	changed [256]uint64
}

// cached is one opened session.
type cached struct {
	session *Session
	epoch   uint64
	// doubted is since when the store could not be asked about a doubtful session.
	doubted time.Time
	// retry is when to ask it again.
	retry time.Time
	// idles is the idle end after uses that the store could not be told of.
	idles time.Time

	prev, next *cached
}

// mark is a moment in the life of a cache.
type mark struct{ epoch, changed uint64 }

func newCache(maxBytes int) *cache {
	c := &cache{maxBytes: maxBytes, byName: make(map[digest]*cached)}
	c.ring.prev, c.ring.next = &c.ring, &c.ring
	return c
}

// mark is to be taken before a session is asked for from the store.
func (c *cache) mark(name digest) mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	return mark{c.epoch, c.changed[name[0]]}
}

// put keeps a session that was loaded after m was taken, unless it may have
// changed since.
func (c *cache) put(sess *Session, m mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := sess.handle.digest
	old, ok := c.byName[name]
	if c.changed[name[0]] != m.changed || ok && old.epoch == m.epoch && old.session.version > sess.version {
		return
	}
	if ok {
		c.remove(old)
	}
	e := &cached{session: sess, epoch: m.epoch}
	c.byName[name] = e
	c.bytes += sess.size
	c.first(e)
	for c.bytes > c.maxBytes || len(c.byName) > maxCached {
		c.remove(c.ring.prev)
	}
}

// get finds a session. It is sure when nobody has cast doubt on it.
func (c *cache) get(name digest) (sess *Session, sure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byName[name]
	if !ok {
		return nil, false
	}
	if c.ring.next != e {
		c.unlink(e)
		c.first(e)
	}
	return e.session, e.epoch == c.epoch
}

// look is what is known of a session that is not sure.
func (c *cache) look(name digest) (known cached, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, found := c.byName[name]; found {
		known, ok = *e, true
		known.prev, known.next = nil, nil
	}
	return known, ok
}

// swap puts a session in the place of the same one with other ends.
func (c *cache) swap(old, sess *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byName[old.handle.digest]; ok && e.session == old {
		e.session = sess
	}
}

// used notes a use that the store knows of.
func (c *cache) used(name digest, idles time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byName[name]; ok {
		later := *e.session
		later.idles = idles
		later.IdleExpiresAt = earlier(later.ExpiresAt, idles)
		e.session = &later
	}
}

// usedMeanwhile notes a use that the store could not be told of.
func (c *cache) usedMeanwhile(name digest, idles time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byName[name]; ok {
		e.idles = idles
	}
}

// unanswered notes that the store could not be asked about a session, in an
// outage that has lasted since a time, and returns since when that is so for
// this session. Of a session that is sure there is nothing to note: it may be
// sure for hours yet, and an outage after that is another one.
func (c *cache) unanswered(name digest, since time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byName[name]
	if !ok || e.epoch == c.epoch {
		return since
	}
	if e.doubted.IsZero() {
		e.doubted = since
	}
	return e.doubted
}

// rests says whether the store has failed to answer about a session a moment
// ago. When it says no the caller has to ask, and it says yes to others until
// retry.
func (c *cache) rests(name digest, now, retry time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byName[name]
	if !ok || e.doubted.IsZero() {
		return false
	}
	if now.Before(e.retry) {
		return true
	}
	e.retry = retry
	return false
}

// drop forgets a session that has changed.
func (c *cache) drop(name digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed[name[0]]++
	if e, ok := c.byName[name]; ok {
		c.remove(e)
	}
}

// doubt makes every session one that the store must be asked about.
func (c *cache) doubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
}

func (c *cache) first(e *cached) {
	e.prev, e.next = &c.ring, c.ring.next
	e.prev.next, e.next.prev = e, e
}

func (c *cache) unlink(e *cached) { e.prev.next, e.next.prev = e.next, e.prev }

func (c *cache) remove(e *cached) {
	c.unlink(e)
	delete(c.byName, e.session.handle.digest)
	c.bytes -= e.session.size
}
