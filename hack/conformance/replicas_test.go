//go:build conformance

package conformance

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/oidcprovider"
)

// GAP-06: twenty rounds of fifty calls on an expired access token, over three
// replicas. The provider revokes everything when a refresh token is used twice,
// so that one refresh too many would lose the session.
func TestReplicasRefreshOnceARound(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-06", "BFF-11", "BFF-14")
	const sessions, roundsEach = 4, 5
	c := newCrowd(t, "50 parallel calls on an expired token", sessions, tokenLife)
	for range roundsEach {
		c.expire()
		for session := range sessions { // one after the other, while nothing else calls
			before := c.refreshesSoFar()
			c.burst([]int{session}, nil)
			if n := c.refreshesSoFar() - before; n != 1 {
				t.Errorf("%d refreshes in a round, want 1", n)
			}
		}
	}
	c.wantNothingOdd()
	c.wantLost()
	if c.rounds != 20 || c.calls != 1000 || c.ok != 1000 || c.retries != 0 {
		t.Errorf("%+v, want 1000 of 1000 calls without a retry", c.numbers)
	}
	if failed := c.provider.Counts(t, "shop")["POST /token refresh_token 400"]; failed != 0 {
		t.Errorf("%d refreshes were refused", failed)
	}
}

// A replica that is killed while the provider has its answer takes the refresh
// token with it that was spent: that one session may be lost, and no other.
func TestReplicaKilledAfterTheRefreshWasProcessed(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-06")
	killedDuring(t, "a replica is killed, its refresh was processed", "held", oidcprovider.Fault{Hold: 20 * time.Second}, 0)
}

// If the provider has not processed the refresh, nothing is lost at all.
func TestReplicaKilledBeforeTheRefreshWasProcessed(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-06")
	killedDuring(t, "a replica is killed, its refresh was not processed", "stalled", oidcprovider.Fault{Stall: 20 * time.Second})
}

func killedDuring(t *testing.T, title, moment string, fault oidcprovider.Fault, mayBeLost ...int) {
	t.Helper()
	const sessions = 10
	c := newCrowd(t, title, sessions, tokenLife)
	c.expire()
	c.burst(c.everybody(), nil)
	c.expire()
	fault.Path, fault.Grant, fault.Count = oidcprovider.TokenPath, "refresh_token", 1
	c.provider.Fault(t, fault)
	var first sync.WaitGroup
	first.Go(func() { c.insist(0, 0) })
	c.provider.Await(t, "the refresh", func(e oidcprovider.Event) bool { return e.Name == moment })
	start := time.Now()
	c.burst(c.everybody(), c.Replicas[0].Kill)
	first.Wait()
	took := time.Since(start)
	for range 2 {
		c.expire()
		c.burst(c.survivors(), nil)
	}
	c.wantNothingOdd()
	c.wantLost(mayBeLost...)
	if took > 10*time.Second {
		t.Errorf("the others waited %s", took)
	}
	c.row.note("the round took %.1f s", took.Seconds())
	for session, why := range c.lost {
		if !strings.Contains(why, "cookie cleared true") || !strings.Contains(why, `"code":"session_ended"`) {
			t.Errorf("session %d was not told that it is over: %s", session, why)
		}
	}
	c.join(1) // and the user logs in again
	c.burst([]int{sessions}, nil)
}

// survivors are the sessions that were not lost.
func (c *crowd) survivors() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var alive []int
	for i := range c.cookies {
		if _, gone := c.lost[i]; !gone {
			alive = append(alive, i)
		}
	}
	return alive
}

// GAP-07: a provider in trouble ends no session.
func TestReplicasOutlastAProviderInTrouble(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-07", "BFF-13")
	c := newCrowd(t, "the provider answers 503 twice a round", 3, tokenLife)
	for session := range c.cookies {
		c.expire()
		before := c.refreshesSoFar()
		c.provider.Fault(t, oidcprovider.Fault{Path: oidcprovider.TokenPath, Grant: "refresh_token", Count: 2, Status: http.StatusServiceUnavailable})
		c.burst([]int{session}, nil)
		if n := c.refreshesSoFar() - before; n < 1 || n > 3 { // the first answers may expire while others still wait
			t.Errorf("%d refreshes in a round", n)
		}
	}
	if n := c.provider.Counts(t, "")["fault POST /token refresh_token 503"]; n != 6 {
		t.Errorf("the provider has answered 503 %d times, want 6", n)
	}
	c.wantNothingOdd()
	c.wantLost()
}

// The store is restarted, with its data, at any moment of a round, and at the
// worst one: the provider has spent the refresh token and has not answered.
func TestReplicasOutlastARestartOfTheStore(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-06")
	c := newCrowd(t, "Redis is restarted mid-round", 5, tokenLife, durable(t))
	restart := func() {
		c.Store.Kill()
		if err := c.Store.Resume(); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		c.expire()
		c.burst(c.everybody(), restart)
	}
	c.expire()
	c.atTheWorst(700*time.Millisecond, restart)
	c.expire()
	c.burst(c.everybody(), nil)
	c.wantNothingOdd()
	c.wantLost()
}

// The same, but the store stays away for longer than a lease lasts: whoever has
// the renewed tokens must get to store them before another replica uses the
// refresh token that was spent.
func TestReplicasOutlastALongOutageOfTheStoreMidRefresh(t *testing.T) {
	t.Parallel()
	covers(t, "GAP-06")
	c := newCrowd(t, "Redis is away for 8 s mid-refresh", 5, tokenLife, durable(t))
	c.expire()
	c.atTheWorst(700*time.Millisecond, func() {
		c.Store.Kill()
		time.Sleep(8 * time.Second) // the outage, longer than a lease
		if err := c.Store.Resume(); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		c.expire()
		c.burst(c.everybody(), nil)
	}
	c.wantNothingOdd()
	c.wantLost()
}

// atTheWorst makes a round in which something happens while the provider, which
// has spent a refresh token, holds its answer back.
func (c *crowd) atTheWorst(hold time.Duration, happens func()) {
	c.provider.Fault(c, oidcprovider.Fault{Path: oidcprovider.TokenPath, Grant: "refresh_token", Count: 1, Hold: hold})
	seen := len(c.provider.Events())
	c.burst(c.everybody(), func() {
		c.Eventually("an answer is held back", func() bool {
			for _, e := range c.provider.Events()[seen:] {
				if e.Name == "held" {
					return true
				}
			}
			return false
		})
		happens()
	})
}
