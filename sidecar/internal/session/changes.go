package session

import (
	"sync"
	"time"
)

// watcher is what the store tells of changes. It neither blocks nor calls the
// store.
type watcher struct{ sessions *Sessions }

// Changed implements store.Watcher.
func (w watcher) Changed(key string) {
	if name, ok := w.sessions.keys.session(key); ok {
		w.sessions.cache.drop(name)
		w.sessions.changes.wake(key)
	}
}

// Lost implements store.Watcher.
func (w watcher) Lost(silence time.Duration) {
	w.sessions.outage.begin(w.sessions.clock(), silence) // until the store answers
	w.sessions.cache.doubt()
	w.sessions.changes.wakeAll()
}

// changes wakes whoever waits for a session to change. It promises no more than
// that: who is woken has to look.
type changes struct {
	mu    sync.Mutex
	byKey map[string]map[chan struct{}]struct{}
}

// await returns a channel that gets something when the session may have changed,
// until stop is called.
func (c *changes) await(key string) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey == nil {
		c.byKey = make(map[string]map[chan struct{}]struct{})
	}
	if c.byKey[key] == nil {
		c.byKey[key] = make(map[chan struct{}]struct{})
	}
	c.byKey[key][ch] = struct{}{}
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.byKey[key], ch)
		if len(c.byKey[key]) == 0 {
			delete(c.byKey, key)
		}
	}
}

func (c *changes) wake(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wake(c.byKey[key])
}

func (c *changes) wakeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, waiting := range c.byKey {
		wake(waiting)
	}
}

func wake(waiting map[chan struct{}]struct{}) {
	for ch := range waiting {
		select {
		case ch <- struct{}{}:
		default: // it has been woken already
		}
	}
}
