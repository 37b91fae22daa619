package rivals

import (
	"context"
	"slices"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/paced"
	"github.com/bff-operator/bff-operator/hack/bench/internal/table"
	"github.com/bff-operator/bff-operator/hack/bench/internal/window"
	"github.com/bff-operator/bff-operator/hack/bench/internal/wrk"
)

// load is a way to drive a subject.
type load struct {
	table.Load
	connections int
	rate        int // requests a second, 0 for as many as possible
}

// pacedRate is far from what any subject can do, on any machine.
const pacedRate = 1000

var loads = []load{
	{table.Load{Name: "c64", Title: "64 connections, each as fast as it is answered (wrk -t2 -c64)"}, 64, 0},
	{table.Load{Name: "c8", Title: "8 connections, each as fast as it is answered (wrk -t2 -c8)"}, 8, 0},
	{table.Load{Name: "r1000", Title: "1,000 requests a second at a constant rate (open loop, latency from the time at which a request was due)"}, 32, pacedRate},
}

func loadNames() []string {
	var names []string
	for _, l := range loads {
		names = append(names, l.Name)
	}
	return names
}

func chosenLoads(names []string) []load {
	return slices.DeleteFunc(slices.Clone(loads), func(l load) bool { return !slices.Contains(names, l.Name) })
}

// run drives a subject for one window.
func (l load) run(ctx context.Context, request window.Request, duration time.Duration, dir string) (window.Result, error) {
	if l.rate > 0 {
		return paced.Run(ctx, request, paced.Options{Connections: l.connections, Rate: l.rate, Duration: duration})
	}
	return wrk.Run(ctx, request, wrk.Options{Connections: l.connections, Duration: duration, Dir: dir})
}

// order is that of one round: what gets warmer or slower over a round does so
// for the last in one and for the first in the next.
func order[T any](all []T, round int) []T {
	ordered := slices.Clone(all)
	if round%2 == 1 {
		slices.Reverse(ordered)
	}
	return ordered
}
