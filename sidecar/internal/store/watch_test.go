package store_test

import (
	"fmt"
	"strconv"
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
	silence time.Duration // before the last loss
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

func (r *recorder) Lost(silence time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.losses++
	r.silence = silence
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
	other, w := watched(t, o)
	const key = watchedPrefix + "s:1"
	create(t, one, key)
	load(t, other, key)
	lease, err := one.Acquire(t.Context(), key, time.Minute)
	want(t, err, nil)
	want(t, one.Replace(t.Context(), key, entry("second", 1), &lease), nil)
	eventually(t, "it is told of the replacement", func() bool { return w.count(key) >= 1 })
	eventually(t, "that is all", w.quiet)
	load(t, other, key)
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
	want(t, redis.Create(t.Context(), key, fresh(entry("x", 0), 2*time.Second, 2*time.Second)), nil)
	want(t, redis.Ping(t.Context()), nil) // what the creation was told of is told
	w.reset()
	load(t, redis, key)
	eventually(t, "it is told of the end", func() bool { return w.count(key) >= 1 })
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

// Who is told to doubt everything is told too for how long the server had said
// nothing.
func TestWatcherIsToldOfTheSilence(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Start(t))
	redis, w := watched(t, store.RedisOptions{Addresses: []string{proxy.Address}, Timeout: timeout})
	proxy.Hang()
	hung := time.Now()
	want(t, redis.Ping(t.Context()), store.ErrUnavailable)
	silent := time.Since(hung)
	eventually(t, "everything is doubted", w.lost)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silence < timeout || w.silence > silent+slack {
		t.Errorf("it was told of %s in which nothing was heard, it was %s", w.silence, silent)
	}
}

// However many sidecars there are, those are told that have read a session.
func TestWatcherIsNotToldOfWhatWasNotReadHere(t *testing.T) {
	server := redistest.Start(t)
	o := store.RedisOptions{Addresses: []string{server.Address}}
	writer, _ := watched(t, o)
	const key, untold = watchedPrefix + "s:1", watchedPrefix + "s:2"
	create(t, writer, key)
	create(t, writer, untold)
	reader, w := watched(t, o)
	load(t, reader, key)
	want(t, writer.Replace(t.Context(), untold, entry("second", 1), nil), nil)
	want(t, writer.Delete(t.Context(), untold, "logout"), nil)
	want(t, writer.Replace(t.Context(), key, entry("second", 1), nil), nil)
	eventually(t, "it is told of what it has read", func() bool { return w.count(key) == 1 })
	want(t, writer.Replace(t.Context(), key, entry("third", 2), nil), nil)
	want(t, reader.Ping(t.Context()), nil) // on the connection that changes are told on
	if w.count(untold) != 0 || w.count(key) != 1 || w.lost() {
		t.Errorf("it was told %d times of what it has not read, and %d times of what it has read once", w.count(untold), w.count(key))
	}
}

// Only entries are told of, and only those of the own policy, whatever else was
// read.
func TestPrefixKeepsEverythingElseOut(t *testing.T) {
	server := redistest.Start(t)
	redis, w := watched(t, store.RedisOptions{Addresses: []string{server.Address}})
	other, _ := watched(t, store.RedisOptions{Addresses: []string{server.Address}})
	keys := []string{watchedPrefix + "s:1", watchedPrefix + "u:1", "bff:{other}:s:1"}
	for _, key := range keys {
		create(t, redis, key)
		load(t, redis, key)
		lease, err := redis.Acquire(t.Context(), key, time.Minute)
		want(t, err, nil)
		want(t, redis.Renew(t.Context(), lease, time.Minute), nil)
		want(t, redis.Release(t.Context(), lease), nil)
		load(t, redis, key)
	}
	want(t, redis.Ping(t.Context()), nil)
	w.reset()
	for _, key := range keys {
		want(t, other.Touch(t.Context(), key, idle), nil)
		want(t, other.Delete(t.Context(), key, "logout"), nil)
	}
	eventually(t, "it is told of its own", func() bool { return w.count(keys[0]) == 1 })
	want(t, redis.Ping(t.Context()), nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.changed) != 1 {
		t.Errorf("it was told of %v", w.changed)
	}
}

// Whoever makes cookies up fills the server's memory neither with entries nor
// with what it remembers of its clients.
func TestStrangersLeaveNothingBehind(t *testing.T) {
	server := redistest.Start(t)
	redis, _ := watched(t, store.RedisOptions{Addresses: []string{server.Address}})
	create(t, redis, watchedPrefix+"s:1")
	before, keys := tracked(t, server), server.Must(t, "DBSIZE")
	for i := range 200 {
		_, err := redis.Load(t.Context(), fmt.Sprintf("%ss:stranger%d", watchedPrefix, i))
		want(t, err, store.ErrNotFound)
	}
	if after := tracked(t, server); after > before || server.Must(t, "DBSIZE") != keys {
		t.Errorf("the server remembers %d keys after 200 strangers, %d before; it has %s keys, %s before", after, before, server.Must(t, "DBSIZE"), keys)
	}
	load(t, redis, watchedPrefix+"s:1")
	if after := tracked(t, server); after <= before {
		t.Error("the server does not remember what was read")
	}
}

// tracked is how many keys a server remembers to tell of.
func tracked(t *testing.T, server *redistest.Server) int {
	t.Helper()
	for line := range strings.Lines(server.Must(t, "INFO", "stats")) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "tracking_total_keys:"); ok {
			n, err := strconv.Atoi(text)
			want(t, err, nil)
			return n
		}
	}
	t.Fatal("the server does not say how much it remembers")
	return 0
}

// A server that remembers only so much tells of what it forgets.
func TestWatcherIsToldOfWhatTheServerForgets(t *testing.T) {
	server := redistest.Start(t)
	server.Must(t, "CONFIG", "SET", "tracking-table-max-keys", "10")
	redis, w := watched(t, store.RedisOptions{Addresses: []string{server.Address}})
	var keys []string
	for i := range 50 {
		key := fmt.Sprintf("%ss:%d", watchedPrefix, i)
		create(t, redis, key)
		load(t, redis, key)
		keys = append(keys, key)
	}
	want(t, redis.Ping(t.Context()), nil)
	w.reset()
	for _, key := range keys {
		load(t, redis, key)
	}
	eventually(t, "it is told of most", func() bool {
		told := 0
		for _, key := range keys {
			told += min(1, w.count(key))
		}
		return told >= len(keys)-10
	})
}
