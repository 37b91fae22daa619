package session

import (
	"fmt"
	"testing"
	"time"
)

func cachedSession(n, size int) *Session {
	return &Session{handle: handle{digest: digestOf(fmt.Sprint(n))}, version: 1, size: size}
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
				if len(c.byName) > row.want || c.bytes != len(c.byName)*row.size {
					t.Fatalf("%d sessions of %d bytes", len(c.byName), c.bytes)
				}
			}
			if got, _ := c.get(cachedSession(row.want, row.size).handle.digest); got != nil {
				t.Error("what was not used for longest is still there")
			}
		})
	}
	c := newCache(100)
	c.fill(cachedSession(1, 60))
	c.fill(cachedSession(1, 90)) // it has grown
	if c.bytes != 90 || len(c.byName) != 1 {
		t.Errorf("%d sessions of %d bytes", len(c.byName), c.bytes)
	}
	c.fill(cachedSession(2, 101))
	if len(c.byName) != 0 || c.bytes != 0 {
		t.Errorf("%d sessions of %d bytes, after one that is larger than all there is", len(c.byName), c.bytes)
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
	if got, _ := c.get(name); got != nil || c.bytes != 0 {
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
