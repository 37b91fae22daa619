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
	entries map[string]*memoryEntry
	indexes map[string][]string // keys, oldest first
	leases  map[string]memoryLease
	fences  uint64
	// What is kept for a while beside entries: notes, and what Put stored.
	notes, values expiring
	watcher       Watcher
}

type memoryEntry struct {
	Entry
	ends, idles time.Time
	indexes     []string
	fence       uint64
}

func (e *memoryEntry) over(now time.Time) bool { return !now.Before(e.ends) || !now.Before(e.idles) }

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
	return &Memory{
		clock: clock, max: maxEntries, watcher: nobody{},
		entries: make(map[string]*memoryEntry), indexes: make(map[string][]string), leases: make(map[string]memoryLease),
		notes: expiring{max: maxEntries}, values: expiring{max: maxEntries},
	}
}

// nobody watches.
type nobody struct{}

func (nobody) Changed(string)     {}
func (nobody) Lost(time.Duration) {}

// Watch implements Store.
func (m *Memory) Watch(w Watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watcher = w
}

// Create implements Store. It returns ErrFull rather than drop a live entry.
func (m *Memory) Create(_ context.Context, key string, n New) error {
	if err := checkLife(n.Lifetime, n.Idle); err != nil {
		return fmt.Errorf("create session entry: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	if _, taken := m.find(key, now); taken {
		return fmt.Errorf("create session entry: %w", ErrExists)
	}
	m.sweep(now, sweepAtInsert)
	if len(m.entries) >= m.max {
		m.sweep(now, len(m.entries))
	}
	if len(m.entries) >= m.max {
		return fmt.Errorf("create session entry beside %d others: %w", len(m.entries), ErrFull)
	}
	ends := now.Add(n.Lifetime)
	m.entries[key] = &memoryEntry{
		Entry:   Entry{Record: slices.Clone(n.Record), Metadata: slices.Clone(n.Metadata), Version: 1},
		ends:    ends,
		idles:   earlier(now.Add(n.Idle), ends),
		indexes: slices.Clone(n.Indexes),
	}
	for _, index := range n.Indexes {
		m.indexes[index] = append(m.indexes[index], key)
	}
	m.notes.drop(key)
	return nil
}

// Load implements Store.
func (m *Memory) Load(_ context.Context, key string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	e, ok := m.find(key, now)
	if !ok {
		if note, noted := m.notes.get(key, now); noted {
			return Entry{}, fmt.Errorf("load session entry: %w", &GoneError{Note: string(note)})
		}
		return Entry{}, fmt.Errorf("load session entry: %w", ErrNotFound)
	}
	loaded := e.Entry
	loaded.IdleLeft = e.idles.Sub(now)
	return loaded, nil
}

// Replace implements Store.
func (m *Memory) Replace(_ context.Context, key string, e Entry, lease *Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.find(key, m.clock())
	if !ok {
		return fmt.Errorf("replace session entry: %w", ErrNotFound)
	}
	if old.Version != e.Version || lease != nil && lease.Fence < old.fence {
		return fmt.Errorf("replace session entry: %w", ErrConflict)
	}
	old.Entry = Entry{Record: slices.Clone(e.Record), Metadata: slices.Clone(e.Metadata), Version: e.Version + 1}
	m.watcher.Changed(key)
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
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, key, note string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	if _, ok := m.find(key, now); !ok {
		return nil
	}
	m.remove(key)
	if note != "" {
		m.notes.put(key, []byte(note), now, now.Add(NoteTime))
	}
	return nil
}

// Indexed implements Store.
func (m *Memory) Indexed(_ context.Context, index string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.indexes[index]), nil
}

// Ping implements Store. A Memory always answers.
func (m *Memory) Ping(context.Context) error { return nil }

// Close implements Store. It forgets everything.
func (m *Memory) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.entries)
	clear(m.indexes)
	clear(m.leases)
	clear(m.notes.values)
	clear(m.values.values)
}

// find returns a live entry and drops one that is over.
func (m *Memory) find(key string, now time.Time) (*memoryEntry, bool) {
	e, ok := m.entries[key]
	if ok && e.over(now) {
		m.remove(key)
		ok = false
	}
	return e, ok
}

// remove drops an entry from everywhere and tells the watcher.
func (m *Memory) remove(key string) {
	for _, index := range m.entries[key].indexes {
		keys := slices.DeleteFunc(m.indexes[index], func(k string) bool { return k == key })
		if m.indexes[index] = keys; len(keys) == 0 {
			delete(m.indexes, index)
		}
	}
	delete(m.entries, key)
	m.watcher.Changed(key)
}

// sweep looks at n entries, whichever the map yields first (its order is
// random), and drops those that are over.
func (m *Memory) sweep(now time.Time, n int) {
	for key, e := range m.entries {
		if n--; n < 0 {
			return
		}
		if e.over(now) {
			m.remove(key)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
