//go:build conformance

package conformance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/oidcprovider"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/redis"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// tokenLife is how long access tokens live here: long enough for a round to end
// before they expire again.
const tokenLife = 3 * time.Second

// atATime is how many calls a round makes in parallel.
const atATime = 50

// crowd is several sessions whose pages call all replicas of one world.
type crowd struct {
	*world
	provider *oidcprovider.Server
	cookies  []string
	client   *http.Client
	numbers
	row *measurement

	mu   sync.Mutex
	lost map[int]string // sessions that were answered 401, and the reason
	odd  map[string]int // answers that should not be
	said map[string]bool
}

// newCrowd builds a world of several replicas on one store, with a provider that
// rotates refresh tokens, and logs sessions in.
func newCrowd(t *testing.T, title string, sessions int, life time.Duration, options ...option) *crowd {
	t.Helper()
	row := measured(t, title)
	c := registered("shop", nil)
	p := oidcprovider.Start(t, oidcprovider.Options{Clients: []oidcprovider.Client{c}, AccessTokenTTL: life})
	w := newWorld(t, append([]option{agreed(&guard{provider: p}, c), replicas(3)}, options...)...)
	all := &crowd{
		world: w, provider: p, row: row, lost: map[int]string{}, odd: map[string]int{}, said: map[string]bool{},
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: atATime}},
	}
	all.replicas = len(w.Replicas)
	t.Cleanup(all.client.CloseIdleConnections)
	t.Cleanup(all.end)
	for range sessions {
		all.join(len(all.cookies) % len(w.Replicas))
	}
	return all
}

// join logs another browser in at a replica.
func (c *crowd) join(replica int) *ua.Agent {
	c.Helper()
	a := c.NewAgent()
	c.Target(replica)
	if r := c.LoginAt(a, ""); r.Status != http.StatusOK || a.Jar.Value(cookieName) == "" {
		c.Fatalf("login ended with %s\n%s", r, c.Logs())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cookies = append(c.cookies, a.Jar.Value(cookieName))
	c.sessions = len(c.cookies)
	return a
}

// durable is a store of the world's own that has its data after a restart: all
// of it. With fsync once a second, which is Redis' own default, a server that is
// killed loses what it has acknowledged lately, and a session whose refresh
// token was renewed in that second with it.
func durable(t *testing.T) option {
	store := redis.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	return policyOf(func(w *world, s *v1alpha1.BFFPolicySpec) {
		w.Store = store
		s.Session.Store.Redis.Address = store.Address
	})
}

// outcome is the answer to one call.
type outcome struct {
	status  int
	wait    time.Duration // Retry-After
	cleared bool          // the session cookie
	problem string        // of an answer that is one
}

// try makes one call of a session's page at a replica.
func (c *crowd) try(ctx context.Context, session, replica int) (outcome, error) {
	c.mu.Lock()
	cookie := c.cookies[session]
	c.mu.Unlock()
	return c.call(ctx, cookie, replica)
}

func (c *crowd) call(ctx context.Context, cookie string, replica int) (outcome, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Replicas[replica].Traffic+"/api/x", nil)
	if err != nil {
		return outcome{}, err
	}
	request.Host = hostOf(shopURL)
	request.Header = http.Header{"X-Csrf": {"1"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"},
		"Cookie": {cookieName + "=" + cookie}}
	response, err := c.client.Do(request)
	if err != nil {
		return outcome{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return outcome{}, err
	}
	o := outcome{status: response.StatusCode}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 if there is none
	o.wait = time.Duration(seconds) * time.Second
	for _, set := range response.Cookies() {
		o.cleared = o.cleared || set.Name == cookieName && set.MaxAge < 0
	}
	if o.status >= 400 {
		o.problem = string(body)
		c.mu.Lock()
		c.said[fmt.Sprint(response.Header.Values("Set-Cookie"), o.problem)] = true
		c.mu.Unlock()
	}
	return o, nil
}

// insist calls as a patient page behind a load balancer does: an answer 503 with
// Retry-After is tried again after that time, and a replica that does not answer
// is replaced by the next one. Both count as retries.
func (c *crowd) insist(session, replica int) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	c.count(func(n *numbers) { n.calls++ })
	for {
		o, err := c.try(ctx, session, replica)
		switch {
		case ctx.Err() != nil:
			c.strange("no answer in 40 s")
			return
		case err != nil:
			replica = (replica + 1) % len(c.Replicas)
			o.wait = 10 * time.Millisecond
		case o.status == http.StatusOK:
			c.count(func(n *numbers) { n.ok++ })
			return
		case o.status == http.StatusUnauthorized:
			c.lose(session, o)
			return
		case o.status != http.StatusServiceUnavailable || o.wait <= 0 || o.cleared:
			c.strange(fmt.Sprintf("%d, Retry-After %s, cookie cleared %t: %s", o.status, o.wait, o.cleared, o.problem))
			return
		}
		c.count(func(n *numbers) { n.retries++ })
		pause := time.NewTimer(o.wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

func (c *crowd) count(change func(*numbers)) numbers {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.numbers)
	return c.numbers
}

func (c *crowd) lose(session int, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost[session] = fmt.Sprintf("cookie cleared %t: %s", o.cleared, o.problem)
}

func (c *crowd) strange(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.odd[what]++
}

// burst makes fifty calls at once, shared out over the given sessions and all
// replicas, and waits for them. meanwhile, if there is one, runs beside them.
func (c *crowd) burst(sessions []int, meanwhile func()) {
	c.count(func(n *numbers) { n.rounds++ })
	var calls sync.WaitGroup
	for i := range atATime {
		calls.Go(func() { c.insist(sessions[i%len(sessions)], i%len(c.Replicas)) })
	}
	if meanwhile != nil {
		meanwhile()
	}
	calls.Wait()
}

func (c *crowd) everybody() []int {
	all := make([]int, len(c.cookies))
	for i := range all {
		all[i] = i
	}
	return all
}

// expire waits until every access token that was issued so far has expired. A
// sidecar counts a token's life from before it asked for it.
func (c *crowd) expire() { time.Sleep(tokenLife) }

// refreshes is how often the provider has renewed tokens.
func (c *crowd) refreshesSoFar() int { return c.provider.Refreshes(c, "shop") }

// wantNothingOdd checks what holds for every test: whatever went wrong, an
// answer was either good, or a 503 that says when to come again.
func (c *crowd) wantNothingOdd() {
	c.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.odd) > 0 {
		c.Errorf("answers that should not be: %v", c.odd)
	}
}

// wantLost checks which sessions were lost.
func (c *crowd) wantLost(may ...int) {
	c.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	allowed := map[int]bool{}
	for _, session := range may {
		allowed[session] = true
	}
	for session, why := range c.lost {
		if !allowed[session] {
			c.Errorf("session %d was lost: %s", session, why)
		}
	}
}

// end fills in the row of the report, and scans what the pages were told.
func (c *crowd) end() {
	c.numbers.refreshes = c.refreshesSoFar()
	c.numbers.lost = len(c.lost)
	c.row.numbers = &c.numbers
	c.learnCookies()
	for text := range c.said {
		c.report("the browser received", c.Leaks.InBrowser(text))
	}
}
