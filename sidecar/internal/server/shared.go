package server

import "sync/atomic"

// counted is something that several hold and that is closed when the last one
// has released it.
type counted struct {
	holders atomic.Int64
	closed  func()
}

// newCounted makes one with a single holder.
func newCounted(closed func()) *counted {
	c := &counted{closed: closed}
	c.holders.Store(1)
	return c
}

// retain adds a holder, unless there is none left.
func (c *counted) retain() bool {
	for {
		n := c.holders.Load()
		if n == 0 {
			return false
		}
		if c.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release takes a holder away.
func (c *counted) release() {
	if c.holders.Add(-1) == 0 {
		c.closed()
	}
}
