package loads

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

// sampled is how many keys of each kind are looked at to learn what they take.
const sampled = 1000

// plus adds up.
func (u usage) plus(v usage) usage {
	return usage{
		sidecars: u.sidecars + v.sidecars, store: added(u.store, v.store), redis: added(u.redis, v.redis),
		redisCPU: u.redisCPU + v.redisCPU, redisMemory: u.redisMemory + v.redisMemory, redisKeys: u.redisKeys + v.redisKeys,
		messages: loadworld.Invalidations{Keys: u.messages.Keys + v.messages.Keys, Bytes: u.messages.Bytes + v.messages.Bytes},
	}
}

func added(a, b map[string]float64) map[string]float64 {
	total := map[string]float64{}
	for _, part := range []map[string]float64{a, b} {
		for name, value := range part {
			total[name] += value
		}
	}
	return total
}

// stored looks at what the sessions take in Redis.
func (l *lives) stored(ctx context.Context) error {
	bytes, err := l.kinds(ctx, "Keys in Redis, access tokens of 1 KiB")
	if err != nil {
		return err
	}
	l.step.Set("redis_key_bytes_per_session_1kib", bytes)
	return nil
}

// meanings are what the store's kinds of keys are.
var meanings = map[string]string{
	"s": "the sealed session", "a": "its last use", "u": "index by user", "p": "index by provider's session",
	"n": "note of why it ended, of the warm-up's logouts", "t": "ID token of a logout that goes on, of the warm-up's", "l": "lease of a refresh", "f": "fence of leases",
}

// kinds tells what keys there are and what they take, and returns what those of
// one session take together.
func (l *lives) kinds(ctx context.Context, title string) (float64, error) {
	kinds, err := l.world.Redis.Kinds(ctx, sampled)
	if err != nil {
		return 0, err
	}
	table := loadreport.Table{Title: title, Head: []string{"kind", "per session", "bytes each (MEMORY USAGE)", "bytes per session"}}
	total := 0.0
	for _, k := range kinds {
		per := k.Count / float64(len(l.sessions))
		total += per * k.Bytes
		table.Add(strings.TrimSpace(k.Name+" "+meanings[k.Name]), loadreport.Number(per), loadreport.Number(k.Bytes), loadreport.Number(per*k.Bytes))
	}
	table.Add("all", "", "", loadreport.Number(total))
	l.step.Tables = append(l.step.Tables, table)
	return total, nil
}

// uses uses every session once: each is loaded from the store.
func (l *lives) uses(ctx context.Context) error {
	took, used, err := l.phase(ctx, l.world, l.heard, func() (time.Duration, error) { return l.use(ctx, "use", l.sessions) })
	if err != nil {
		return err
	}
	l.note("first use", len(l.sessions), took, used)
	return l.look(ctx, "after each was used")
}

// logouts ends all sessions.
func (l *lives) logouts(ctx context.Context) error {
	took, used, err := l.phase(ctx, l.world, l.heard, func() (time.Duration, error) {
		took, err := l.logOut(ctx, l.sessions)
		if err == nil {
			err = l.revoked(ctx, warmUp+len(l.sessions))
		}
		return took, err
	})
	if err != nil {
		return err
	}
	l.note("logout", len(l.sessions), took, used)
	return l.look(ctx, "after all were logged out")
}

// revoked waits until the provider has heard of the end of n sessions, which it
// does after the browser has its answer.
func (l *lives) revoked(ctx context.Context, n int) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if l.world.Provider.Counts().Revoked >= int64(n) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			l.step.Notes = append(l.step.Notes, fmt.Sprintf("Of %d logouts the provider was told of %d only.", n, l.world.Provider.Counts().Revoked))
			return nil
		}
	}
}

// afterwards judges what is left.
func (l *lives) afterwards(ctx context.Context) error {
	table := loadreport.Table{Title: "Live heap of each replica after collections (allocated; in use by spans), RSS, goroutines",
		Head: []string{"when", "replica 1", "replica 2", "replica 3"}}
	for _, m := range l.heaps {
		row := []string{m.name}
		for _, h := range m.heaps {
			row = append(row, fmt.Sprintf("%s MiB (%s), RSS %s, %.0f", mib(h.Live), mib(h.InUse), mib(h.RSS), h.Goroutines))
		}
		table.Add(row...)
	}
	l.step.Tables = append(l.step.Tables, table)
	if len(l.heaps) != 7 {
		return errors.New("judge the heaps: some were not looked at")
	}
	grown, left := growth(l.heaps[2], l.heaps[4]), growth(l.heaps[0], l.heaps[6])
	l.step.Set("heap_growth_second_half_bytes", grown)
	l.step.Set("heap_growth_after_all_bytes", left)
	l.step.Checks = append(l.step.Checks,
		loadreport.AtMost("the heap of any replica grows over the second half of the logins by", grown/mebi, leakTolerance/mebi, 0, "MiB"),
		loadreport.AtMost("the heap of any replica is larger after all sessions are gone than before by", left/mebi, 2*leakTolerance/mebi, 0, "MiB"))
	info, err := l.world.Redis.Info(ctx)
	if err != nil {
		return err
	}
	keys, err := l.world.Redis.Keys(ctx)
	if err != nil {
		return err
	}
	l.step.Notes = append(l.step.Notes, fmt.Sprintf(
		"After all logouts Redis holds %s MiB in %d keys: notes of why a session ended, for ten minutes, and ID tokens of logouts that go on at the provider.",
		mib(info.Memory), keys))
	return nil
}

// growth is how much more the heap holds of that replica where it is most.
func growth(before, after moment) float64 {
	most := 0.0
	for i := range after.heaps {
		if d := after.heaps[i].Live - before.heaps[i].Live; i == 0 || d > most {
			most = d
		}
	}
	return most
}

const mebi = 1 << 20

func mib(bytes float64) string { return fmt.Sprintf("%.1f", bytes/mebi) }
