package store_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

// timeout is short, so that what hangs is noticed soon; slack is for a busy
// machine, and less than what tells short's callers from the others.
const (
	timeout = time.Second
	short   = 50 * time.Millisecond
	slack   = 900 * time.Millisecond
)

// calls are all that a store can be asked.
var calls = map[string]func(context.Context, store.Store) error{
	"Create": func(ctx context.Context, s store.Store) error {
		return s.Create(ctx, key+"2", fresh(entry("x", 0), lifetime, idle))
	},
	"Load":    func(ctx context.Context, s store.Store) error { _, err := s.Load(ctx, key); return err },
	"Replace": func(ctx context.Context, s store.Store) error { return s.Replace(ctx, key, entry("x", 1), nil) },
	"Touch":   func(ctx context.Context, s store.Store) error { return s.Touch(ctx, key, idle) },
	"Delete":  func(ctx context.Context, s store.Store) error { return s.Delete(ctx, key+"3", "") },
	"Ping":    func(ctx context.Context, s store.Store) error { return s.Ping(ctx) },
}

func TestServerIsDownAtStart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close() // nobody listens

	redis := newRedis(t, store.RedisOptions{Addresses: []string{address}, Timeout: timeout})
	for name, call := range calls {
		within(t, name, timeout, func() error { return call(t.Context(), redis) })
	}
	// The error says where it tried to go.
	if err := redis.Ping(t.Context()); !strings.Contains(err.Error(), "refused") && !strings.Contains(err.Error(), address) {
		t.Errorf("the error does not help: %v", err)
	}
}

func TestServerComesUpLater(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Start(t))
	proxy.Cut()
	redis := newRedis(t, store.RedisOptions{Addresses: []string{proxy.Address}, Timeout: timeout})
	for range 500 {
		within(t, "Ping", timeout, func() error { return redis.Ping(t.Context()) })
	}
	if made := proxy.Connections(); made > 20 {
		t.Errorf("500 calls knocked %d times", made)
	}
	proxy.Pass()
	eventually(t, "the store is found", func() bool { return redis.Ping(t.Context()) == nil })
}

func TestOutages(t *testing.T) {
	for name, outage := range map[string]func(*redistest.Proxy){
		"connections are cut":                        (*redistest.Proxy).Cut,
		"connections hang":                           (*redistest.Proxy).Hang,
		"connections hang, and then all ends":        func(p *redistest.Proxy) { p.Hang(); p.Cut() },
		"connections break and the next one is hung": func(p *redistest.Proxy) { p.Cut(); p.Hang() },
	} {
		t.Run(name, func(t *testing.T) {
			proxy := redistest.NewProxy(t, redistest.Start(t))
			redis := newRedis(t, store.RedisOptions{Addresses: []string{proxy.Address}, Timeout: timeout})
			create(t, redis, key)

			outage(proxy)
			for name, call := range calls {
				within(t, name, timeout, func() error { return call(t.Context(), redis) })
				within(t, name+" with a shorter deadline", short, func() error {
					ctx, cancel := context.WithTimeout(t.Context(), short)
					defer cancel()
					return call(ctx, redis)
				})
			}

			proxy.Pass()
			eventually(t, "the store is found again", func() bool { return redis.Ping(t.Context()) == nil })
			want(t, redis.Touch(t.Context(), key, idle), nil)
			load(t, redis, key)
		})
	}
}

// A caller that gives up, by deadline or by hand, breaks nothing for the others.
func TestGivingUpLeavesTheConnection(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Start(t))
	redis := newRedis(t, store.RedisOptions{Addresses: []string{proxy.Address}})
	create(t, redis, key)
	before := proxy.Connections()

	proxy.Hang()
	patient := make(chan error, 1)
	go func() { patient <- calls["Load"](context.Background(), redis) }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := calls["Load"](ctx, redis)
	want(t, err, store.ErrUnavailable)
	want(t, err, context.DeadlineExceeded)
	proxy.Pass()

	if err := <-patient; err != nil {
		t.Errorf("the patient caller got %v", err)
	}
	if after := proxy.Connections(); after != before {
		t.Errorf("%d connections were made, want %d", after, before)
	}
}

// A connection that breaks under an idle store is nothing a caller notices.
func TestReadsSurviveABrokenConnection(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Start(t))
	redis := newRedis(t, store.RedisOptions{Addresses: []string{proxy.Address}})
	create(t, redis, key)
	proxy.Break()
	load(t, redis, key)
}

