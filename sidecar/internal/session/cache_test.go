package session

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func cachedSession(n, size int) *Session {
	return &Session{handle: handle{digest: digestOf(fmt.Sprint(n))}, version: 1, size: size}
}

// content counts what is there, and checks that the books agree.
func (c *cache) content(t *testing.T) (n, bytes int) {
	t.Helper()
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		listed := 0
		for e := s.ring.next; e != &s.ring; e = e.next {
			listed++
			bytes += e.session.size
			if s.byName[e.session.handle.digest] != e {
				t.Error("a session is in the list and not in the map")
			}
		}
		if listed != len(s.byName) {
			t.Errorf("%d sessions are in the list and %d in the map", listed, len(s.byName))
		}
		n += listed
		s.mu.Unlock()
	}
	if int(c.count.Load()) != n || int(c.bytes.Load()) != bytes {
		t.Errorf("there are %d sessions of %d bytes, and %d of %d are counted", n, bytes, c.count.Load(), c.bytes.Load())
	}
	return n, bytes
}

func (c *cache) fill(sess *Session) { c.put(sess, c.mark(sess.handle.digest)) }

// However many sessions there are and however large, what is kept is bounded,
// and it is what was used last.
func TestCacheIsBounded(t *testing.T) {
	for name, row := range map[string]struct{ bytes, size, want int }{
		"by bytes": {1000, 10, 100},
		"by count": {1 << 30, 1, maxCached},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(row.bytes)
			first := cachedSession(0, row.size)
			c.fill(first)
			for i := 1; i <= 2*row.want; i++ {
				c.fill(cachedSession(i, row.size))
				if got, _ := c.get(first.handle.digest); got != first {
					t.Fatalf("what is used all the time is gone after %d others", i)
				}
				if n, bytes := c.count.Load(), c.bytes.Load(); n != int64(min(i+1, row.want)) || bytes != n*int64(row.size) {
					t.Fatalf("%d sessions of %d bytes", n, bytes)
				}
			}
			c.content(t)
			if got, _ := c.get(cachedSession(row.want, row.size).handle.digest); got != nil {
				t.Error("what was not used for longest is still there")
			}
		})
	}
	c := newCache(100)
	c.fill(cachedSession(1, 60))
	c.fill(cachedSession(1, 90)) // it has grown
	if n, bytes := c.content(t); bytes != 90 || n != 1 {
		t.Errorf("%d sessions of %d bytes", n, bytes)
	}
	c.fill(cachedSession(2, 101))
	if n, bytes := c.content(t); n != 0 || bytes != 0 {
		t.Errorf("%d sessions of %d bytes, after one that is larger than all there is", n, bytes)
	}
}

// A session that changes while it is loaded is not kept: what was loaded may be
// from before.
func TestCacheTakesNothingStale(t *testing.T) {
	c := newCache(1000)
	s := cachedSession(1, 10)
	name := s.handle.digest

	m := c.mark(name)
	c.drop(name)
	c.put(s, m)
	if got, _ := c.get(name); got != nil {
		t.Error("a session was kept that has changed meanwhile")
	}

	m = c.mark(name)
	c.doubt()
	c.put(s, m)
	if got, sure := c.get(name); got != s || sure {
		t.Error("a session is believed that was loaded before all became doubtful")
	}
	c.fill(s)
	if _, sure := c.get(name); !sure {
		t.Error("a session that was loaded since is not believed")
	}

	// Of two loads that overtake each other the later state stays.
	newer := cachedSession(1, 10)
	newer.version = 2
	c.fill(newer)
	c.fill(s)
	if got, _ := c.get(name); got != newer {
		t.Error("an older state replaced a newer one")
	}
	c.doubt()
	c.fill(s) // unless the newer one is doubtful: a store may have lost it
	if got, _ := c.get(name); got != s {
		t.Error("a doubtful state was kept in the place of one that is not")
	}
	c.drop(name)
	if got, _ := c.get(name); got != nil || c.bytes.Load() != 0 {
		t.Error("a dropped session is there")
	}
}

