package session_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// faultyStore is a replica's connection to a store, in a world that misbehaves
// on demand.
type faultyStore struct {
	store.Store
	mu        sync.Mutex
	down      map[string]bool // by the method's name
	afterward map[string]bool // fails after it was done
	calls     map[string]int
	before    map[string]func() // run before the next call of the method, once
	watchers  []store.Watcher
	deaf      bool   // changes are not heard of
	key       string // that was loaded last
}

var _ store.Watcher = (*faultyStore)(nil)

// everything is all a store does.
var everything = []string{"Create", "Load", "Replace", "Touch", "Delete", "Indexed", "Acquire", "Renew", "Release", "Put", "Take"}

// cut makes methods fail and tells the watchers that the connection has gone.
func (f *faultyStore) cut(methods ...string) {
	f.set(&f.down, methods)
	f.Lost(0)
}

// cutAll makes all methods fail.
func (f *faultyStore) cutAll() { f.cut(everything...) }

func (f *faultyStore) loseAnswers(methods ...string) { f.set(&f.afterward, methods) }

func (f *faultyStore) repair() {
	f.set(&f.down, nil)
	f.set(&f.afterward, nil)
}

func (f *faultyStore) set(which *map[string]bool, methods []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*which = map[string]bool{}
	for _, m := range methods {
		(*which)[m] = true
	}
}

// first runs do before the next call of a method.
func (f *faultyStore) first(method string, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before == nil {
		f.before = map[string]func(){}
	}
	f.before[method] = do
}

func (f *faultyStore) called(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// asked is how often it was asked for anything.
func (f *faultyStore) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, calls := range f.calls {
		n += calls
	}
	return n
}

func (f *faultyStore) do(method string, call func() error) error {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[method]++
	before := f.before[method]
	delete(f.before, method)
	f.mu.Unlock()
	if before != nil {
		before()
	}
	f.mu.Lock()
	down, afterward := f.down[method], f.afterward[method]
	f.mu.Unlock()
	if down {
		return fmt.Errorf("%s: %w", method, store.ErrUnavailable)
	}
	err := call()
	if afterward {
		return fmt.Errorf("%s: %w", method, store.ErrUnavailable)
	}
	return err
}

// Watch adds a watcher: the replicas of a world share a store in memory.
func (f *faultyStore) Watch(w store.Watcher) {
	f.mu.Lock()
	f.watchers = append(f.watchers, w)
	first := len(f.watchers) == 1
	f.mu.Unlock()
	if first {
		f.Store.Watch(f)
	}
}

func (f *faultyStore) Changed(key string) {
	for _, w := range f.listening() {
		w.Changed(key)
	}
}

func (f *faultyStore) Lost(silence time.Duration) {
	for _, w := range f.listening() {
		w.Lost(silence)
	}
}

func (f *faultyStore) listening() []store.Watcher {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deaf {
		return nil
	}
	return f.watchers
}

func (f *faultyStore) Create(ctx context.Context, key string, n store.New) error {
	return f.do("Create", func() error { return f.Store.Create(ctx, key, n) })
}

func (f *faultyStore) Load(ctx context.Context, key string) (e store.Entry, err error) {
	f.mu.Lock()
	f.key = key
	f.mu.Unlock()
	err = f.do("Load", func() error { e, err = f.Store.Load(ctx, key); return err })
	return e, err
}

func (f *faultyStore) Replace(ctx context.Context, key string, e store.Entry, lease *store.Lease) error {
	return f.do("Replace", func() error { return f.Store.Replace(ctx, key, e, lease) })
}

func (f *faultyStore) Touch(ctx context.Context, key string, idle time.Duration) error {
	return f.do("Touch", func() error { return f.Store.Touch(ctx, key, idle) })
}

func (f *faultyStore) Delete(ctx context.Context, key, note string) error {
	return f.do("Delete", func() error { return f.Store.Delete(ctx, key, note) })
}

func (f *faultyStore) Indexed(ctx context.Context, index string) (listed []string, err error) {
	err = f.do("Indexed", func() error { listed, err = f.Store.Indexed(ctx, index); return err })
	return listed, err
}

func (f *faultyStore) Acquire(ctx context.Context, key string, ttl time.Duration) (l store.Lease, err error) {
	err = f.do("Acquire", func() error { l, err = f.Store.Acquire(ctx, key, ttl); return err })
	return l, err
}

func (f *faultyStore) Renew(ctx context.Context, l store.Lease, ttl time.Duration) error {
	return f.do("Renew", func() error { return f.Store.Renew(ctx, l, ttl) })
}

func (f *faultyStore) Release(ctx context.Context, l store.Lease) error {
	return f.do("Release", func() error { return f.Store.Release(ctx, l) })
}

func (f *faultyStore) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return f.do("Put", func() error { return f.Store.Put(ctx, key, value, ttl) })
}

func (f *faultyStore) Take(ctx context.Context, key string) (value []byte, err error) {
	err = f.do("Take", func() error { value, err = f.Store.Take(ctx, key); return err })
	return value, err
}
