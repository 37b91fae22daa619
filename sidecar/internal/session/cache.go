package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// DefaultCacheBytes is how much memory opened sessions may take, about, unless
// Options say so. A session with 3 KiB of tokens takes 5 KiB.
const DefaultCacheBytes = 16 << 20

// maxCached bounds the number of opened sessions, however small they are.
const maxCached = 8192

const (
	// shardCount is how many parts the cache has. Each has a lock of its own, which
	// is held for a few instructions.
	shardCount = 16
	// changeBuckets is how many counters of changes a part has.
	changeBuckets = 256
)

// cache keeps opened sessions by the digest of their cookie, the lately used
// ones when there are too many. It knows nothing of time but what it is told.
//
// What the store says about changes comes at any moment, also while a session is
// being loaded that has just changed. A mark that was taken before the load
// tells.
type cache struct {
	maxBytes int64
	shards   [shardCount]shard

	// Of all shards together: the bounds are the whole's, however uneven they fill.
	bytes atomic.Int64
	count atomic.Int64
	// puts counts the sessions that were put here. It is what time is made of: when
	// something has to go it is what was not used for the most puts.
	puts atomic.Uint64
	// epoch counts the times when everything that was known became doubtful.
	epoch atomic.Uint64

	trimming sync.Mutex // one at a time, so that no more goes than has to
}

// shard is the part of a cache that has the digests with one first byte, modulo
// shardCount.
type shard struct {
	mu     sync.Mutex
	byName map[digest]*cached
	ring   cached // next is the one used last, prev the one to go first
	// changed counts the changes of the sessions whose digest has the same second
	// byte.
	changed [changeBuckets]uint32
}

// cached is one opened session.
type cached struct {
	session *Session
	epoch   uint64
	used    uint64 // how many puts there had been
	// doubted is since when the store could not be asked about a doubtful session.
	doubted time.Time
	// retry is when to ask it again.
	retry time.Time
	// idles is the idle end after uses that the store could not be told of.
	idles time.Time

	prev, next *cached
}

// mark is a moment in the life of a cache.
type mark struct {
	epoch   uint64
	changed uint32
}

func newCache(maxBytes int) *cache {
	c := &cache{maxBytes: int64(maxBytes)}
	for i := range c.shards {
		s := &c.shards[i]
		s.byName = make(map[digest]*cached)
		s.ring.prev, s.ring.next = &s.ring, &s.ring
	}
	return c
}

func (c *cache) shardOf(name digest) *shard { return &c.shards[name[0]%shardCount] }

func (s *shard) changesOf(name digest) *uint32 { return &s.changed[name[1]] }

// mark is to be taken before a session is asked for from the store.
func (c *cache) mark(name digest) mark {
	s := c.shardOf(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return mark{c.epoch.Load(), *s.changesOf(name)}
}

// put keeps a session that was loaded after m was taken, unless it may have
// changed since.
func (c *cache) put(sess *Session, m mark) {
	if c.insert(sess, m) {
		c.trim()
	}
}

func (c *cache) insert(sess *Session, m mark) bool {
	name := sess.handle.digest
	s := c.shardOf(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.byName[name]
	if *s.changesOf(name) != m.changed || ok && old.epoch == m.epoch && old.session.version > sess.version {
		return false
	}
	if ok {
		c.remove(s, old)
	}
	e := &cached{session: sess, epoch: m.epoch, used: c.puts.Add(1)}
	s.byName[name] = e
	s.first(e)
	c.bytes.Add(int64(sess.size))
	c.count.Add(1)
	return true
}

// trim removes what was not used for longest until the bounds are kept.
func (c *cache) trim() {
	if !c.isOver() {
		return
	}
	c.trimming.Lock()
	defer c.trimming.Unlock()
	for c.isOver() {
		var from *shard
		var longest uint64
		for i := range c.shards {
			if used, ok := c.shards[i].oldest(); ok && (from == nil || used < longest) {
				from, longest = &c.shards[i], used
			}
		}
		if from == nil {
			return
		}
		from.mu.Lock()
		if e := from.ring.prev; e != &from.ring {
			c.remove(from, e)
		}
		from.mu.Unlock()
	}
}

func (c *cache) isOver() bool { return c.bytes.Load() > c.maxBytes || c.count.Load() > maxCached }

// oldest says when the session was used that is the first to go.
func (s *shard) oldest() (used uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.ring.prev
	return e.used, e != &s.ring
}

// get finds a session. It is sure when nobody has cast doubt on it.
func (c *cache) get(name digest) (sess *Session, sure bool) {
	s := c.shardOf(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byName[name]
	if !ok {
		return nil, false
	}
	e.used = c.puts.Load()
	if s.ring.next != e {
		e.unlink()
		s.first(e)
	}
	return e.session, e.epoch == c.epoch.Load()
}

// look is what is known of a session that is not sure.
func (c *cache) look(name digest) (known cached, ok bool) {
	s := c.shardOf(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, found := s.byName[name]; found {
		known, ok = *e, true
		known.prev, known.next = nil, nil
	}
	return known, ok
}

// drop forgets a session that has changed.
func (c *cache) drop(name digest) {
	s := c.shardOf(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.changesOf(name)++
	if e, ok := s.byName[name]; ok {
		c.remove(s, e)
	}
}

// doubt makes every session one that the store must be asked about.
func (c *cache) doubt() { c.epoch.Add(1) }

// remove takes an entry out of its shard, whose lock is held.
func (c *cache) remove(s *shard, e *cached) {
	e.unlink()
	delete(s.byName, e.session.handle.digest)
	c.bytes.Add(-int64(e.session.size))
	c.count.Add(-1)
}

func (s *shard) first(e *cached) {
	e.prev, e.next = &s.ring, s.ring.next
	e.prev.next, e.next.prev = e, e
}

func (e *cached) unlink() { e.prev.next, e.next.prev = e.next, e.prev }
