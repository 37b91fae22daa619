package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Waits between attempts to connect: the first, doubled up to the longest.
const (
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 2 * time.Second
)

var (
	errLost   = clean{errors.New("the connection was lost")}
	errClosed = clean{errors.New("the store was closed")}
	// errReplica says that a server takes no writes.
	errReplica = clean{errors.New("the server is a replica: the address must lead to the primary")}
)

// link keeps a client connected. rueidis connects in its constructor and, when
// a connection breaks, in the first call after, while the other calls wait for
// that one whatever their own deadline. link connects apart from all calls: each
// waits as long as it may, and while the server is known to be away calls fail
// at once instead of piling up.
type link struct {
	connect func(*generation) (rueidis.Client, error)
	logger  *slog.Logger

	watching atomic.Pointer[Watcher]

	mu       sync.Mutex
	current  *generation // nil while there is no connection
	attempt  *attempt    // nil while nobody connects
	failures int         // in a row
	retryAt  time.Time   // no attempt before
	cause    error       // of the last failure
	closed   bool
}

// attempt is one try to connect. Its fields may be read once done is closed.
type attempt struct {
	done       chan struct{}
	generation *generation
	err        error
}

func newLink(logger *slog.Logger, connect func(*generation) (rueidis.Client, error)) *link {
	return &link{connect: connect, logger: logger}
}

// watch has w told of changes.
func (l *link) watch(w Watcher) { l.watching.Store(&w) }

func (l *link) watcher() Watcher {
	if w := l.watching.Load(); w != nil {
		return *w
	}
	return nobody{}
}

// acquire returns the connected client, connecting first when there is none.
func (l *link) acquire(ctx context.Context) (*generation, error) {
	g, a, err := l.state()
	if a == nil {
		return g, err
	}
	select {
	case <-a.done:
		return a.generation, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect: %w", ctx.Err())
	}
}

// state is a connected client, an attempt to wait for, or an error.
func (l *link) state() (*generation, *attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, nil, errClosed
	case l.current != nil:
		return l.current, nil, nil
	case l.attempt != nil:
		return nil, l.attempt, nil
	case time.Now().Before(l.retryAt):
		return nil, nil, fmt.Errorf("not connected: %w", l.cause)
	}
	l.attempt = &attempt{done: make(chan struct{})}
	go l.run(l.attempt)
	return nil, l.attempt, nil
}

func (l *link) run(a *attempt) {
	g := &generation{link: l}
	client, err := l.connect(g)
	if err == nil {
		err = g.adopt(client)
	} else {
		err = fmt.Errorf("connect: %w", redact(err))
		if client != nil {
			client.Close()
		}
		g.lose(err)
	}

	l.mu.Lock()
	l.attempt = nil
	if err == nil && l.closed {
		err = errClosed
	}
	if err == nil {
		a.generation, l.current = g, g
		if l.failures > 0 {
			l.logger.Info("session store is reachable again", "attempts", l.failures+1)
		}
	} else {
		a.err = err
		l.failed(err)
	}
	l.mu.Unlock()

	if err != nil {
		g.lose(err)
	} else if g.isLost() {
		// It broke between adopt and now, and could not drop itself yet.
		l.drop(g, errLost)
	}
	close(a.done)
}

// drop forgets a lost client, so that the next call connects anew: at once if
// the lost one had served, otherwise as after an attempt that failed. There is
// no use in asking a replica again at once.
func (l *link) drop(g *generation, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != g {
		return
	}
	l.current = nil
	replica := errors.Is(cause, errReplica)
	if g.served.Load() && !(replica && errors.Is(l.cause, errReplica)) {
		l.failures, l.cause = 0, nil
		if !replica && !l.closed {
			l.logger.Warn("connection to session store is lost", "cause", redact(cause))
		}
	}
	if replica || !g.served.Load() {
		l.failed(cause)
	}
}

// failed counts a failure and sets when to try again. l.mu is held.
func (l *link) failed(cause error) {
	if l.failures == 0 && !l.closed {
		l.logger.Warn("session store is unreachable", "cause", redact(cause))
	}
	wait := min(firstBackoff<<min(l.failures, 16), longestBackoff)
	l.failures++
	l.cause = cause
	l.retryAt = time.Now().Add(wait/2 + rand.N(wait/2))
}

func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	g := l.current
	l.current = nil
	l.mu.Unlock()
	if g != nil {
		g.lose(errClosed)
	}
}
