package upstream

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// pool keeps the connections that are not in use.
type pool struct {
	timeout         time.Duration
	maxPerHost, max int

	mu    sync.Mutex
	hosts map[string]*host // those with something in them
	idle  int
	sweep *time.Timer // runs while there are idle connections
	gone  []*conn     // to close when the lock is free
}

// host is what the pool knows of a host.
type host struct {
	idle []*conn // the longest idle first
	// dials is how many connections are being made or waited for.
	dials int
	slots chan struct{} // one for each that is being made
}

// maxDials bounds the connections to one host that are being made at once.
const maxDials = 64

// get takes the connection to a host that was used last. It is nil if there is
// none.
func (p *pool) get(name string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[name]
	if h == nil || len(h.idle) == 0 {
		return nil
	}
	last := len(h.idle) - 1
	c := h.idle[last]
	h.idle[last] = nil
	h.idle = h.idle[:last]
	p.idle--
	return c
}

// put keeps a connection. One that is too many makes the longest idle one go.
func (p *pool) put(name string, c *conn) {
	now := time.Now()
	c.idleSince = now
	p.mu.Lock()
	defer p.unlock()
	h := p.host(name)
	h.idle = append(h.idle, c)
	p.idle++
	switch {
	case len(h.idle) > p.maxPerHost:
		p.drop(name, h, 1)
	case p.idle > p.max:
		p.dropOldest()
	}
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.timeout, p.expire)
	}
}

// clear closes all connections that are kept.
func (p *pool) clear() {
	p.mu.Lock()
	defer p.unlock()
	for name, h := range p.hosts {
		p.drop(name, h, len(h.idle))
	}
	p.stop()
}

// expire closes what was idle for too long.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.unlock()
	var next time.Duration
	now := time.Now()
	for name, h := range p.hosts {
		old := 0
		for old < len(h.idle) && now.Sub(h.idle[old].idleSince) >= p.timeout {
			old++
		}
		if old < len(h.idle) {
			if left := p.timeout - now.Sub(h.idle[old].idleSince); next == 0 || left < next {
				next = left
			}
		}
		p.drop(name, h, old)
	}
	p.stop()
	if p.idle > 0 {
		// Not for each by itself, if they come to their end one after the other.
		p.sweep = time.AfterFunc(max(next, p.timeout/16), p.expire)
	}
}

// stop ends the sweep. The caller holds the lock.
func (p *pool) stop() {
	if p.sweep != nil {
		p.sweep.Stop()
		p.sweep = nil
	}
}

// host finds or makes a host. The caller holds the lock.
func (p *pool) host(name string) *host {
	h := p.hosts[name]
	if h == nil {
		h = &host{slots: make(chan struct{}, maxDials)}
		p.hosts[name] = h
	}
	return h
}

// drop takes out the n connections to a host that were idle for longest. The caller
// holds the lock.
func (p *pool) drop(name string, h *host, n int) {
	p.gone = append(p.gone, h.idle[:n]...)
	h.idle = slices.Delete(h.idle, 0, n)
	p.idle -= n
	p.tidy(name, h)
}

// dropOldest takes out the connection that was idle for longest. The caller holds
// the lock.
func (p *pool) dropOldest() {
	var oldest *host
	var of string
	for name, h := range p.hosts {
		if len(h.idle) > 0 && (oldest == nil || h.idle[0].idleSince.Before(oldest.idle[0].idleSince)) {
			oldest, of = h, name
		}
	}
	if oldest != nil {
		p.drop(of, oldest, 1)
	}
}

// tidy forgets a host that is not used: hosts come and go with the
// configuration. The caller holds the lock.
func (p *pool) tidy(name string, h *host) {
	if len(h.idle) == 0 && h.dials == 0 {
		delete(p.hosts, name)
	}
}

// unlock gives the lock back and closes what was dropped.
func (p *pool) unlock() {
	gone := p.gone
	p.gone = nil
	p.mu.Unlock()
	for _, c := range gone {
		c.socket.Close()
	}
}

// enter waits until a connection to a host may be made, for a time. leave has to
// be called when it is made, or was not.
func (p *pool) enter(ctx context.Context, name string, patience time.Duration) (leave func(), err error) {
	p.mu.Lock()
	h := p.host(name)
	h.dials++
	p.mu.Unlock()
	out := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		h.dials--
		p.tidy(name, h)
	}
	leave = func() {
		<-h.slots
		out()
	}
	select {
	case h.slots <- struct{}{}:
		return leave, nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded} // too many before us, and none gets through
	}
	out()
	return nil, err
}
