package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// leaseTime is how long a replica that has died while it renewed a session keeps
// the others waiting. One that is alive renews its lease three times as often.
const leaseTime = 5 * time.Second

// tenure is the time in which this process alone may spend a session's refresh
// token.
type tenure struct {
	store store.Store
	clock func() time.Time
	lease store.Lease

	mu    sync.Mutex
	timer *time.Timer // nil once it was released or lost
	ends  time.Time   // of the lease; for the store it is a moment later
}

// hold keeps a lease, which was asked for at a time, until it is released.
func (s *Sessions) hold(ctx context.Context, lease store.Lease, asked time.Time) *tenure {
	t := &tenure{store: s.store, clock: s.clock, lease: lease, ends: asked.Add(leaseTime)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(leaseTime/3, func() { t.extend(ctx) })
	return t
}

func (t *tenure) extend(ctx context.Context) {
	asked := t.clock()
	err := t.store.Renew(ctx, t.lease, leaseTime)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		return
	}
	switch {
	case err == nil:
		t.ends = asked.Add(leaseTime)
	case errors.Is(err, store.ErrNotFound):
		t.timer = nil
		return
	}
	t.timer.Reset(leaseTime / 3) // a store that does not answer now may do so in time
}

// lasts says whether the lease has not run out, by this process' own clock. One
// that gets no processor time for a while does not extend its lease either, and
// does not notice.
func (t *tenure) lasts() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.timer != nil && t.clock().Before(t.ends)
}

// holds asks the store whether the lease is still ours.
func (t *tenure) holds(ctx context.Context) (bool, error) {
	err := t.store.Renew(ctx, t.lease, leaseTime)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// release gives the lease back, once. If the store cannot be told, the lease
// runs out.
func (t *tenure) release(ctx context.Context) {
	t.mu.Lock()
	timer := t.timer
	t.timer = nil
	t.mu.Unlock()
	if timer != nil {
		timer.Stop()
		_ = t.store.Release(ctx, t.lease)
	}
}

// giveBack releases a lease, and has those of this process try who wait for it.
func (s *Sessions) giveBack(ctx context.Context, turn *tenure) {
	turn.release(ctx)
	s.changes.wake(turn.lease.Key)
}
