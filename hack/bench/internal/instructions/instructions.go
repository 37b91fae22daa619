// Package instructions counts what the sidecar executes for one call, which is a
// figure that noise does not move. Virtual machines rarely have hardware
// counters, so the whole sidecar runs in Valgrind's virtual CPU.
package instructions

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/prepare"
	"github.com/bff-operator/bff-operator/hack/bench/internal/subjects"
	"github.com/bff-operator/bff-operator/hack/bench/internal/table"
	"github.com/bff-operator/bff-operator/hack/bench/internal/world"
)

// authenticatedGet is the name in the budget of a GET with a session.
const authenticatedGet = "authenticated-get"

// few calls are made in the run that is subtracted: they warm pools and caches.
const few = 500

// patience bounds a run of the command.
const patience = 10 * time.Minute

// ErrOverBudget says that calls have become dearer than the budget allows.
var ErrOverBudget = errors.New("over budget")

type settings struct {
	repeats, calls  int
	sidecar, budget string
	set             bool
}

func parseFlags(args []string, output io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("instructions", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.IntVar(&s.repeats, "repeats", 3, "how often to count; the median counts")
	flags.IntVar(&s.calls, "calls", 10_000, "calls of one count")
	flags.StringVar(&s.sidecar, "sidecar", "", "`path` of a built bff-sidecar. Default: one is built from this checkout")
	flags.StringVar(&s.budget, "budget", "", "`file` to compare with. Default: hack/bench/budget.yaml of this checkout")
	flags.BoolVar(&s.set, "set", false, "write the figure into the budget in place of comparing")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q: see instructions --help", flags.Arg(0))
	case s.repeats < 1 || s.calls < 1:
		return s, errors.New("--repeats and --calls: write 1 or more")
	}
	return s, nil
}

// Run counts, prints the figures to stdout and compares their median with the
// budget: ErrOverBudget if it is too much.
func Run(ctx context.Context, args []string, stdout io.Writer) error {
	s, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.budget == "" {
		root, err := prepare.Root(ctx)
		if err != nil {
			return err
		}
		s.budget = filepath.Join(root, "hack", "bench", "budget.yaml")
	}
	b, err := readBudget(s.budget)
	if err != nil {
		return err
	}
	each, err := s.count(ctx, stdout)
	if err != nil {
		return err
	}
	return s.conclude(b, table.SpreadOf(each), stdout)
}

func (s settings) conclude(b budget, each table.Spread, stdout io.Writer) error {
	counted := int64(each.Median)
	fmt.Fprintf(stdout, "%s: %d instructions a call, median of %d; they lie within %.2f %%\n",
		authenticatedGet, counted, s.repeats, 100*(each.Max-each.Min)/each.Median)
	if s.set {
		b.Architecture, b.Go = runtime.GOARCH, runtime.Version()
		b.Instructions[authenticatedGet] = counted
		return b.write(s.budget)
	}
	if b.Architecture != runtime.GOARCH {
		fmt.Fprintf(stdout, "The budget is for %s: nothing to compare with.\n", b.Architecture)
		return nil
	}
	found, err := b.judge(authenticatedGet, counted)
	if err != nil {
		return err
	}
	planned := b.Instructions[authenticatedGet]
	difference := 100 * float64(counted-planned) / float64(planned)
	fmt.Fprintf(stdout, "budget: %d, allowed: +%g %%, now: %+.1f %% (the budget was counted with %s, this with %s)\n",
		planned, b.AllowedPercent, difference, b.Go, runtime.Version())
	switch found {
	case above:
		return fmt.Errorf("%s: %w by %.1f %%: find what has become dearer, or run with --set if it is worth its price", authenticatedGet, ErrOverBudget, difference)
	case below:
		fmt.Fprintln(stdout, "That is a saving: run with --set, so that it is not lost unnoticed.")
	}
	return nil
}

// count starts the sidecar twice for each figure, once for few calls and once
// for as many more as are counted. What start, login and end cost is in both.
func (s settings) count(ctx context.Context, stdout io.Writer) ([]float64, error) {
	dir, err := os.MkdirTemp("", "bff-instructions-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := prepare.Packages(ctx, []prepare.Need{{What: "valgrind", Package: "valgrind"}, {What: "nginx", Package: "nginx"}, {What: "redis-server", Package: "redis-server"}}); err != nil {
		return nil, err
	}
	if s.sidecar == "" {
		if s.sidecar, err = prepare.Sidecar(ctx, dir); err != nil {
			return nil, err
		}
	}
	all, err := s.subjects(dir)
	if err != nil {
		return nil, err
	}
	w, err := world.Start(ctx, dir, subjects.Clients(all))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	var each []float64
	for i := 0; i < len(all); i += 2 {
		less, err := run(ctx, w, all[i], logOf(dir, all[i].Name), few)
		if err != nil {
			return nil, err
		}
		more, err := run(ctx, w, all[i+1], logOf(dir, all[i+1].Name), few+s.calls)
		if err != nil {
			return nil, err
		}
		each = append(each, float64(more-less)/float64(s.calls))
		fmt.Fprintf(stdout, "count %d of %d: %.0f instructions a call\n", i/2+1, s.repeats, each[i/2])
	}
	return each, nil
}

// subjects are the sidecars to start, two for each count.
func (s settings) subjects(dir string) ([]*subjects.Subject, error) {
	path, err := filepath.Abs(s.sidecar)
	if err != nil {
		return nil, err
	}
	var builds []subjects.Build
	for i := range 2 * s.repeats {
		name := fmt.Sprintf("sidecar-%d", i+1)
		builds = append(builds, subjects.Build{Name: name, Path: path, Under: counted(logOf(dir, name)), Env: environment})
	}
	return subjects.New([]string{subjects.Sidecar}, subjects.Programs{Sidecars: builds})
}
