package loads

import (
	"math"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadscale"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

func TestUsageOfEach(t *testing.T) {
	t.Parallel()
	before := usage{sidecars: time.Second, store: map[string]float64{"load": 5, "touch": 1}, redisCPU: time.Second, messages: loadworld.Invalidations{Keys: 10, Bytes: 1000}}
	after := usage{sidecars: 3 * time.Second, store: map[string]float64{"load": 25, "touch": 1, "create": 10}, redisCPU: 1100 * time.Millisecond,
		messages: loadworld.Invalidations{Keys: 20, Bytes: 2040}}
	used := after.since(before)
	if len(used.store) != 2 || used.store["load"] != 20 || used.store["create"] != 10 {
		t.Errorf("calls of the store %v", used.store)
	}
	if got := used.each(10); got != (loadscale.Operation{Calls: 3, RedisMicros: 10_000, SidecarMicros: 200_000, Messages: 1}) {
		t.Errorf("each of ten: %+v", got)
	}
	if got := used.plus(used); got.store["load"] != 40 || got.sidecars != 4*time.Second || got.messages.Bytes != 2080 {
		t.Errorf("twice: %+v", got)
	}
	if got := listed(map[string]float64{"evalsha": 20, "del": 5, "info": 10, "script|load": 0.01}, 10); got != "del 0.500, evalsha 2.00" {
		t.Errorf("listed %q", got)
	}
}

func TestPerCore(t *testing.T) {
	t.Parallel()
	if got := perCore(loadscale.Operation{SidecarMicros: 500}); got != 2000 {
		t.Errorf("%v", got)
	}
	if got := perCore(loadscale.Operation{}); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestGrowth(t *testing.T) {
	t.Parallel()
	at := func(live ...float64) (m moment) {
		for _, l := range live {
			m.heaps = append(m.heaps, loadworld.Heap{Live: l})
		}
		return m
	}
	for name, c := range map[string]struct {
		before, after moment
		want          float64
	}{
		"one of them leaks": {at(1, 2, 3), at(1, 9, 2), 7},
		"all have shrunk":   {at(5, 5, 5), at(4, 3, 2), -1},
		"nothing":           {at(5), at(5), 0},
	} {
		if got := growth(c.before, c.after); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	b := &bench{settings: settings{memoryLimit: 64 << 20}}
	if got := b.environment(""); len(got) != 1 {
		t.Errorf("the runtime's own: %v", got)
	}
	if got := b.environment("off"); len(got) != 2 || got[1] != "GOGC=off" {
		t.Errorf("off: %v", got)
	}
}

func TestDescription(t *testing.T) {
	t.Parallel()
	if got := field("processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n", "model name"); got != "AMD EPYC" {
		t.Errorf("processor %q", got)
	}
	if got := field("", "model name"); got != "unknown processor" {
		t.Errorf("no processor: %q", got)
	}
	if got := redisVersion("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"); got != "7.0.15" {
		t.Errorf("Redis %q", got)
	}
}
