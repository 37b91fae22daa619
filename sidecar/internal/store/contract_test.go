package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

const (
	lifetime = 12 * time.Hour
	idle     = 30 * time.Minute
)

// TestContract is what every Store promises. Its rows run one after another on
// one server, each with a key of its own.
func TestContract(t *testing.T) {
	for name, make := range subjects {
		t.Run(name, func(t *testing.T) {
			s := make(t)
			t.Cleanup(s.Close)
			for i, row := range contract {
				t.Run(row.name, func(t *testing.T) {
					row.check(t, s, fmt.Sprintf("bff:{policy}:s:%d", i))
				})
			}
			if s.check != nil {
				s.check(t)
			}
		})
	}
}

var contract = []struct {
	name  string
	check func(t *testing.T, s subject, key string)
}{
	{"an entry is loaded as it was created", func(t *testing.T, s subject, key string) {
		record := []byte("record \x00\r\n\xff")
		want(t, s.Create(t.Context(), key, fresh(store.Entry{Record: record, Metadata: []byte("metadata"), Version: 99}, lifetime, idle)), nil)
		record[0] = 'X' // the store has its own
		e := load(t, s, key)
		if string(e.Record) != "record \x00\r\n\xff" || string(e.Metadata) != "metadata" || e.Version != 1 {
			t.Errorf("loaded %q, %q, version %d", e.Record, e.Metadata, e.Version)
		}
		if e.IdleLeft > idle || e.IdleLeft < idle-time.Minute {
			t.Errorf("it idles out in %s, want about %s", e.IdleLeft, idle)
		}
	}},
	{"what is not there is not found", func(t *testing.T, s subject, key string) {
		_, err := s.Load(t.Context(), key)
		want(t, err, store.ErrNotFound)
		want(t, s.Replace(t.Context(), key, entry("x", 1), nil), store.ErrNotFound)
		want(t, s.Touch(t.Context(), key, idle), store.ErrNotFound)
		want(t, s.Delete(t.Context(), key, ""), nil)
	}},
	{"a key is created once", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		want(t, s.Create(t.Context(), key, fresh(entry("other", 0), lifetime, idle)), store.ErrExists)
		if e := load(t, s, key); string(e.Record) != "first" {
			t.Errorf("the entry is %q now", e.Record)
		}
	}},
	{"an entry lasts at least a millisecond", func(t *testing.T, s subject, key string) {
		for _, d := range []time.Duration{0, -time.Hour, time.Microsecond} {
			if s.Create(t.Context(), key, fresh(entry("x", 0), d, idle)) == nil || s.Create(t.Context(), key, fresh(entry("x", 0), lifetime, d)) == nil {
				t.Errorf("Create took %s", d)
			}
			if err := s.Touch(t.Context(), key, d); err == nil || errors.Is(err, store.ErrNotFound) {
				t.Errorf("Touch with %s: %v", d, err)
			}
		}
	}},
	{"Replace counts the version up", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		for version := uint64(1); version <= 3; version++ {
			text := fmt.Sprint("after ", version)
			want(t, s.Replace(t.Context(), key, entry(text, version), nil), nil)
			if e := load(t, s, key); string(e.Record) != text || string(e.Metadata) != text || e.Version != version+1 {
				t.Errorf("loaded %q, %q, version %d", e.Record, e.Metadata, e.Version)
			}
		}
	}},
	{"Replace of another version is a conflict and changes nothing", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		want(t, s.Replace(t.Context(), key, entry("second", 1), nil), nil)
		for _, version := range []uint64{0, 1, 3} {
			want(t, s.Replace(t.Context(), key, entry("late", version), nil), store.ErrConflict)
		}
		if e := load(t, s, key); string(e.Record) != "second" || e.Version != 2 {
			t.Errorf("loaded %q, version %d", e.Record, e.Version)
		}
	}},
	{"of concurrent Replaces one wins", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		var won, conflicts atomic.Int32
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				switch err := s.Replace(context.Background(), key, entry(fmt.Sprint(i), 1), nil); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, store.ErrConflict):
					conflicts.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 || conflicts.Load() != 49 {
			t.Errorf("%d won and %d met a conflict", won.Load(), conflicts.Load())
		}
	}},
	{"an entry without Touch idles out", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		s.pass(t, idle-time.Minute)
		load(t, s, key) // which is no use
		s.pass(t, time.Minute)
		gone(t, s, key)
	}},
	{"Touch makes the idle time start again", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		for range 3 {
			s.pass(t, idle-time.Minute)
			want(t, s.Touch(t.Context(), key, idle), nil)
		}
		if e := load(t, s, key); e.IdleLeft < idle-time.Minute {
			t.Errorf("it idles out in %s", e.IdleLeft)
		}
	}},
	{"Touch with a shorter time shortens", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		want(t, s.Touch(t.Context(), key, time.Minute), nil)
		s.pass(t, time.Minute)
		gone(t, s, key)
	}},
	{"Touch does not prolong the lifetime", func(t *testing.T, s subject, key string) {
		want(t, s.Create(t.Context(), key, fresh(entry("first", 0), time.Hour, 40*time.Minute)), nil)
		s.pass(t, 30*time.Minute)
		want(t, s.Touch(t.Context(), key, 40*time.Minute), nil)
		if e := load(t, s, key); e.IdleLeft > 30*time.Minute {
			t.Errorf("it idles out in %s, after its life", e.IdleLeft)
		}
		s.pass(t, 30*time.Minute)
		gone(t, s, key)
	}},
	{"Touch brings nothing back", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		want(t, s.Delete(t.Context(), key, ""), nil)
		gone(t, s, key)
	}},
	{"an idle time longer than the lifetime changes nothing", func(t *testing.T, s subject, key string) {
		want(t, s.Create(t.Context(), key, fresh(entry("first", 0), time.Hour, 5*time.Hour)), nil)
		if e := load(t, s, key); e.IdleLeft > time.Hour {
			t.Errorf("it idles out in %s", e.IdleLeft)
		}
		s.pass(t, time.Hour)
		gone(t, s, key)
	}},
	{"Replace keeps lifetime and idle time", func(t *testing.T, s subject, key string) {
		want(t, s.Create(t.Context(), key, fresh(entry("first", 0), time.Hour, 40*time.Minute)), nil)
		s.pass(t, 30*time.Minute)
		want(t, s.Replace(t.Context(), key, entry("second", 1), nil), nil)
		if e := load(t, s, key); e.IdleLeft > 10*time.Minute || e.IdleLeft < 9*time.Minute {
			t.Errorf("it idles out in %s, want 10m as before", e.IdleLeft)
		}
		want(t, s.Touch(t.Context(), key, 40*time.Minute), nil)
		s.pass(t, 30*time.Minute)
		gone(t, s, key)
	}},
	{"a key whose entry is over can be created again", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		want(t, s.Replace(t.Context(), key, entry("second", 1), nil), nil)
		s.pass(t, idle)
		want(t, s.Create(t.Context(), key, fresh(entry("third", 0), lifetime, idle)), nil)
		if e := load(t, s, key); string(e.Record) != "third" || e.Version != 1 {
			t.Errorf("loaded %q, version %d", e.Record, e.Version)
		}
	}},
	{"Delete ends an entry and can be repeated", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		want(t, s.Delete(t.Context(), key, ""), nil)
		want(t, s.Delete(t.Context(), key, ""), nil)
		gone(t, s, key)
	}},
	{"an entry may be empty or large", func(t *testing.T, s subject, key string) {
		want(t, s.Create(t.Context(), key, fresh(store.Entry{}, lifetime, idle)), nil)
		large := strings.Repeat("x", 256<<10)
		want(t, s.Replace(t.Context(), key, entry(large, 1), nil), nil)
		if e := load(t, s, key); string(e.Record) != large {
			t.Errorf("%d bytes came back", len(e.Record))
		}
	}},
	{"a deleted entry leaves its note, until it is created anew", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		want(t, s.Delete(t.Context(), key, "logout"), nil)
		want(t, s.Delete(t.Context(), key, "again"), nil) // nothing was there, so nothing is noted
		_, err := s.Load(t.Context(), key)
		want(t, err, store.ErrNotFound)
		if gone, ok := errors.AsType[*store.GoneError](err); !ok || gone.Note != "logout" {
			t.Errorf("got %v, want the note", err)
		}
		create(t, s, key)
		load(t, s, key)
	}},
	{"a note is forgotten after a while", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		want(t, s.Delete(t.Context(), key, "logout"), nil)
		s.pass(t, store.NoteTime)
		_, err := s.Load(t.Context(), key)
		if _, ok := errors.AsType[*store.GoneError](err); ok {
			t.Error("the note is still there")
		}
	}},
	{"an index has its entries, oldest first, until they are deleted", func(t *testing.T, s subject, key string) {
		user, provider := "bff:{policy}:u:"+key, "bff:{policy}:p:"+key
		for i, name := range []string{"a", "b", "c"} {
			n := fresh(entry("x", 0), lifetime+time.Duration(i)*time.Second, idle)
			n.Indexes = []string{user, provider}[:2-i%2]
			want(t, s.Create(t.Context(), key+name, n), nil)
		}
		has := func(index string, names ...string) {
			t.Helper()
			keys, err := s.Indexed(t.Context(), index)
			want(t, err, nil)
			for i := range names {
				names[i] = key + names[i]
			}
			if !slices.Equal(keys, names) {
				t.Errorf("the index has %q, want %q", keys, names)
			}
		}
		has(user, "a", "b", "c")
		has(provider, "a", "c")
		want(t, s.Delete(t.Context(), key+"a", ""), nil)
		has(user, "b", "c")
		has(provider, "c")
		has("bff:{policy}:u:nobody")
	}},
	{"an index is in the order of creation, whichever entry ends first", func(t *testing.T, s subject, key string) {
		index := "bff:{policy}:u:" + key
		for i, name := range []string{"c", "b", "a"} { // a new policy may have shorter sessions
			n := fresh(entry("x", 0), time.Duration(3-i)*time.Hour, idle)
			n.Indexes = []string{index}
			want(t, s.Create(t.Context(), key+name, n), nil)
		}
		keys, err := s.Indexed(t.Context(), index)
		want(t, err, nil)
		if !slices.Equal(keys, []string{key + "c", key + "b", key + "a"}) {
			t.Errorf("the index has %q", keys)
		}
	}},
	{"an index does not keep what its entries' lifetimes end", func(t *testing.T, s subject, key string) {
		n := fresh(entry("x", 0), time.Hour, time.Hour)
		n.Indexes = []string{"bff:{policy}:u:" + key}
		want(t, s.Create(t.Context(), key, n), nil)
		s.pass(t, time.Hour)
		_, _ = s.Load(t.Context(), key)
		keys, err := s.Indexed(t.Context(), n.Indexes[0])
		want(t, err, nil)
		if len(keys) > 0 {
			t.Errorf("it has %q", keys)
		}
	}},
	{"one of many gets a lease, the next one after its release", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		var granted atomic.Int64
		leases := make(chan store.Lease, 20)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				lease, err := s.Acquire(context.Background(), key, time.Minute)
				if err == nil {
					granted.Add(1)
					leases <- lease
				} else if !errors.Is(err, store.ErrHeld) {
					t.Errorf("got %v", err)
				}
			})
		}
		group.Wait()
		if granted.Load() != 1 {
			t.Fatalf("%d got the lease", granted.Load())
		}
		lease := <-leases
		want(t, s.Renew(t.Context(), lease, time.Minute), nil)
		want(t, s.Release(t.Context(), lease), nil)
		want(t, s.Release(t.Context(), lease), nil)
		want(t, s.Renew(t.Context(), lease, time.Minute), store.ErrNotFound)
		next, err := s.Acquire(t.Context(), key, time.Minute)
		want(t, err, nil)
		if next.Fence <= lease.Fence {
			t.Errorf("fence %d follows %d", next.Fence, lease.Fence)
		}
		want(t, s.Release(t.Context(), lease), nil) // the old one says nothing about the new one
		_, err = s.Acquire(t.Context(), key, time.Minute)
		want(t, err, store.ErrHeld)
	}},
	{"a lease ends by itself, and what its holder writes late is refused", func(t *testing.T, s subject, key string) {
		create(t, s, key)
		late, err := s.Acquire(t.Context(), key, time.Minute)
		want(t, err, nil)
		s.pass(t, time.Minute)
		want(t, s.Renew(t.Context(), late, time.Minute), store.ErrNotFound)
		next, err := s.Acquire(t.Context(), key, time.Minute)
		want(t, err, nil)
		want(t, s.Replace(t.Context(), key, entry("late", 1), &late), store.ErrConflict)
		want(t, s.Replace(t.Context(), key, entry("next", 1), &next), nil)
		if e := load(t, s, key); string(e.Record) != "next" {
			t.Errorf("the record is %q", e.Record)
		}
	}},
	{"leases and values last at least a millisecond", func(t *testing.T, s subject, key string) {
		lease, err := s.Acquire(t.Context(), key, time.Minute)
		want(t, err, nil)
		for _, d := range []time.Duration{0, -time.Hour, time.Microsecond} {
			if _, err := s.Acquire(t.Context(), key+"2", d); err == nil || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Acquire for %s: %v", d, err)
			}
			if err := s.Renew(t.Context(), lease, d); err == nil || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Renew for %s: %v", d, err)
			}
			if err := s.Put(t.Context(), key+"2", nil, d); err == nil || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Put for %s: %v", d, err)
			}
		}
		want(t, s.Renew(t.Context(), lease, time.Minute), nil) // it was not lost by that
	}},
	{"a value is put once and taken once", func(t *testing.T, s subject, key string) {
		key += ":t"
		want(t, s.Put(t.Context(), key, []byte("a \x00 value"), time.Minute), nil)
		want(t, s.Put(t.Context(), key, []byte("another"), time.Minute), store.ErrExists)
		var taken atomic.Int64
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				value, err := s.Take(context.Background(), key)
				if err == nil && string(value) == "a \x00 value" {
					taken.Add(1)
				} else if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("got %q, %v", value, err)
				}
			})
		}
		group.Wait()
		if taken.Load() != 1 {
			t.Errorf("it was taken %d times", taken.Load())
		}
		want(t, s.Put(t.Context(), key, []byte("x"), time.Minute), nil)
		s.pass(t, time.Minute)
		_, err := s.Take(t.Context(), key)
		want(t, err, store.ErrNotFound)
	}},
	{"a watcher is told of what is replaced or deleted, and not of touches", func(t *testing.T, s subject, key string) {
		w := new(recorder)
		s.Watch(w)
		create(t, s, key)
		want(t, s.Replace(t.Context(), key, entry("second", 1), nil), nil)
		eventually(t, "the watcher is told of the replacement", func() bool { return w.count(key) >= 1 && w.quiet() })
		w.reset()
		want(t, s.Touch(t.Context(), key, idle), nil)
		want(t, s.Ping(t.Context()), nil) // on the connection that changes are told on
		if w.count(key) > 0 {
			t.Error("it was told of a touch")
		}
		want(t, s.Delete(t.Context(), key, "logout"), nil)
		eventually(t, "the watcher is told of the deletion", func() bool { return w.count(key) >= 1 })
		if w.lost() {
			t.Error("it was told to doubt everything")
		}
	}},
	{"it answers a ping", func(t *testing.T, s subject, _ string) {
		want(t, s.Ping(t.Context()), nil)
	}},
}
