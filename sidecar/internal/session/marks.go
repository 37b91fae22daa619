package session

import (
	"sync"
	"time"
)

// maxMarks bounds each set of marks.
const maxMarks = 4096

// marks remembers of a bounded number of sessions until when something holds.
// Forgetting one too early must do no more harm than a needless call.
type marks struct {
	size int

	mu    sync.Mutex
	until map[string]time.Time
}

func newMarks(size int) *marks { return &marks{size: size, until: make(map[string]time.Time)} }

// set marks a session until a time, and says false when it is marked already.
func (m *marks) set(key string, now, until time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Before(m.until[key]) {
		return false
	}
	if len(m.until) >= m.size {
		m.makeRoom(now)
	}
	m.until[key] = until
	return true
}

// move changes until when a session is marked.
func (m *marks) move(key string, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.until[key]; ok {
		m.until[key] = until
	}
}

// holds says whether a session is marked.
func (m *marks) holds(key string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Before(m.until[key])
}

// clear takes a session's mark away.
func (m *marks) clear(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.until, key)
}

// makeRoom drops what holds no more, and then whatever comes first until a
// quarter is free, so that it need not be done at every call.
func (m *marks) makeRoom(now time.Time) {
	for key, until := range m.until {
		if !now.Before(until) {
			delete(m.until, key)
		}
	}
	for key := range m.until {
		if len(m.until) <= m.size*3/4 {
			return
		}
		delete(m.until, key)
	}
}