func TestCacheRemembersTheOutage(t *testing.T) {
	c := newCache(1000)
	s := cachedSession(1, 10)
	name := s.handle.digest
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	c.fill(s)
	if got := c.unanswered(name, at(-60)); got != at(-60) {
		t.Errorf("in doubt since %s", got)
	}
	c.doubt()
	if c.rests(name, at(5), at(6)) {
		t.Error("a session rests about which the store was not asked")
	}
	if got := c.unanswered(name, at(0)); got != at(0) {
		t.Errorf("in doubt since %s", got)
	}
	if got := c.unanswered(name, at(9)); got != at(0) { // another session was answered in between
		t.Errorf("in doubt since %s", got)
	}
	if c.rests(name, at(10), at(20)) || !c.rests(name, at(19), at(29)) || c.rests(name, at(20), at(30)) || !c.rests(name, at(21), at(31)) {
		t.Error("not one asks in ten seconds")
	}
	c.fill(s)
	c.doubt()
	if got := c.unanswered(name, at(40)); got != at(40) {
		t.Errorf("in doubt since %s, though the store has answered", got)
	}
	if got := c.unanswered(digest{}, at(50)); got != at(50) || c.rests(digest{}, at(50), at(51)) {
		t.Error("a session that is not there rests")
	}
}

// Whatever happens at once, the bounds are kept when it is over, no more was
// thrown out than had to be, and what changed last is not there.
func TestCacheAtOnce(t *testing.T) {
	const size, room, names = 10, 200, 400
	c := newCache(room * size)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 5000 {
				s := cachedSession(random.IntN(names), size)
				name := s.handle.digest
				switch random.IntN(20) {
				case 0:
					c.drop(name)
				case 1:
					c.doubt()
				case 2:
					c.used(name, time.Now())
				case 3:
					c.unanswered(name, time.Now())
					c.rests(name, time.Now(), time.Now())
				case 4, 5, 6, 7:
					c.fill(s)
				default:
					if got, _ := c.get(name); got != nil && got.handle.digest != name {
						t.Error("another session was found")
					}
				}
			}
		})
	}
	group.Wait()
	if n, bytes := c.content(t); n > room || bytes > room*size {
		t.Errorf("%d sessions of %d bytes are there, more than may be", n, bytes)
	}
	for i := range names {
		c.fill(cachedSession(i, size))
	}
	if n, _ := c.content(t); n != room {
		t.Errorf("%d sessions are there, and there is room for %d", n, room)
	}
	for i := range names {
		c.drop(cachedSession(i, size).handle.digest)
	}
	if n, _ := c.content(t); n != 0 {
		t.Errorf("%d of the sessions that changed are there", n)
	}
}

// What is thrown out is what was not used for longest, in whichever shard it is.
func TestCacheThrowsOutTheOldest(t *testing.T) {
	const size, room = 10, 100
	c := newCache(room * size)
	passing := cachedSession(-1, 0)
	for i := range room {
		c.fill(cachedSession(i, size))
	}
	for i := range room { // used in the other order, while others come and go
		name := cachedSession(room-1-i, size).handle.digest
		if got, _ := c.get(name); got == nil {
			t.Fatalf("session %d is gone", room-1-i)
		}
		c.fill(passing)
		c.drop(passing.handle.digest)
	}
	for i := range room {
		c.fill(cachedSession(room+i, size))
		if got := c.has(cachedSession(room-1-i, size)); got {
			t.Fatalf("after %d others the one that was not used for longest is there", i+1)
		}
		if i < room-1 && !c.has(cachedSession(room-2-i, size)) {
			t.Fatalf("after %d others one is gone that was used later", i+1)
		}
	}
}

// has says whether a session is there, which is no use of it.
func (c *cache) has(sess *Session) bool {
	_, ok := c.look(sess.handle.digest)
	return ok
}
