package session_test

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// cluster is a world whose replicas have a connection each to one Redis.
type cluster struct {
	*world
	replicas []*session.Sessions
	stores   []*faultyStore
}

func newCluster(t *testing.T, address string, n int) *cluster {
	t.Helper()
	c := &cluster{world: newWorld(t, newRedis(t, address))}
	c.replicas, c.stores = append(c.replicas, c.Sessions), append(c.stores, c.store)
	for len(c.replicas) < n {
		s := &faultyStore{Store: newRedis(t, address)}
		c.replicas, c.stores = append(c.replicas, c.replicaOn(s)), append(c.stores, s)
	}
	return c
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after 20s: %s", what)
		}
	}
}

// GAP-06: 50 callers over three replicas, 20 times: one refresh each time, and
// every caller gets its result.
func TestReplicasRefreshOnce(t *testing.T) {
	c := newCluster(t, redistest.Start(t).Address, 3)
	succeeded, refreshes := 0, 0
	for round := range 20 {
		p := &provider{takes: rand.N(20 * time.Millisecond)}
		value := expired(t, c.world, p)
		var won atomic.Int64
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				s, err := c.replicas[i%3].Find(context.Background(), value)
				if err == nil {
					s, err = c.replicas[i%3].Refreshed(context.Background(), s, own, p.refresh)
				}
				if err != nil {
					t.Errorf("round %d: %v", round, err)
				} else if s.Tokens.Access.Token == "access-2" {
					won.Add(1)
				}
			})
		}
		group.Wait()
		succeeded += int(won.Load())
		refreshes += p.called()
	}
	t.Logf("%d of 1000 calls got the new token; %d refreshes in 20 rounds", succeeded, refreshes)
	if succeeded != 1000 || refreshes != 20 {
		t.Error("want 1000 calls and 20 refreshes")
	}
}

// A replica is killed while it waits for the provider: the others wait until its
// lease has run out, and lose nothing that the provider has not.
func TestReplicaIsKilledMidRefresh(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server)
	c := newCluster(t, server.Address, 3)
	doomed := c.replicaOn(newRedis(t, proxy.Address))
	p := &provider{}
	value := expired(t, c.world, p)
	s, err := doomed.Find(t.Context(), value)
	wantErr(t, err, nil)

	asking := make(chan struct{})
	go func() {
		_, _ = doomed.Refreshed(context.Background(), s, own, func(ctx context.Context, _ token.Set, _ token.Target) (token.Set, error) {
			close(asking)
			proxy.Cut()
			<-t.Context().Done() // it is never heard of again
			return token.Set{}, ctx.Err()
		})
	}()
	<-asking
	start := time.Now()
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			s, err := c.replicas[i%3].Find(context.Background(), value)
			if err == nil {
				s, err = c.replicas[i%3].Refreshed(context.Background(), s, own, p.refresh)
			}
			if err != nil || s.Tokens.Access.Token != "access-2" {
				t.Errorf("got %v, %v", s, err)
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	t.Logf("the others went on after %s", took)
	if took > leaseTime+2*time.Second || p.called() != 1 {
		t.Errorf("it took %s and %d calls", took, p.called())
	}
}

// BFF-14, BCL-12, BCL-22: a logout token that comes to one replica ends the
// session on all of them: requests, and streams.
func TestBackChannelLogoutReachesEveryReplica(t *testing.T) {
	c := newCluster(t, redistest.Start(t).Address, 3)
	alice, bob := c.as(t, issuer, "alice", "1"), c.as(t, issuer, "bob", "2")
	var streams []<-chan session.Event
	for _, replica := range c.replicas {
		s, err := replica.Find(t.Context(), alice)
		wantErr(t, err, nil)
		events, stop := replica.Watch(s)
		defer stop()
		streams = append(streams, events)
		_, err = replica.Find(t.Context(), bob)
		wantErr(t, err, nil)
	}
	n, err := c.replicas[1].EndBySID(t.Context(), issuer, "1", session.EndBackChannel)
	if n != 1 || err != nil {
		t.Fatalf("ended %d: %v", n, err)
	}
	for i, replica := range c.replicas {
		eventually(t, "the session is gone", func() bool {
			_, err := replica.Find(t.Context(), alice)
			return errors.Is(err, session.ErrNone) && session.ReasonOf(err) == session.EndBackChannel
		})
		select {
		case e := <-streams[i]:
			if e != (session.Event{Kind: session.EventEnded, Reason: session.EndBackChannel}) {
				t.Errorf("the stream was told %v", e)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the stream was told nothing")
		}
		if _, err := replica.Find(t.Context(), bob); err != nil {
			t.Error(err)
		}
	}
}

// Use does not make every replica read the session again, and what changes does.
func TestUseCostsOtherReplicasNothing(t *testing.T) {
	c := newCluster(t, redistest.Start(t).Address, 2)
	c.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle / 2, OutageGrace: grace})
	p := &provider{}
	value := expired(t, c.world, p)
	theirs, err := c.replicas[1].Find(t.Context(), value)
	wantErr(t, err, nil)
	c.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle, OutageGrace: grace})
	before := c.stores[1].called("Load")
	s := c.find(t, value)
	wantErr(t, c.Touch(t.Context(), s), nil) // the timeout is longer now: written at once
	if n := c.store.called("Touch"); n != 1 {
		t.Fatalf("%d uses were written", n)
	}
	// An answer on the same connection comes after what the server has told.
	wantErr(t, c.stores[1].Ping(t.Context()), nil)
	if got, err := c.replicas[1].Find(t.Context(), value); err != nil || got != theirs || c.stores[1].called("Load") != before {
		t.Errorf("it was read again: %v", err)
	}
	refreshedHere, err := c.Refreshed(t.Context(), s, own, p.refresh)
	wantErr(t, err, nil)
	eventually(t, "the other replica has the new tokens", func() bool {
		got, err := c.replicas[1].Find(t.Context(), value)
		return err == nil && got.Tokens.Access.Token == refreshedHere.Tokens.Access.Token
	})
}

