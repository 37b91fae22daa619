package loads

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadscale"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

// usage is what a world has used up to a moment, or between two.
type usage struct {
	sidecars time.Duration // processor time of all replicas
	// store are calls of the store by operation, redis the commands it carried out.
	store, redis map[string]float64
	redisCPU     time.Duration
	redisMemory  float64
	redisKeys    float64
	messages     loadworld.Invalidations
}

func usageOf(ctx context.Context, w *loadworld.World, heard *loadworld.Listener) (usage, error) {
	u := usage{store: map[string]float64{}}
	for _, s := range w.Replicas {
		cpu, err := loadworld.CPU(s.PID())
		if err != nil {
			return u, err
		}
		u.sidecars += cpu
		m, err := s.Metrics(ctx)
		if err != nil {
			return u, err
		}
		for operation, n := range m.By("bff_store_calls_total") {
			u.store[operation] += n
		}
	}
	info, err := w.Redis.Info(ctx)
	if err != nil {
		return u, err
	}
	keys, err := w.Redis.Keys(ctx)
	if err != nil {
		return u, err
	}
	u.redis, u.redisCPU, u.redisMemory, u.redisKeys = info.Calls, info.CPU, info.Memory, float64(keys)
	if heard != nil {
		u.messages = heard.Heard()
	}
	return u, nil
}

// since is what was used after another moment.
func (u usage) since(before usage) usage {
	return usage{
		sidecars: u.sidecars - before.sidecars, store: minus(u.store, before.store), redis: minus(u.redis, before.redis),
		redisCPU: u.redisCPU - before.redisCPU, redisMemory: u.redisMemory - before.redisMemory, redisKeys: u.redisKeys - before.redisKeys,
		messages: loadworld.Invalidations{Keys: u.messages.Keys - before.messages.Keys, Bytes: u.messages.Bytes - before.messages.Bytes},
	}
}

// each is what one of n things has cost.
func (u usage) each(n int) loadscale.Operation {
	return loadscale.Operation{
		Calls: sum(u.store) / float64(n), RedisMicros: micros(u.redisCPU) / float64(n), SidecarMicros: micros(u.sidecars) / float64(n),
		Messages: u.messages.Keys / float64(n),
	}
}

func minus(a, b map[string]float64) map[string]float64 {
	difference := map[string]float64{}
	for name, value := range a {
		if value != b[name] {
			difference[name] = value - b[name]
		}
	}
	return difference
}

func sum(of map[string]float64) float64 {
	total := 0.0
	for _, value := range of {
		total += value
	}
	return total
}

func micros(d time.Duration) float64 { return d.Seconds() * 1e6 }

// perCore is how many things one processor does in a second.
func perCore(o loadscale.Operation) float64 {
	if o.SidecarMicros == 0 {
		return math.NaN() // less than the kernel counts
	}
	return 1e6 / o.SidecarMicros
}

// phase takes the usage around something.
func (c *crowd) phase(ctx context.Context, w *loadworld.World, heard *loadworld.Listener, do func() (time.Duration, error)) (time.Duration, usage, error) {
	before, err := usageOf(ctx, w, heard)
	if err != nil {
		return 0, usage{}, err
	}
	took, err := do()
	if err != nil {
		return 0, usage{}, err
	}
	after, err := usageOf(ctx, w, heard)
	if err != nil {
		return 0, usage{}, fmt.Errorf("look at what was used: %w", err)
	}
	return took, after.since(before), nil
}
