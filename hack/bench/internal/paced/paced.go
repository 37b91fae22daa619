// Package paced sends requests at a constant rate, whether or not earlier ones
// were answered (an open loop), and measures each from the time at which it
// should have been sent. A stall therefore counts for every request that had to
// wait for it.
package paced

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/window"
)

// Options say how much load.
type Options struct {
	// Connections bound how many requests are on their way at once.
	Connections int
	// Rate is requests a second.
	Rate     int
	Duration time.Duration
}

// Run sends Rate x Duration requests. A call that fails is counted and ends its
// connection; the connection is not replaced, since the run has failed.
func Run(ctx context.Context, request window.Request, o Options) (window.Result, error) {
	total := int64(float64(o.Rate) * o.Duration.Seconds())
	gap := time.Second / time.Duration(o.Rate)
	callers := make([]*caller, o.Connections)
	for i := range callers {
		conn, err := window.Dial(ctx, request)
		if err != nil {
			return window.Result{}, err
		}
		defer conn.Close()
		callers[i] = &caller{conn: conn}
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	start := time.Now().Add(gap)
	for _, c := range callers {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < total && ctx.Err() == nil && c.failed == 0; i = next.Add(1) - 1 {
				due := start.Add(time.Duration(i) * gap)
				time.Sleep(time.Until(due))
				c.call(due)
			}
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return window.Result{}, context.Cause(ctx)
	}
	return merge(callers, time.Since(start)), nil
}

// caller is one connection.
type caller struct {
	conn          *window.Conn
	took          []time.Duration
	notOK, failed int
}

func (c *caller) call(due time.Time) {
	status, err := c.conn.Call()
	switch {
	case err != nil:
		c.failed++
		return
	case status/100 != 2:
		c.notOK++
	}
	c.took = append(c.took, time.Since(due))
}

func merge(callers []*caller, took time.Duration) window.Result {
	r := window.Result{Time: took}
	var all []time.Duration
	for _, c := range callers {
		all = append(all, c.took...)
		r.NotOK += c.notOK
		r.Failed += c.failed
	}
	slices.Sort(all)
	r.Requests = len(all)
	r.P50, r.P99 = percentile(all, 50), percentile(all, 99)
	return r
}

// percentile is the smallest value that at least p of 100 values do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max((len(sorted)*p+99)/100, 1)-1]
}
