package session

import (
	"context"
	"errors"
	"sync"
)

// flights are the renewals under way, at most one of a session.
type flights struct {
	detached background

	mu    sync.Mutex
	byKey map[string]*flight
}

// flight is one renewal. Its outcome may be read once done is closed.
type flight struct {
	done    chan struct{}
	session *Session
	err     error
}

var errAborted = errors.New("the renewal was aborted")

// join returns the flight of a session, and starts one with run when there is
// none.
func (f *flights) join(key string, run func() (*Session, error)) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if under, ok := f.byKey[key]; ok {
		return under
	}
	started := &flight{done: make(chan struct{}), err: errAborted}
	if f.byKey == nil {
		f.byKey = make(map[string]*flight)
	}
	f.byKey[key] = started
	f.detached.begin()
	go func() {
		defer f.detached.end()
		// Who comes between the two starts a new flight, which finds this one's
		// result in the store.
		defer close(started.done)
		defer f.land(key)
		started.session, started.err = run()
	}()
	return started
}

func (f *flights) land(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byKey, key)
}

// background counts work that outlives the request it was begun for.
type background struct {
	mu    sync.Mutex
	count int
	idle  chan struct{} // closed when count comes back to 0; nil while nobody waits
}

func (b *background) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
}

func (b *background) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count--; b.count == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

func (b *background) wait(ctx context.Context) error {
	b.mu.Lock()
	if b.count == 0 {
		b.mu.Unlock()
		return nil
	}
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	idle := b.idle
	b.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
