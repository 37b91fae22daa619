package lane

import (
	"context"
	"sync"
	"time"
)

// connContext is the context of all requests of a connection: it ends when the
// client has gone away. It is an upstream.Canceler.
type connContext struct {
	done chan struct{}

	mu    sync.Mutex
	ended bool
	tell  func()
}

func newConnContext() *connContext { return &connContext{done: make(chan struct{})} }

// Deadline implements context.Context.
func (*connContext) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *connContext) Done() <-chan struct{} { return c.done }

// Err implements context.Context.
func (c *connContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context.
func (*connContext) Value(any) any { return nil }

// OnCancel implements upstream.Canceler.
func (c *connContext) OnCancel(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell = f
	if c.ended && f != nil {
		f()
	}
}

func (c *connContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	close(c.done)
	if c.tell != nil {
		c.tell()
	}
}
