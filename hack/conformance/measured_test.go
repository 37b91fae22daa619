//go:build conformance

package conformance

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// numbers are what a test with real traffic has counted.
type numbers struct {
	replicas, sessions, rounds int
	// calls were made, ok of them were answered 200 in the end, after retries in
	// all.
	calls, ok, retries int
	// refreshes is how often the provider has renewed tokens.
	refreshes int
	// lost is how many sessions have ended that nobody ended.
	lost int
}

// measurement is a row of the summary after a run.
type measurement struct {
	title, result string
	took          time.Duration
	*numbers
	comment string
}

// note adds a comment.
func (m *measurement) note(format string, values ...any) { m.comment = fmt.Sprintf(format, values...) }

// measurements are the rows, in the order the tests began.
var measurements struct {
	mu   sync.Mutex
	rows []*measurement
}

// measured has the test appear in the summary.
func measured(t *testing.T, title string) *measurement {
	t.Helper()
	m := &measurement{title: title}
	measurements.mu.Lock()
	measurements.rows = append(measurements.rows, m)
	measurements.mu.Unlock()
	start := time.Now()
	t.Cleanup(func() {
		m.took = time.Since(start)
		switch {
		case t.Failed():
			m.result = "failed"
		case t.Skipped():
			m.result = "skipped"
		default:
			m.result = "passed"
		}
	})
	return m
}

// printMeasurements writes the summary: with numbers first, then the others.
func printMeasurements(w io.Writer) error {
	measurements.mu.Lock()
	defer measurements.mu.Unlock()
	if len(measurements.rows) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nagainst npm oidc-provider and redis-server\tresult\tseconds\treplicas\tsessions\trounds\tcalls\t200\tretries\trefreshes\tlost\t")
	for _, counted := range []bool{true, false} {
		for _, m := range measurements.rows {
			if (m.numbers != nil) != counted {
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%.1f", m.title, m.result, m.took.Seconds())
			if n := m.numbers; counted {
				for _, value := range []int{n.replicas, n.sessions, n.rounds, n.calls, n.ok, n.retries, n.refreshes, n.lost} {
					fmt.Fprintf(table, "\t%d", value)
				}
			}
			fmt.Fprintf(table, "\t%s\n", m.comment)
		}
	}
	return table.Flush()
}
