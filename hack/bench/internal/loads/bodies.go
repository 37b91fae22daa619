package loads

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadbrowser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

const (
	// bodyTime bounds one body.
	bodyTime = 5 * time.Minute
	// bodyTolerance is how much RSS may grow over a body that is passed on and not
	// kept, in MiB.
	bodyTolerance = 8
	// bodyRounds is how often each way is measured.
	bodyRounds = 3
)

// passage is how a body was transferred.
type passage struct {
	rate, cpu float64 // MiB/s, and seconds of the sidecar per GiB
	growth    float64 // of RSS, in bytes
}

func (b *bench) bodies(ctx context.Context, step *loadreport.Step) error {
	l, err := b.newLives(ctx, step, loadworld.Options{Replicas: 1, Environment: loadworld.PodEnvironment(b.memoryLimit)}, 1)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.present(ctx); err != nil {
		return err
	}
	table := loadreport.Table{Title: fmt.Sprintf("Bodies of %s MiB, medians of %d", loadreport.Number(float64(b.body)/mebi), bodyRounds),
		Head: []string{"what", "straight, MiB/s", "through the sidecar, MiB/s", "sidecar CPU s/GiB", "RSS grows by at most, MiB"}}
	for _, kind := range []struct {
		name string
		run  func(*lives, context.Context, string) error
	}{{"download", (*lives).download}, {"upload", (*lives).upload}} {
		var straight, through, cpu, grown []float64
		for range bodyRounds {
			direct, err := l.pass(ctx, l.world.Upstream.Address, kind.run)
			if err != nil {
				return fmt.Errorf("%s straight from the upstream: %w", kind.name, err)
			}
			routed, err := l.pass(ctx, l.world.Replicas[0].Traffic, kind.run)
			if err != nil {
				return fmt.Errorf("%s through the sidecar: %w", kind.name, err)
			}
			straight, through = append(straight, direct.rate), append(through, routed.rate)
			cpu, grown = append(cpu, routed.cpu), append(grown, routed.growth/mebi)
			l.say("%s: %.0f MiB/s straight, %.0f through the sidecar", kind.name, direct.rate, routed.rate)
		}
		median := func(values []float64) float64 { return loadreport.SpreadOf(values).At(0.5) }
		most := loadreport.SpreadOf(grown).At(1)
		table.Add(kind.name, loadreport.Number(median(straight)), loadreport.Number(median(through)), loadreport.Number(median(cpu)), loadreport.Number(most))
		step.Set(kind.name+"_mib_per_second", median(through))
		step.Set(kind.name+"_straight_mib_per_second", median(straight))
		step.Set(kind.name+"_cpu_seconds_per_gib", median(cpu))
		step.Set(kind.name+"_rss_growth_mib", most)
		step.Checks = append(step.Checks, loadreport.AtMost(kind.name+": RSS grows by", most, bodyTolerance, 0, "MiB"))
	}
	step.Tables = append(step.Tables, table)
	return nil
}

// pass transfers a body from or to an address and watches the sidecar.
func (l *lives) pass(ctx context.Context, address string, run func(*lives, context.Context, string) error) (passage, error) {
	pid := l.world.Replicas[0].PID()
	if err := loadworld.ResetPeak(pid); err != nil {
		return passage{}, err
	}
	memory, err := loadworld.MemoryOf(pid)
	if err != nil {
		return passage{}, err
	}
	before, err := loadworld.CPU(pid)
	if err != nil {
		return passage{}, err
	}
	began := time.Now()
	if err := run(l, ctx, address); err != nil {
		return passage{}, err
	}
	took := time.Since(began)
	after, err := loadworld.CPU(pid)
	if err != nil {
		return passage{}, err
	}
	now, err := loadworld.MemoryOf(pid)
	size := float64(l.body)
	return passage{rate: size / mebi / took.Seconds(), cpu: (after - before).Seconds() / (size / (1 << 30)), growth: now.Peak - memory.RSS}, err
}

func (l *lives) download(ctx context.Context, address string) error {
	r := loadbrowser.Fetch("GET", loadworld.Host, fmt.Sprintf("/api/bytes/%d", l.body), l.sessions[0].Cookie)
	n, err := (&loadbrowser.Conn{Address: address}).Download(ctx, l.known(r, address), bodyTime)
	if err == nil && n != l.body {
		err = fmt.Errorf("%d bytes arrived of %d", n, l.body)
	}
	return err
}

func (l *lives) upload(ctx context.Context, address string) error {
	r := loadbrowser.Fetch("POST", loadworld.Host, "/api/bytes", l.sessions[0].Cookie)
	a, err := (&loadbrowser.Conn{Address: address}).Upload(ctx, l.known(r, address), l.body, bodyTime)
	if err == nil && string(a.Body) != strconv.FormatInt(l.body, 10) {
		err = fmt.Errorf("status %d, %q bytes arrived of %d", a.Status, a.Body, l.body)
	}
	return err
}

// known attaches a token to what goes straight to the upstream.
func (l *lives) known(r loadbrowser.Request, address string) loadbrowser.Request {
	if address == l.world.Upstream.Address {
		r.Fields = append(r.Fields, "Authorization: Bearer none")
	}
	return r
}
