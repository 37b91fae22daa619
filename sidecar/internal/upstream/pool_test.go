package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// together makes n calls at once, so that there are n connections.
func together(t *testing.T, c *Client, n int, addresses ...string) {
	t.Helper()
	var closers []io.Closer
	for i := range n {
		answer, err := c.RoundTrip(request(t, "GET", addresses[i%len(addresses)], "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		closers = append(closers, answer.Body)
	}
	for _, closer := range closers {
		closer.Close()
	}
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	a, b := answers(t, small), answers(t, small)
	c := client(t, func(o *Options) { o.MaxIdlePerHost, o.MaxIdle = 4, 6 })
	together(t, c, 10, a.address)
	if n := idle(c); n != 4 {
		t.Errorf("%d connections to one host are kept, want 4", n)
	}
	together(t, c, 10, b.address)
	if n := idle(c); n != 6 {
		t.Errorf("%d connections are kept, want 6", n)
	}
	// The longest idle ones have gone.
	if n := len(c.pool.hosts[a.address].idle); n != 2 {
		t.Errorf("%d connections to the first host are kept, want 2", n)
	}
}

func TestLastUsedComesFirst(t *testing.T) {
	s, c := answers(t, small), client(t)
	together(t, c, 3, s.address)
	last := c.pool.hosts[s.address].idle[2]
	for range 5 {
		wants(t, c, get(t, s), "hello")
	}
	if got := c.pool.get(s.address); got != last {
		t.Error("another connection was used")
	} else {
		got.socket.Close()
	}
}

func TestIdleTimeout(t *testing.T) {
	s := answers(t, small)
	c := client(t, func(o *Options) { o.IdleTimeout = 20 * time.Millisecond })
	together(t, c, 3, s.address)
	eventually(t, "all are closed", func() bool { return idle(c) == 0 })
	eventually(t, "nothing is left", func() bool {
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		return c.pool.sweep == nil && len(c.pool.hosts) == 0
	})
	wants(t, c, get(t, s), "hello")
	s.wantConnections(t, 4)
}

func TestOnlyWhatIsOldExpires(t *testing.T) {
	s, c := answers(t, small), client(t)
	together(t, c, 5, s.address)
	for _, old := range c.pool.hosts[s.address].idle[:2] {
		old.idleSince = old.idleSince.Add(-2 * c.options.IdleTimeout)
	}
	c.pool.expire()
	if n := idle(c); n != 3 {
		t.Errorf("%d connections are left, want 3", n)
	}
	if c.pool.sweep == nil {
		t.Error("nobody closes what is left")
	}
	together(t, c, 3, s.address)
	s.wantConnections(t, 5)
}

func TestDialsAreBounded(t *testing.T) {
	s := answers(t, small)
	var now, most atomic.Int32
	full := make(chan bool)
	c := client(t, func(o *Options) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			<-full
			return dial(ctx, network, address)
		}
	})
	var all sync.WaitGroup
	for range 3 * maxDials {
		all.Go(func() {
			if _, _, err := exchange(c, get(t, s)); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "as many as may be dial", func() bool { return now.Load() == maxDials })
	close(full)
	all.Wait()
	if most.Load() > maxDials {
		t.Errorf("there were %d dials at once", most.Load())
	}
}

// Who waits for others' dials waits no longer than for an answer.
func TestWaitForDialsIsBounded(t *testing.T) {
	hold := make(chan bool)
	var dials atomic.Int32
	c := client(t, func(o *Options) {
		o.HeaderTimeout = 20 * time.Millisecond
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			<-hold
			return nil, errors.New("dial failed")
		}
	})
	var all sync.WaitGroup
	for range maxDials {
		all.Go(func() { exchange(c, request(t, "GET", "localhost:1", "/", nil)) })
	}
	eventually(t, "all dial", func() bool { return dials.Load() == maxDials })
	if _, _, err := exchange(c, request(t, "GET", "localhost:1", "/", nil)); !isTimeout(err) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.pool.enter(ctx, "localhost:1", patience); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(hold)
	all.Wait()
	if len(c.pool.hosts) != 0 {
		t.Error("the host is still known")
	}
}

func TestAddress(t *testing.T) {
	for host, want := range map[string]string{
		"orders":      "orders:80",
		"orders:8080": "orders:8080",
		"10.0.0.1":    "10.0.0.1:80",
		"[::1]":       "[::1]:80",
		"[::1]:8080":  "[::1]:8080",
	} {
		if got := address(host); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}
