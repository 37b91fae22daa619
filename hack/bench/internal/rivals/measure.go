package rivals

import (
	"context"
	"fmt"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/cpu"
	"github.com/bff-operator/bff-operator/hack/bench/internal/quiet"
	"github.com/bff-operator/bff-operator/hack/bench/internal/subjects"
	"github.com/bff-operator/bff-operator/hack/bench/internal/table"
	"github.com/bff-operator/bff-operator/hack/bench/internal/world"
)

// warmUp goes before each window and does not count.
const warmUp = time.Second

// meter measures windows.
type meter struct {
	world    *world.World
	bench    *quiet.Bench
	duration time.Duration
}

// measure takes one window. It fails if one call was not answered as it should.
func (m *meter) measure(ctx context.Context, s *subjects.Subject, l load, round int) (table.Sample, error) {
	sample, err := m.take(ctx, s, l)
	if err != nil {
		return table.Sample{}, fmt.Errorf("measure %s under %s, round %d: %w", s.Name, l.Name, round+1, err)
	}
	sample.Load, sample.Subject, sample.Round = l.Name, s.Name, round
	return sample, nil
}

func (m *meter) take(ctx context.Context, s *subjects.Subject, l load) (table.Sample, error) {
	request := s.Request()
	if _, err := l.run(ctx, request, warmUp, m.world.Dir); err != nil {
		return table.Sample{}, err
	}
	before, err := m.bench.Work()
	if err != nil {
		return table.Sample{}, err
	}
	start, err := m.read(ctx, s)
	if err != nil {
		return table.Sample{}, err
	}
	result, err := l.run(ctx, request, m.duration, m.world.Dir)
	if err != nil {
		return table.Sample{}, err
	}
	end, err := m.read(ctx, s)
	if err != nil {
		return table.Sample{}, err
	}
	after, err := m.bench.Work()
	if err != nil {
		return table.Sample{}, err
	}
	// Of the calls that wrk breaks off, each may have arrived.
	if err := result.Check(end.arrived-start.arrived-1, l.connections); err != nil {
		return table.Sample{}, err
	}
	used := end.own.Since(start.own)
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(result.Requests) }
	millis := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return table.Sample{
		Before: before, After: after, Requests: result.Requests,
		User: each(used.User), System: each(used.System), Redis: each(end.redis.Since(start.redis).Total()),
		Rate: result.Rate(), P50: millis(result.P50), P99: millis(result.P99),
		RSS: float64(used.RSS) / (1 << 20), Peak: float64(used.Peak) / (1 << 20),
	}, nil
}

// reading is what stands on all counters.
type reading struct {
	own, redis cpu.Usage
	arrived    int
}

func (m *meter) read(ctx context.Context, s *subjects.Subject) (r reading, err error) {
	if r.arrived, err = m.world.Arrived(ctx); err != nil {
		return r, err
	}
	if r.own, err = cpu.Of(s.PID()); err != nil {
		return r, err
	}
	r.redis, err = cpu.Of(m.world.RedisPID())
	return r, err
}
