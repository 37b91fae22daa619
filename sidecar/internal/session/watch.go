package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Event is something that has become of a session.
type Event struct {
	Kind EventKind
	// Reason says why, of EventEnded.
	Reason EndReason
}

// EventKind is a kind of event.
type EventKind int

// Kinds of events.
const (
	// EventRefreshed: the session has new tokens. Several may come as one.
	EventRefreshed EventKind = iota + 1
	// EventEnded: the session is over. It is the last event.
	EventEnded
)

const (
	// lookAgain is about how long a watch waits before it looks again while it cannot
	// be known what became of a session.
	lookAgain = 2 * time.Second
	// shortestLook keeps a watch from asking over and over about a session that is
	// about to idle out.
	shortestLook = 50 * time.Millisecond
)

// Watch tells what becomes of a session, whichever replica it happens on. The
// channel closes after EventEnded. Reading late blocks nobody: events of one kind
// become one. Call stop when you no longer read; after that no event comes and
// the channel stays open.
//
// While the store does not answer nothing is said: a session whose end cannot be
// known has not ended.
func (s *Sessions) Watch(sess *Session) (events <-chan Event, stop func()) {
	w := &s.watches
	l := &listener{events: make(chan Event, 2)} // room for one of each kind
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey == nil {
		w.byKey = make(map[string]*watch)
	}
	under, ok := w.byKey[sess.handle.key]
	if !ok {
		ctx, cancel := context.WithCancel(context.Background())
		under = &watch{listeners: make(map[*listener]struct{}), cancel: cancel}
		w.byKey[sess.handle.key] = under
		go s.follow(ctx, under, sess)
	}
	under.listeners[l] = struct{}{}
	return l.events, func() { w.leave(sess.handle.key, under, l) }
}

// watches are the sessions that are watched. Each has one goroutine, however
// many listen.
type watches struct {
	mu    sync.Mutex
	byKey map[string]*watch
}

type watch struct {
	listeners map[*listener]struct{}
	cancel    context.CancelFunc
}

type listener struct{ events chan Event }

func (w *watches) leave(key string, under *watch, l *listener) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(under.listeners, l)
	if len(under.listeners) == 0 {
		under.cancel()
		if w.byKey[key] == under {
			delete(w.byKey, key)
		}
	}
}

func (w *watches) refreshed(under *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range under.listeners {
		if len(l.events) == 0 { // nobody else sends: it cannot fill up meanwhile
			l.events <- Event{Kind: EventRefreshed}
		}
	}
}

func (w *watches) ended(key string, under *watch, reason EndReason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range under.listeners {
		l.events <- Event{Kind: EventEnded, Reason: reason} // at most one event waits
		close(l.events)
	}
	clear(under.listeners)
	under.cancel()
	if w.byKey[key] == under {
		delete(w.byKey, key)
	}
}

// follow looks at a session whenever it may have changed, and when its time may
// be over.
func (s *Sessions) follow(ctx context.Context, under *watch, last *Session) {
	changed, stop := s.changes.await(last.handle.key)
	defer stop()
	for {
		var wait time.Duration
		sess, certain, err := s.find(ctx, last.handle)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrNone):
			reason := ReasonOf(err)
			if reason == EndUnknown && !s.clock().Before(last.IdleExpiresAt) {
				reason = EndExpired
			}
			s.watches.ended(last.handle.key, under, reason)
			return
		case err == nil:
			if sess.version > last.version {
				s.watches.refreshed(under)
			}
			last = sess
			wait = max(shortestLook, last.IdleExpiresAt.Sub(s.clock()))
		}
		if !certain { // an outage, or a record that the ring does not open now: nobody will tell
			wait = lookAgain/2 + rand.N(lookAgain)
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}
