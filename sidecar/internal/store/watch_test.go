package store_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

// recorder is a Watcher that remembers.
type recorder struct {
	mu      sync.Mutex
	changed map[string]int
	losses  int
	last    time.Time
}

func (r *recorder) Changed(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(map[string]int)
	}
	r.changed[key]++
	r.last = time.Now()
}

func (r *recorder) Lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.losses++
	r.last = time.Now()
}

func (r *recorder) count(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed[key]
}

func (r *recorder) lost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.losses > 0
}

// quiet says whether nothing came for a moment.
func (r *recorder) quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.last) > 50*time.Millisecond
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed, r.losses = nil, 0
}

const watchedPrefix = "bff:{policy}:"

// watched is a store with a watcher, connected.
func watched(t *testing.T, o store.RedisOptions) (*store.Redis, *recorder) {
	t.Helper()
	o.Prefix = watchedPrefix
	redis, w := newRedis(t, o), new(recorder)
	redis.Watch(w)
	want(t, redis.Ping(t.Context()), nil)
	return redis, w
}

// BCL-12, BCL-22: what one replica does, the others are told.
func TestWatcherIsToldOfWhatOthersDo(t *testing.T) {
	server := redistest.Start(t)
	o := store.RedisOptions{Addresses: []string{server.Address}}
	one, _ := watched(t, o)
	_, w := watched(t, o)
	const key = watchedPrefix + "s:1"
	create(t, one, key)
	lease, err := one.Acquire(t.Context(), key, time.Minute)
	want(t, err, nil)
	want(t, one.Replace(t.Context(), key, entry("second", 1), &lease), nil)
	eventually(t, "it is told of the replacement", func() bool { return w.count(key) >= 1 })
	eventually(t, "that is all", w.quiet)
	w.reset()
	for range 3 { // none of these changes a record
		want(t, one.Touch(t.Context(), key, idle), nil)
		want(t, one.Renew(t.Context(), lease, time.Minute), nil)
	}
	want(t, one.Delete(t.Context(), key, "logout"), nil)
	eventually(t, "it is told of the deletion", func() bool { return w.count(key) >= 1 })
	eventually(t, "that is all", w.quiet)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.changed) != 1 || w.changed[key] != 1 || w.losses != 0 {
		t.Errorf("told of %v, and to doubt everything %d times", w.changed, w.losses)
	}
}

func TestWatcherIsToldOfAFlush(t *testing.T) {
	server := redistest.Start(t)
	redis, w := watched(t, store.RedisOptions{Addresses: []string{server.Address}})
	create(t, redis, watchedPrefix+"s:1")
	w.reset()
	server.Must(t, "FLUSHALL")
	eventually(t, "everything is doubted", w.lost)
}

func TestWatcherIsToldOfExpiry(t *testing.T) {
	server := redistest.Start(t)
	redis, w := watched(t, store.RedisOptions{Addresses: []string{server.Address}})
	const key = watchedPrefix + "s:1"
	want(t, redis.Create(t.Context(), key, fresh(entry("x", 0), 100*time.Millisecond, 100*time.Millisecond)), nil)
	eventually(t, "it is told of the creation", func() bool { return w.count(key) >= 1 })
	eventually(t, "it is told of the end", func() bool { return w.count(key) >= 2 })
}

// After a connection is lost, changes may have been missed: the watcher knows
// before anybody can read over the next one.
func TestWatcherDoubtsEverythingBeforeTheNextAnswer(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Start(t))
	redis, w := watched(t, store.RedisOptions{Addresses: []string{proxy.Address}})
	create(t, redis, watchedPrefix+"s:1")
	for range 5 {
		w.reset()
		proxy.Break()
		eventually(t, "the store is reachable again", func() bool {
			_, err := redis.Load(t.Context(), watchedPrefix+"s:1")
			if err == nil && !w.lost() {
				t.Fatal("an answer came over a new connection before the watcher was told")
			}
			return err == nil
		})
	}
}

// One policy is not told of the sessions of another.
func TestPrefixKeepsOtherPoliciesOut(t *testing.T) {
	server := redistest.Start(t)
	redis, w := watched(t, store.RedisOptions{Addresses: []string{server.Address}})
	create(t, redis, "bff:{other}:s:1")
	create(t, redis, watchedPrefix+"s:1")
	eventually(t, "it is told of its own", func() bool { return w.count(watchedPrefix+"s:1") == 1 })
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.changed {
		if !strings.HasPrefix(key, watchedPrefix+"s:") {
			t.Errorf("it was told of %q", key)
		}
	}
}
