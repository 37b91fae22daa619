package loads

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadbrowser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

const (
	// mustIdle and aimIdle bound RSS after the start and a login, in MiB.
	mustIdle, aimIdle = 20, 15
	// mustCached bounds RSS with all cached sessions, in MiB.
	mustCached = 64
	// inMemory is the share of the sessions that have to be found in memory for
	// them to count as cached.
	inMemory = 0.99
)

// residence is what one sidecar took, moment by moment.
type residence struct {
	ready, login, cached, used, connected loadworld.Memory
	// hits is the share of the cached sessions that a second use found in memory.
	hits float64
	// perConnection is what an idle connection takes, in bytes.
	perConnection float64
	// alone and beside are what a call costs without the idle connections and with
	// them: a heap over GOMEMLIMIT has the collector run all the time.
	alone, beside time.Duration
}

func (b *bench) memory(ctx context.Context, step *loadreport.Step) error {
	l, err := b.newLives(ctx, step, loadworld.Options{Replicas: 1, TokenSize: 4 << 10}, b.settings.used)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := l.logIn(ctx, l.sessions); err != nil {
		return err
	}
	table := loadreport.Table{
		Title: fmt.Sprintf("RSS in MiB (without pages of the executable; peak), memory limit %d MiB", b.memoryLimit>>20),
		Head: []string{"GOGC", "ready", "after a login", fmt.Sprintf("%s sessions cached", loadreport.Number(float64(b.settings.cached))), "of these found in memory",
			fmt.Sprintf("%s used", loadreport.Number(float64(b.settings.used))), fmt.Sprintf("%s idle connections", loadreport.Number(float64(b.connections))), "KiB per connection", "CPU µs per call without and with them"},
	}
	for i, gogc := range b.gogc {
		r, err := l.reside(ctx, gogc)
		if err != nil {
			return fmt.Errorf("GOGC=%s: %w", gogc, err)
		}
		name := cmp.Or(gogc, "default")
		table.Add(name, resident(r.ready), resident(r.login), resident(r.cached), loadreport.Number(100*r.hits)+" %", resident(r.used), resident(r.connected), loadreport.Number(r.perConnection/1024),
			loadreport.Number(micros(r.alone))+", "+loadreport.Number(micros(r.beside)))
		for moment, m := range map[string]loadworld.Memory{"ready": r.ready, "login": r.login, "cached": r.cached, "used": r.used, "connected": r.connected} {
			step.Set("gogc_"+name+"_"+moment+"_rss_bytes", m.RSS)
		}
		step.Set("gogc_"+name+"_connection_bytes", r.perConnection)
		step.Set("gogc_"+name+"_call_alone_us", micros(r.alone))
		step.Set("gogc_"+name+"_call_beside_connections_us", micros(r.beside))
		if i == 0 {
			step.Checks = b.judge(r)
			if r.connected.Peak > float64(b.memoryLimit) {
				step.Notes = append(step.Notes, fmt.Sprintf("%d idle connections take %s MiB: a container with this memory limit would be killed.", b.connections, mib(r.connected.Peak)))
			}
		}
	}
	step.Tables = append(step.Tables, table)
	step.Notes = append(step.Notes, fmt.Sprintf("GOMEMLIMIT is what the webhook sets for this limit: %s. Memory of sockets in the kernel is not in RSS.", loadworld.PodEnvironment(b.memoryLimit)[0]))
	return nil
}

func (b *bench) judge(r residence) []loadreport.Check {
	limit := float64(b.memoryLimit) / mebi
	return []loadreport.Check{
		loadreport.AtMost("RSS after the start and a login", r.login.RSS/mebi, mustIdle, aimIdle, "MiB"),
		loadreport.AtMost(fmt.Sprintf("RSS with %d sessions of 4 KiB cached", b.settings.cached), r.cached.RSS/mebi, mustCached, 0, "MiB"),
		loadreport.AtLeast("these sessions are found in memory", 100*r.hits, 100*inMemory, "%"),
		loadreport.AtMost(fmt.Sprintf("peak of RSS while %d sessions are used", b.settings.used), r.used.Peak/mebi, limit, 0, "MiB"),
	}
}

// resident writes what is in memory: all, without pages of files, and the peak.
func resident(m loadworld.Memory) string {
	return fmt.Sprintf("%s (%s; %s)", mib(m.RSS), mib(m.Anonymous), mib(m.Peak))
}

// environment is that of a container with the memory limit and a GOGC.
func (b *bench) environment(gogc string) []string {
	env := loadworld.PodEnvironment(b.memoryLimit)
	if gogc != "" {
		env = append(env, "GOGC="+gogc)
	}
	return env
}

// reside starts a sidecar and looks at it: with sessions, and another one with
// connections.
func (l *lives) reside(ctx context.Context, gogc string) (residence, error) {
	var r residence
	err := l.fresh(ctx, gogc, func(s *loadworld.Sidecar, c *crowd) error { return l.withSessions(ctx, s, c, &r) })
	if err == nil {
		err = l.fresh(ctx, gogc, func(s *loadworld.Sidecar, c *crowd) error { return l.withConnections(ctx, s, c, &r) })
	}
	return r, err
}

// fresh starts a sidecar of its own for do.
func (l *lives) fresh(ctx context.Context, gogc string, do func(*loadworld.Sidecar, *crowd) error) error {
	s, err := l.world.Start(ctx, l.environment(gogc)...)
	if err != nil {
		return err
	}
	defer l.world.Stop(s)
	c := &crowd{bench: l.bench}
	defer c.Close()
	site := siteOf(l.world)
	site.Replicas = []string{s.Traffic}
	for range l.clients {
		c.browsers = append(c.browsers, loadbrowser.New(site))
	}
	return do(s, c)
}

func (l *lives) withSessions(ctx context.Context, s *loadworld.Sidecar, c *crowd, r *residence) (err error) {
	look := func(into *loadworld.Memory, do func() error) error {
		if err := errors.Join(loadworld.ResetPeak(s.PID()), do()); err != nil {
			return err
		}
		// What was asked for is done; what the collector is at, a moment later.
		if err := pause(ctx, settle); err != nil {
			return err
		}
		*into, err = loadworld.MemoryOf(s.PID())
		return err
	}
	few := l.sessions[:l.settings.cached]
	if err := look(&r.ready, func() error { return nil }); err != nil {
		return err
	}
	if err := look(&r.login, func() error {
		session, err := c.browsers[0].Login(ctx, 0)
		if err != nil {
			return err
		}
		return wantOK(c.browsers[0].Call(ctx, 0, session))
	}); err != nil {
		return err
	}
	if err := look(&r.cached, func() error { _, err := c.use(ctx, "use", few); return err }); err != nil {
		return err
	}
	if r.hits, err = hits(ctx, s, c, few); err != nil {
		return err
	}
	return look(&r.used, func() error { _, err := c.use(ctx, "use", l.sessions); return err })
}

// hits uses sessions again, those used last first, and returns the share that
// were in memory.
func hits(ctx context.Context, s *loadworld.Sidecar, c *crowd, sessions []loadbrowser.Session) (float64, error) {
	before, err := s.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	again := slices.Clone(sessions)
	slices.Reverse(again)
	if _, err := c.use(ctx, "use again", again); err != nil {
		return 0, err
	}
	after, err := s.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	loads := after.By("bff_store_calls_total")["load"] - before.By("bff_store_calls_total")["load"]
	if math.IsNaN(loads) || loads < 0 {
		return 0, errors.New("the sidecar counts no loads of sessions")
	}
	return 1 - loads/float64(len(sessions)), nil
}
