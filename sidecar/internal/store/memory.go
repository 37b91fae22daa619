package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// DefaultMemoryEntries is how many entries a Memory holds when it is not told.
const DefaultMemoryEntries = 10_000

// sweepAtInsert is how many entries an insert looks at to find some that are
// over. More than one, so that they go faster than new ones come.
const sweepAtInsert = 8

// Memory keeps entries in this process. They end with it and no other replica
// sees them.
type Memory struct {
	clock func() time.Time
	max   int

	mu      sync.Mutex
	entries map[string]memoryEntry
}

type memoryEntry struct {
	Entry
	ends, idles time.Time
}

func (e memoryEntry) over(now time.Time) bool { return !now.Before(e.ends) || !now.Before(e.idles) }

var _ Store = (*Memory)(nil)

// NewMemory makes a store of at most maxEntries live entries; below one it is
// DefaultMemoryEntries. clock tells the time; nil is time.Now.
func NewMemory(clock func() time.Time, maxEntries int) *Memory {
	if clock == nil {
		clock = time.Now
	}
	if maxEntries < 1 {
		maxEntries = DefaultMemoryEntries
	}
	return &Memory{clock: clock, max: maxEntries, entries: make(map[string]memoryEntry)}
}

// Create implements Store. It returns ErrFull rather than drop a live entry.
func (m *Memory) Create(_ context.Context, key string, e Entry, lifetime, idle time.Duration) error {
	if err := checkLife(lifetime, idle); err != nil {
		return fmt.Errorf("create session entry: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	if old, ok := m.entries[key]; ok && !old.over(now) {
		return fmt.Errorf("create session entry: %w", ErrExists)
	}
	m.sweep(now, sweepAtInsert)
	if len(m.entries) >= m.max {
		m.sweep(now, len(m.entries))
	}
	if _, taken := m.entries[key]; !taken && len(m.entries) >= m.max {
		return fmt.Errorf("create session entry beside %d others: %w", len(m.entries), ErrFull)
	}
	ends := now.Add(lifetime)
	m.entries[key] = memoryEntry{
		Entry: Entry{Record: slices.Clone(e.Record), Metadata: slices.Clone(e.Metadata), Version: 1},
		ends:  ends,
		idles: earlier(now.Add(idle), ends),
	}
	return nil
}

// Load implements Store.
func (m *Memory) Load(_ context.Context, key string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	e, ok := m.find(key, now)
	if !ok {
		return Entry{}, fmt.Errorf("load session entry: %w", ErrNotFound)
	}
	e.IdleLeft = e.idles.Sub(now)
	return e.Entry, nil
}

// Replace implements Store.
func (m *Memory) Replace(_ context.Context, key string, e Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.find(key, m.clock())
	if !ok {
		return fmt.Errorf("replace session entry: %w", ErrNotFound)
	}
	if old.Version != e.Version {
		return fmt.Errorf("replace session entry: %w", ErrConflict)
	}
	old.Entry = Entry{Record: slices.Clone(e.Record), Metadata: slices.Clone(e.Metadata), Version: e.Version + 1}
	m.entries[key] = old
	return nil
}

// Touch implements Store.
func (m *Memory) Touch(_ context.Context, key string, idle time.Duration) error {
	if err := checkLife(idle); err != nil {
		return fmt.Errorf("touch session entry: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	e, ok := m.find(key, now)
	if !ok {
		return fmt.Errorf("touch session entry: %w", ErrNotFound)
	}
	e.idles = earlier(now.Add(idle), e.ends)
	m.entries[key] = e
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
	return nil
}

// Ping implements Store. A Memory always answers.
func (m *Memory) Ping(context.Context) error { return nil }

// Close implements Store. It forgets every entry.
func (m *Memory) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.entries)
}

// find returns a live entry and drops one that is over.
func (m *Memory) find(key string, now time.Time) (memoryEntry, bool) {
	e, ok := m.entries[key]
	if ok && e.over(now) {
		delete(m.entries, key)
		ok = false
	}
	return e, ok
}

// sweep looks at n entries, whichever the map yields first (its order is
// random), and drops those that are over.
func (m *Memory) sweep(now time.Time, n int) {
	for key, e := range m.entries {
		if n--; n < 0 {
			return
		}
		if e.over(now) {
			delete(m.entries, key)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