// A server that crashed has forgotten the sessions, and its clients know.
func TestServerRestarts(t *testing.T) {
	server := redistest.Start(t)
	redis, w := watched(t, store.RedisOptions{Addresses: []string{server.Address}, Timeout: timeout})
	create(t, redis, key)
	w.reset()
	server.Restart(t)
	eventually(t, "the server is found again", func() bool {
		_, err := redis.Load(t.Context(), key)
		if errors.Is(err, store.ErrNotFound) && !w.lost() {
			t.Fatal("an answer came before the watcher was told")
		}
		return errors.Is(err, store.ErrNotFound)
	})
	create(t, redis, key) // its scripts are gone too
	eventually(t, "the watcher hears of changes", func() bool { return w.count(key) >= 1 })
}

// A fail-over behind one address leaves connections to what is a replica now.
func TestServerBecomesAReplica(t *testing.T) {
	server := redistest.Start(t)
	redis, w := watched(t, store.RedisOptions{Addresses: []string{server.Address}, Timeout: timeout})
	create(t, redis, key)
	connected := ourConnection(t, server.Must(t, "CLIENT", "LIST"))
	w.reset()
	server.Must(t, "REPLICAOF", "127.0.0.1", "1")
	err := redis.Touch(t.Context(), key, idle)
	want(t, err, store.ErrUnavailable)
	if !strings.Contains(err.Error(), "the server is a replica") {
		t.Errorf("the error does not help: %v", err)
	}
	if !w.lost() {
		t.Error("the watcher was not told that changes may have been missed")
	}
	server.Must(t, "REPLICAOF", "NO", "ONE")
	eventually(t, "the store has a primary again", func() bool { return redis.Touch(t.Context(), key, idle) == nil })
	if ourConnection(t, server.Must(t, "CLIENT", "LIST")) == connected {
		t.Error("the connection to the replica was kept")
	}
}

// While the server is away calls fail at once and one at a time knocks, however
// many callers there are.
func TestOutageDoesNotPileUp(t *testing.T) {
	proxy := redistest.NewProxy(t, redistest.Start(t))
	redis := newRedis(t, store.RedisOptions{Addresses: []string{proxy.Address}, Timeout: timeout})
	create(t, redis, key)
	proxy.Hang()
	before, goroutines := proxy.Connections(), runtime.NumGoroutine()

	var group sync.WaitGroup
	for range 500 { // more than a connection's ring has slots
		group.Go(func() {
			// Five hundred at once take a busy machine a while. What hangs, hangs for ever.
			within(t, "Load", 10*timeout, func() error { return calls["Load"](context.Background(), redis) })
		})
	}
	group.Wait()
	if made := proxy.Connections() - before; made > 3 {
		t.Errorf("500 callers made %d connections", made)
	}
	proxy.Pass()
	eventually(t, "the store is found again", func() bool { return redis.Ping(t.Context()) == nil })
	eventually(t, "no goroutine is left behind", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
}

func TestLogNamesTransitionsOnly(t *testing.T) {
	var log buffer
	proxy := redistest.NewProxy(t, redistest.Start(t))
	redis := newRedis(t, store.RedisOptions{Addresses: []string{proxy.Address}, Timeout: timeout, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	create(t, redis, key)
	proxy.Cut()
	for range 50 {
		_ = redis.Ping(t.Context())
	}
	eventually(t, "the outage is logged", func() bool { return strings.Contains(log.String(), "unreachable") })
	proxy.Pass()
	eventually(t, "the recovery is logged", func() bool {
		_ = redis.Ping(t.Context())
		return strings.Contains(log.String(), "reachable again")
	})
	if lines := strings.Count(log.String(), "\n"); lines > 3 {
		t.Errorf("%d lines for one outage:\n%s", lines, log.String())
	}
	discreet(t, errors.New(log.String()))
}

func TestClosedStore(t *testing.T) {
	redis := newRedis(t, store.RedisOptions{Addresses: []string{redistest.Start(t).Address}})
	create(t, redis, key)
	redis.Close()
	redis.Close()
	for name, call := range calls {
		within(t, name, timeout, func() error { return call(t.Context(), redis) })
	}
}

// within checks that a call fails as unavailable, in time.
func within(t *testing.T, name string, limit time.Duration, call func() error) {
	t.Helper()
	start := time.Now()
	err := call()
	if took := time.Since(start); took > limit+slack {
		t.Errorf("%s took %s, longer than %s", name, took, limit)
	}
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%s returned %v, want %v", name, err, store.ErrUnavailable)
		return
	}
	discreet(t, err)
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
