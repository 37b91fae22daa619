// Package loads measures what scales: logins, refreshes and logouts, how soon a
// logout is seen by other replicas, memory, the start, new connections and large
// bodies. Everything runs on loopback: built sidecars, a real Redis, and in this
// process an OpenID provider, an upstream and the browsers.
package loads

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

// bench is one run.
type bench struct {
	settings
	progress io.Writer
	// done are the steps that were taken so far, by name.
	done map[string]*loadreport.Step
}

// step is one measurement.
type step struct {
	name, method string
	run          func(*bench, context.Context, *loadreport.Step) error
}

// steps in the order in which they are taken: scale computes with what the first
// has measured.
var steps = []step{
	{"logins", "Logins by the authorization code flow over three replicas that share one Redis, each callback at another replica than its login; then each session used once, and logged out. Refreshes and touches on sessions of their own.", (*bench).logins},
	{"logout-seen", "Three replicas with sessions in use on all of them. One session at a time is logged out at one replica, while the two others are called with its cookie every 2 ms until they refuse.", (*bench).logoutSeen},
	{"memory", "One fresh sidecar for each setting of the collector, on a Redis full of sessions with access tokens of 4 KiB.", (*bench).memory},
	{"start", "From exec until /readyz on the admin port answers 200, asked every half millisecond, the executable in the page cache.", (*bench).start},
	{"churn", "Authenticated calls (1 KiB of JSON), in turns with a connection for each and with connections kept alive.", (*bench).churn},
	{"bodies", "One large body at a time, in turns straight to the upstream and through a route.", (*bench).bodies},
	{"scale", "Computed from the figures of logins, and from what it costs Redis to tell hundreds of clients of changes, which is simulated.", (*bench).scale},
}

// Run takes the measurements that args name, all of them by default, and writes
// a report to stdout. Progress goes to standard error. It returns
// loadreport.ErrMissed if a figure that must be reached was not, and another
// error if a step could not be finished; the report is written either way.
func Run(ctx context.Context, args []string, stdout io.Writer) error {
	s, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	if s.binary == "" {
		dir, err := os.MkdirTemp("", "bff-loads-bin-")
		if err != nil {
			return fmt.Errorf("make a folder for the sidecar: %w", err)
		}
		defer os.RemoveAll(dir)
		if s.binary, err = loadworld.Build(ctx, dir); err != nil {
			return err
		}
	}
	return (&bench{settings: s, progress: os.Stderr, done: map[string]*loadreport.Step{}}).take(ctx, stdout)
}

// take takes the steps and writes the report.
func (b *bench) take(ctx context.Context, stdout io.Writer) error {
	report := &loadreport.Report{}
	var err error
	if report.Machine, err = describe(ctx, b.binary); err != nil {
		return err
	}
	var failures error
	for _, s := range steps {
		if len(b.only) > 0 && !slices.Contains(b.only, s.name) {
			continue
		}
		b.say("%s ...", s.name)
		outcome := &loadreport.Step{Name: s.name, Method: s.method}
		began := time.Now()
		if err := s.run(b, ctx, outcome); err != nil {
			outcome.Error = err.Error()
			failures = errors.Join(failures, fmt.Errorf("%s: %w", s.name, err))
			b.say("%s: %v", s.name, err)
		}
		outcome.Seconds = time.Since(began).Seconds()
		b.done[s.name] = outcome
		report.Steps = append(report.Steps, outcome)
		if ctx.Err() != nil {
			break
		}
	}
	report.Write(stdout)
	if b.out != "" {
		failures = errors.Join(failures, report.WriteFiles(b.out))
	}
	if failures == nil && report.Missed() {
		return loadreport.ErrMissed
	}
	return failures
}

func (b *bench) say(format string, values ...any) {
	fmt.Fprintf(b.progress, "%s loads: %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, values...))
}

// names are those of all steps.
func names() string {
	var all []string
	for _, s := range steps {
		all = append(all, s.name)
	}
	return strings.Join(all, ", ")
}
