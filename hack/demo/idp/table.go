package idp

import (
	"container/list"
	"time"
)

// table is a bounded map whose entries expire. All entries of a table live equally long, so insertion order is expiry
// order: sweeping and making room both look at the oldest entry only. A table is not safe for concurrent use.
type table[V any] struct {
	lifetime time.Duration
	limit    int
	now      func() time.Time
	entries  map[string]*list.Element // of *row[V]
	order    *list.List               // oldest first
}

type row[V any] struct {
	key     string
	value   V
	expires time.Time
}

func newTable[V any](lifetime time.Duration, limit int, now func() time.Time) *table[V] {
	return &table[V]{lifetime: lifetime, limit: limit, now: now, entries: map[string]*list.Element{}, order: list.New()}
}

// add inserts a new entry, drops what has expired, and, when the table is full, the oldest entry. It returns when the
// new entry will expire.
func (t *table[V]) add(key string, value V) time.Time {
	now := t.now()
	for e := t.order.Front(); e != nil && (t.order.Len() >= t.limit || !now.Before(e.Value.(*row[V]).expires)); e = t.order.Front() {
		t.remove(e.Value.(*row[V]).key)
	}
	expires := now.Add(t.lifetime)
	t.remove(key)
	t.entries[key] = t.order.PushBack(&row[V]{key: key, value: value, expires: expires})
	return expires
}

// get returns the live entry.
func (t *table[V]) get(key string) (value V, ok bool) {
	if r := t.live(key); r != nil {
		return r.value, true
	}
	return value, false
}

// set replaces the value of a live entry and leaves its expiry alone.
func (t *table[V]) set(key string, value V) {
	if r := t.live(key); r != nil {
		r.value = value
	}
}

// remove deletes the entry, if there is one.
func (t *table[V]) remove(key string) {
	if e, ok := t.entries[key]; ok {
		t.order.Remove(e)
		delete(t.entries, key)
	}
}

// removeFunc deletes every entry the function picks.
func (t *table[V]) removeFunc(pick func(V) bool) {
	for e := t.order.Front(); e != nil; {
		next := e.Next()
		if r := e.Value.(*row[V]); pick(r.value) {
			t.remove(r.key)
		}
		e = next
	}
}

func (t *table[V]) live(key string) *row[V] {
	e, ok := t.entries[key]
	if !ok {
		return nil
	}
	if r := e.Value.(*row[V]); t.now().Before(r.expires) {
		return r
	}
	return nil
}
