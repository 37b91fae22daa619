package session

import (
	"context"
	"errors"
	"sync"
)

// maxAhead bounds the flights that nobody waits for. When there are as many, a
// token is renewed when it is needed instead of ahead of that.
const maxAhead = 256

// flights are the renewals under way in this process, one for each thing that is
// wanted of a session. Several of one session take turns by its lease.
type flights struct {
	detached background

	mu   sync.Mutex
	byID map[flightID]*flight
}

// flightID is what a flight is for.
type flightID struct{ key, target, refused string }

// flight is one renewal. Its outcome may be read once done is closed.
type flight struct {
	done    chan struct{}
	session *Session
	err     error
}

var errAborted = errors.New("the renewal was aborted")

// join returns the flight to an end, and starts one with run when there is none.
func (f *flights) join(id flightID, run func() (*Session, error)) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if under, ok := f.byID[id]; ok {
		return under
	}
	started := &flight{done: make(chan struct{}), err: errAborted}
	if f.byID == nil {
		f.byID = make(map[flightID]*flight)
	}
	f.byID[id] = started
	f.detached.begin()
	go func() {
		defer f.detached.end()
		// Who comes between the two starts a new flight, which finds this one's
		// result in the store.
		defer close(started.done)
		defer f.land(id)
		started.session, started.err = run()
	}()
	return started
}

// hasRoom says whether one more may be started that nobody waits for.
func (f *flights) hasRoom() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.byID) < maxAhead
}

func (f *flights) land(id flightID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byID, id)
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
