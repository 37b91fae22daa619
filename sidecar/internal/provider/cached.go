package provider

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// maxAge is how old metadata and keys may get before they are fetched again.
	maxAge = time.Hour
	// After a failure nothing is fetched for firstPause, and twice as long after
	// each further one, up to longestPause.
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// cached is a document that is fetched when it is first needed and kept when
// it cannot be fetched again. Any number of callers make one fetch.
type cached[T any] struct {
	fetch func(context.Context) (T, error)
	clock func() time.Time

	flight singleflight.Group
	state  atomic.Pointer[state[T]]
}

// state is what is known of a document. It is replaced, never changed.
type state[T any] struct {
	value     T
	known     bool
	fetchedAt time.Time

	// After a failure only.
	err      error
	pause    time.Duration
	notUntil time.Time
}

func newCached[T any](clock func() time.Time, fetch func(context.Context) (T, error)) *cached[T] {
	c := &cached[T]{fetch: fetch, clock: clock}
	c.state.Store(&state[T]{})
	return c
}

// get returns the document. It fetches it if there is none or if it is older
// than maxAge, and returns the old one if that fails or ctx ends first.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	s := c.state.Load()
	if s.known && c.clock().Sub(s.fetchedAt) < maxAge {
		return s.value, nil
	}
	return c.fetched(ctx, s)
}

// peek returns the document if there is one, without a call.
func (c *cached[T]) peek() (T, bool) {
	s := c.state.Load()
	return s.value, s.known
}

// renewed returns the document, fetched again because what it holds was not
// enough. Who has used up its allowance gets what is there. current says
// whether the last fetch succeeded: if not, there may be more to know.
func (c *cached[T]) renewed(ctx context.Context, a *allowance) (value T, current bool, err error) {
	s := c.state.Load()
	if !s.known || a.take(c.clock()) {
		if value, err = c.fetched(ctx, s); err != nil {
			return value, false, err
		}
		s = c.state.Load()
	}
	return s.value, s.err == nil && ctx.Err() == nil, nil
}

func (c *cached[T]) fetched(ctx context.Context, seen *state[T]) (T, error) {
	if !c.clock().Before(seen.notUntil) {
		// The fetch serves every caller, so that it must not end with one of them.
		// The HTTP client's time-out bounds it.
		detached := context.WithoutCancel(ctx)
		done := c.flight.DoChan("", func() (any, error) {
			if c.state.Load() == seen { // else somebody was faster
				c.state.Store(c.next(detached, seen))
			}
			return nil, nil
		})
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	s := c.state.Load()
	switch {
	case s.known:
		return s.value, nil
	case s.err != nil:
		return s.value, s.err
	}
	return s.value, failure("wait for the identity provider", ReasonUnreachable, context.Cause(ctx))
}

// next is the state after another fetch.
func (c *cached[T]) next(ctx context.Context, s *state[T]) *state[T] {
	value, err := c.fetch(ctx)
	now := c.clock()
	if err == nil {
		return &state[T]{value: value, known: true, fetchedAt: now}
	}
	failed := *s
	failed.err = err
	failed.pause = min(max(2*s.pause, firstPause), longestPause)
	failed.notUntil = now.Add(failed.pause)
	return &failed
}