// A store that was flushed has no session any more, and every replica says so.
func TestFlushedStore(t *testing.T) {
	server := redistest.Start(t)
	c := newCluster(t, server.Address, 2)
	value := c.as(t, issuer, "alice", "1")
	for _, replica := range c.replicas {
		_, err := replica.Find(t.Context(), value)
		wantErr(t, err, nil)
	}
	server.Must(t, "FLUSHALL")
	for _, replica := range c.replicas {
		eventually(t, "the session is gone", func() bool {
			_, err := replica.Find(t.Context(), value)
			return errors.Is(err, session.ErrNone) && session.ReasonOf(err) == session.EndUnknown
		})
	}
	value = c.as(t, issuer, "alice", "1")
	_, err := c.replicas[1].Find(t.Context(), value)
	wantErr(t, err, nil)
}

// The network to the store breaks, or goes silent, under load: sessions in use
// go on, nobody is logged out, and afterwards everything works.
func TestStoreOutageUnderLoad(t *testing.T) {
	for name, breaks := range map[string]func(*redistest.Proxy){"cut": (*redistest.Proxy).Cut, "silent": (*redistest.Proxy).Hang} {
		t.Run(name, func(t *testing.T) {
			proxy := redistest.NewProxy(t, redistest.Start(t))
			c := newCluster(t, proxy.Address, 3)
			p := &provider{}
			var values []string
			for i := range 20 {
				values = append(values, c.as(t, issuer, fmt.Sprint(i), fmt.Sprint(i)))
				for _, replica := range c.replicas {
					_, err := replica.Find(t.Context(), values[i])
					wantErr(t, err, nil)
				}
			}
			var calls atomic.Int64
			stop := make(chan struct{})
			var group sync.WaitGroup
			for i, value := range values {
				group.Go(func() {
					replica := c.replicas[i%3]
					for {
						select {
						case <-stop:
							return
						case <-time.After(time.Millisecond):
						}
						s, err := replica.Find(context.Background(), value)
						if err == nil {
							err = replica.Touch(context.Background(), s)
						}
						if err == nil {
							_, err = replica.Refreshed(context.Background(), s, own, p.refresh)
						}
						if err != nil {
							t.Error(err)
							return
						}
						calls.Add(1)
					}
				})
			}
			reach := func(n int64) {
				eventually(t, fmt.Sprint(n, " calls"), func() bool { return calls.Load() >= n || t.Failed() })
			}
			reach(500)
			breaks(proxy)
			eventually(t, "the outage is noticed", func() bool {
				_, err := c.Create(t.Context(), session.Session{Issuer: issuer, Subject: "x", Tokens: p.issue()})
				return errors.Is(err, session.ErrUnavailable)
			})
			reach(calls.Load() + 2000)
			proxy.Pass()
			eventually(t, "the store is back", func() bool {
				_, err := c.Create(t.Context(), session.Session{Issuer: issuer, Subject: "x", Tokens: p.issue()})
				return err == nil
			})
			reach(calls.Load() + 2000)
			close(stop)
			group.Wait()
			t.Logf("%d calls, none of which failed", calls.Load())

			n, err := c.replicas[0].EndBySubject(t.Context(), issuer, "1", session.EndLogout)
			if n != 1 || err != nil {
				t.Fatalf("ended %d: %v", n, err)
			}
			for _, replica := range c.replicas {
				eventually(t, "a logout is seen", func() bool {
					_, err := replica.Find(t.Context(), values[1])
					return session.ReasonOf(err) == session.EndLogout
				})
			}
		})
	}
}

// The key ring is rotated again and again under load, and a key that is no
// longer needed goes: nobody is logged out.
func TestRotationUnderLoad(t *testing.T) {
	c := newCluster(t, redistest.Start(t).Address, 2)
	providers := make([]*provider, 10)
	values := make([]string, len(providers))
	for i := range providers {
		providers[i] = &provider{lives: 100 * time.Millisecond}
		values[i] = expired(t, c.world, providers[i])
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for i, value := range values {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				replica := c.replicas[n%2]
				s, err := replica.Find(context.Background(), value)
				if err == nil {
					_, err = replica.Refreshed(context.Background(), s, own, providers[i].refresh)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	allRefreshed := func() {
		before := make([]int, len(providers))
		for i, p := range providers {
			before[i] = p.called()
		}
		for i, p := range providers {
			eventually(t, "every session is refreshed twice", func() bool { return p.called() >= before[i]+2 || t.Failed() })
		}
	}
	schedule := keyring.Schedule{Interval: time.Hour, Propagation: time.Minute, Keep: 30 * time.Minute}
	now := time.Now()
	first := c.ring.Load().Primary().ID
	seen := map[string]bool{}
	for range 9 { // a new key, its promotion, the old key's end, three times
		now = now.Add(time.Hour)
		next, err := c.ring.Load().Rotated(schedule, now, cryptorand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c.ring.Store(next)
		seen[next.Primary().ID] = true
		allRefreshed()
	}
	close(stop)
	group.Wait()
	if _, kept := c.ring.Load().Key(first); kept || len(seen) < 3 {
		t.Errorf("this test has rotated too little: %d primary keys, the first one kept: %v", len(seen), kept)
	}
	for _, value := range values {
		c.find(t, value)
	}
}
