package loads

import (
	"context"
	"net"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadbrowser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

// rounds is how often two ways are measured in turns.
const rounds = 4

// source is an address of loopback to call from. One has 28,000 ports, and each
// is taken for a minute after its connection's end.
func source(i int) net.IP { return net.IPv4(127, 0, 1, byte(1+i%200)) }

func (b *bench) churn(ctx context.Context, step *loadreport.Step) error {
	l, err := b.newLives(ctx, step, loadworld.Options{Replicas: 1}, b.clients)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.present(ctx); err != nil {
		return err
	}
	table := loadreport.Table{Title: "Calls", Head: []string{"connections", "calls", "per second, median", "CPU µs per call, median (least, most)"}}
	var rates, costs [2][]float64
	for range rounds {
		for way := range 2 {
			fresh := way == 0
			took, used, err := l.round(ctx, fresh)
			if err != nil {
				return err
			}
			n := float64(b.settings.calls / rounds)
			rates[way], costs[way] = append(rates[way], n/took.Seconds()), append(costs[way], micros(used)/n)
		}
	}
	for way, name := range []string{"new for each", "kept alive"} {
		rate, cost := loadreport.SpreadOf(rates[way]), loadreport.SpreadOf(costs[way])
		table.Add(name, loadreport.Number(float64(b.settings.calls/rounds*rounds)), loadreport.Number(rate.At(0.5)),
			loadreport.Number(cost.At(0.5))+" ("+loadreport.Number(cost.At(0))+", "+loadreport.Number(cost.At(1))+")")
		step.Set([]string{"new", "kept"}[way]+"_per_second", rate.At(0.5))
		step.Set([]string{"new", "kept"}[way]+"_cpu_us", cost.At(0.5))
	}
	step.Set("connection_cpu_us", step.Figures["new_cpu_us"]-step.Figures["kept_cpu_us"])
	step.Tables = append(step.Tables, table)
	return nil
}

// round makes a round of calls, each on a connection of its own if fresh.
func (l *lives) round(ctx context.Context, fresh bool) (time.Duration, time.Duration, error) {
	s := l.world.Replicas[0]
	call := loadbrowser.Fetch("GET", loadworld.Host, "/api/json", l.sessions[0].Cookie)
	before, err := loadworld.CPU(s.PID())
	if err != nil {
		return 0, 0, err
	}
	took, err := l.each(ctx, "call", l.settings.calls/rounds, func(ctx context.Context, browser *loadbrowser.Browser, i int) error {
		if !fresh {
			return answered(browser.Replica(0).Do(ctx, call))
		}
		c := loadbrowser.Conn{Address: s.Traffic, From: source(i)}
		defer c.Close()
		return answered(c.Do(ctx, call))
	})
	if err != nil {
		return 0, 0, err
	}
	after, err := loadworld.CPU(s.PID())
	return took, after - before, err
}
