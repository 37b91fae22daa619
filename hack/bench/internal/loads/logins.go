package loads

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadbrowser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

const (
	replicas = 3
	// warmUp is how many logins come before anything is measured.
	warmUp = 300
	// leakTolerance is how much a heap may differ between two moments at which the
	// same should be in it, in bytes: a mebibyte. What 16,000 logins at a replica
	// leave behind shows from 66 bytes each.
	leakTolerance = 1 << 20
	// chartLimit is the memory limit that the chart gives a sidecar.
	chartLimit = 128 << 20
)

// lives is a world with sessions, followed from their logins to their logouts.
type lives struct {
	*crowd
	world    *loadworld.World
	heard    *loadworld.Listener
	step     *loadreport.Step
	sessions []loadbrowser.Session
	heaps    []moment
	rates    loadreport.Table
	calls    loadreport.Table
}

// moment are the heaps of all replicas at some time.
type moment struct {
	name  string
	heaps []loadworld.Heap
}

func (b *bench) newLives(ctx context.Context, step *loadreport.Step, o loadworld.Options, sessions int) (*lives, error) {
	o.Binary = b.binary
	if o.Environment == nil {
		o.Environment = loadworld.PodEnvironment(chartLimit)
	}
	w, err := loadworld.New(ctx, o)
	if err != nil {
		return nil, err
	}
	heard, err := w.Redis.Listen(ctx, loadworld.SessionKeys)
	if err != nil {
		w.Close()
		return nil, err
	}
	return &lives{crowd: b.newCrowd(w), world: w, heard: heard, step: step, sessions: make([]loadbrowser.Session, sessions)}, nil
}

// Close ends the world.
func (l *lives) Close() {
	l.crowd.Close()
	l.heard.Close()
	l.world.Close()
}

func (b *bench) logins(ctx context.Context, step *loadreport.Step) error {
	l, err := b.newLives(ctx, step, loadworld.Options{Replicas: replicas}, b.settings.logins)
	if err != nil {
		return err
	}
	defer l.Close()
	l.rates = loadreport.Table{Title: fmt.Sprintf("Rates, %d browsers at once", b.clients),
		Head: []string{"what", "how many", "per second", "per second and core of the sidecars", "sidecar µs each", "Redis µs each", "store calls each", "invalidations each"}}
	l.calls = loadreport.Table{Title: "What one costs the store", Head: []string{"what", "calls of the store", "commands of Redis, those in scripts too"}}
	for _, part := range []func(context.Context) error{l.first, l.logins, l.stored, l.uses, l.logouts, l.afterwards} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	for _, part := range []func(context.Context, *lives) error{b.larger, b.refreshes, b.touches} {
		if err := part(ctx, l); err != nil {
			return err
		}
	}
	step.Tables = append([]loadreport.Table{l.rates, l.calls}, step.Tables...)
	return nil
}

// first warms everything up and looks at the heaps.
func (l *lives) first(ctx context.Context) error {
	some := make([]loadbrowser.Session, warmUp)
	for _, do := range []func() (time.Duration, error){
		func() (time.Duration, error) { return l.logIn(ctx, some) },
		func() (time.Duration, error) { return l.use(ctx, "use", some) },
		func() (time.Duration, error) { return l.logOut(ctx, some) },
	} {
		if _, err := do(); err != nil {
			return err
		}
	}
	if err := l.revoked(ctx, warmUp); err != nil {
		return err
	}
	broadcasts, err := l.world.Redis.Broadcasts(ctx, 1)
	if err != nil {
		return err
	}
	l.step.Set("broadcast", map[bool]float64{true: 1}[broadcasts])
	return l.look(ctx, "before, warmed up")
}

// look looks at the heaps of all replicas.
func (l *lives) look(ctx context.Context, name string) error {
	m := moment{name: name}
	for _, s := range l.world.Replicas {
		h, err := s.Heap(ctx)
		if err != nil {
			return err
		}
		m.heaps = append(m.heaps, h)
	}
	l.heaps = append(l.heaps, m)
	return nil
}

// logins logs in, a quarter at a time, so that a leak shows while the number of
// sessions in memory stays the same.
func (l *lives) logins(ctx context.Context) error {
	var took time.Duration
	var used usage
	n := len(l.sessions)
	connections := l.world.Provider.Counts().Connections
	for quarter := range 4 {
		part := l.sessions[n*quarter/4 : n*(quarter+1)/4]
		t, u, err := l.phase(ctx, l.world, l.heard, func() (time.Duration, error) { return l.logIn(ctx, part) })
		if err != nil {
			return err
		}
		took, used = took+t, used.plus(u)
		if err := l.look(ctx, fmt.Sprintf("after %s logins", loadreport.Number(float64(n*(quarter+1)/4)))); err != nil {
			return err
		}
	}
	l.note("login", n, took, used)
	opened := float64(l.world.Provider.Counts().Connections-connections) / float64(n)
	l.step.Set("login_provider_connections", opened)
	l.step.Notes = append(l.step.Notes, fmt.Sprintf("The sidecars opened %s connections to the provider for each login; the browsers' own were open before.", loadreport.Number(opened)))
	l.step.Set("redis_bytes_per_session_1kib", used.redisMemory/float64(n))
	return nil
}

// note adds something to the tables.
func (l *lives) note(what string, n int, took time.Duration, used usage) {
	one := used.each(n)
	rate := float64(n) / took.Seconds()
	l.rates.Add(what, loadreport.Number(float64(n)), loadreport.Number(rate), loadreport.Number(perCore(one)),
		loadreport.Number(one.SidecarMicros), loadreport.Number(one.RedisMicros), loadreport.Number(one.Calls), loadreport.Number(one.Messages))
	l.calls.Add(what, listed(used.store, n), listed(used.redis, n))
	for figure, value := range map[string]float64{
		"per_second": rate, "per_second_and_core": perCore(one), "sidecar_us": one.SidecarMicros,
		"redis_us": one.RedisMicros, "store_calls": one.Calls, "invalidations": one.Messages,
	} {
		l.step.Set(strings.ReplaceAll(what, " ", "_")+"_"+figure, value)
	}
	if used.messages.Keys > 0 {
		l.step.Set("invalidation_bytes", used.messages.Bytes/used.messages.Keys)
	}
}

// listed are counts as "name count", of each of n, without what hardly happens.
func listed(counts map[string]float64, n int) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		each := counts[name] / float64(n)
		if each < 0.01 || name == "info" || name == "dbsize" {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += name + " " + loadreport.Number(each)
	}
	return text
}
