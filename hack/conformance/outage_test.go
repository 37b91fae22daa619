//go:build conformance

package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// outageVariable is how long the store stays away, such as 60s. Default 5 s.
const outageVariable = "CONFORMANCE_OUTAGE"

func outageTime(t *testing.T) time.Duration {
	t.Helper()
	given := os.Getenv(outageVariable)
	if given == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(given)
	if err != nil || d < time.Second || d > 5*time.Minute {
		t.Fatalf("%s is %q: write a duration from 1s to 5m, such as 60s", outageVariable, given)
	}
	return d
}

// perSecond is how many calls a load makes.
const perSecond = 200

// load calls for the given sessions, at one replica after the other, until stop
// is called. Whatever is not answered 200 at once is odd.
func (c *crowd) load(sessions []int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		var calls sync.WaitGroup
		defer calls.Wait()
		room := make(chan struct{}, 2*atATime)
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			room <- struct{}{}
			calls.Go(func() {
				c.expect(sessions[i%len(sessions)], i/len(sessions)%len(c.Replicas))
				<-room
			})
		}
	})
	return func() { cancel(); running.Wait() }
}

// expect makes a call that has to be answered 200.
func (c *crowd) expect(session, replica int) {
	c.count(func(n *numbers) { n.calls++ })
	o, err := c.try(context.Background(), session, replica)
	switch {
	case err != nil:
		c.strange(err.Error())
	case o.status == http.StatusUnauthorized:
		c.lose(session, o)
	case o.status != http.StatusOK:
		c.strange(fmt.Sprintf("%d, Retry-After %s, cookie cleared %t: %s", o.status, o.wait, o.cleared, codeOf(o)))
	default:
		c.count(func(n *numbers) { n.ok++ })
	}
}

func codeOf(o outcome) string {
	var p problem
	_ = json.Unmarshal([]byte(o.problem), &p) // no code then
	return p.Code
}

// wantToCome checks that a call is refused for now: 503, when to come again, and
// the cookie is kept.
func (c *crowd) wantToCome(what, cookie string, replica int) {
	c.Helper()
	o, err := c.call(context.Background(), cookie, replica)
	if err != nil || o.status != http.StatusServiceUnavailable || o.wait <= 0 || o.cleared || codeOf(o) != "store_unavailable" {
		c.Errorf("%s: %d, Retry-After %s, cookie cleared %t, %s, %v", what, o.status, o.wait, o.cleared, o.problem, err)
	}
}

// wantBack waits until a session is served by all replicas.
func (c *crowd) wantBack(session int) {
	c.Helper()
	for replica := range c.Replicas {
		c.Eventually(fmt.Sprintf("session %d is served by replica %d", session, replica), func() bool {
			o, err := c.try(context.Background(), session, replica)
			if err != nil || o.status == http.StatusUnauthorized || o.cleared {
				c.Fatalf("session %d at replica %d: %d %s, %v", session, replica, o.status, o.problem, err)
			}
			return o.status == http.StatusOK
		})
	}
}

// The store goes away under load and comes back with its data.
func TestOutageOfTheStore(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-14")
	const used, strangers = 12, 3
	away := outageTime(t)
	c := newCrowd(t, fmt.Sprintf("Redis is away for %s under load", away), used, 10*time.Minute, durable(t))
	for session := range used {
		c.wantBack(session) // every replica has it in memory
	}
	for range strangers { // which the first replica alone has seen
		c.join(0)
	}
	stop := c.load(c.everybody()[:used])

	before := c.count(func(*numbers) {}).calls
	c.Store.Kill()
	refused := 0
	for start := time.Now(); time.Since(start) < away; time.Sleep(250 * time.Millisecond) {
		for stranger := range strangers {
			c.wantToCome("a session that this replica has not seen lately", c.cookies[used+stranger], 1+stranger%2)
		}
		c.wantToCome("a cookie that nobody has", strings.Repeat("A", 43), 1)
		refused += strangers + 1
	}
	newcomer := c.NewAgent()
	if r := c.LoginAt(newcomer, ""); r.Status != http.StatusServiceUnavailable || newcomer.Jar.Value(cookieName) != "" {
		t.Errorf("a login meanwhile has ended with %s", r)
	}
	during := c.count(func(*numbers) {}).calls - before
	if err := c.Store.Resume(); err != nil {
		t.Fatal(err)
	}
	for session := range c.cookies {
		c.wantBack(session)
	}
	c.join(2)
	stop()
	c.wantNothingOdd()
	c.wantLost()
	if c.ok != c.calls || during < int(away.Seconds())*perSecond/4 {
		t.Errorf("%+v, %d of the calls while the store was away", c.numbers, during)
	}
	c.wantCleanEnd()
	c.row.note("%d other calls got 503 and kept their cookie", refused)
}

// wantCleanEnd empties the store: everybody is told, once, that the session is
// over, and can log in again.
func (c *crowd) wantCleanEnd() {
	c.Helper()
	if _, err := c.Store.Do(context.Background(), "FLUSHALL"); err != nil {
		c.Fatal(err)
	}
	for session, cookie := range c.cookies {
		for replica := range c.Replicas {
			var o outcome
			c.Eventually("the session is over", func() (over bool) {
				var err error
				o, err = c.call(context.Background(), cookie, replica)
				return err == nil && o.status != http.StatusOK
			})
			if o.status != http.StatusUnauthorized || !o.cleared || codeOf(o) != "session_ended" || !strings.Contains(o.problem, "Log in again") {
				c.Errorf("session %d at replica %d: %d, cookie cleared %t: %s", session, replica, o.status, o.cleared, o.problem)
			}
		}
	}
	c.join(1)
	c.wantBack(len(c.cookies) - 1)
}

// When the grace is over, sessions rest: 503, no cookie is cleared, and when the
// store is there again they go on.
func TestOutageLongerThanTheGrace(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-14")
	grace := metav1.Duration{Duration: 2 * time.Second}
	c := newCrowd(t, "Redis is away for longer than outageGrace (2 s)", 6, 10*time.Minute, durable(t),
		policy(func(s *v1alpha1.BFFPolicySpec) { s.Session.OutageGrace = &grace }))
	for session := range c.cookies {
		c.wantBack(session)
	}
	c.Store.Kill()
	start := time.Now()
	graced := 0
	for session := range c.cookies {
		for replica := range c.Replicas {
			c.Eventually("the grace is over", func() bool {
				o, err := c.try(context.Background(), session, replica)
				if err != nil || o.status == http.StatusUnauthorized || o.cleared {
					t.Fatalf("%d %s, %v", o.status, o.problem, err)
				}
				if o.status == http.StatusOK {
					graced++
				}
				return o.status == http.StatusServiceUnavailable
			})
			c.wantToCome("after the grace", c.cookies[session], replica)
		}
	}
	if took := time.Since(start); took < grace.Duration-500*time.Millisecond || graced == 0 {
		t.Errorf("the grace was over after %s and %d calls, want %s", took, graced, grace.Duration)
	}
	if err := c.Store.Resume(); err != nil {
		t.Fatal(err)
	}
	for session := range c.cookies {
		c.wantBack(session)
	}
	c.wantLost()
	c.row.note("%d calls were served in the grace, then 503 until Redis was back", graced)
}
