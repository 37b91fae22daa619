// Package rivals compares session proxies on this machine, in one run: what an
// authenticated call costs in ours and in others.
package rivals

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/process"
	"github.com/bff-operator/bff-operator/hack/bench/internal/quiet"
	"github.com/bff-operator/bff-operator/hack/bench/internal/subjects"
	"github.com/bff-operator/bff-operator/hack/bench/internal/table"
	"github.com/bff-operator/bff-operator/hack/bench/internal/world"
)

// slowest is how long a run may take beyond its windows.
const slowest = 10 * time.Minute

// Run installs what is missing, starts all subjects, measures them in turns, and
// writes a report to stdout and to the files of --out. Progress goes to standard
// error. It fails as soon as one call is not answered as it should be. Whatever
// it has started has ended when it returns.
func Run(ctx context.Context, args []string, stdout io.Writer) error {
	s, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	chosen := chosenLoads(s.loads)
	windows := s.rounds * len(chosen) * (len(s.subjects) + max(len(s.builds)-1, 0))
	expected := time.Duration(windows) * (s.duration + warmUp + 500*time.Millisecond)
	ctx, cancel := context.WithTimeout(ctx, 2*expected+slowest)
	defer cancel()
	report, err := s.compare(ctx, chosen, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }, expected)
	if err != nil {
		return err
	}
	report.Markdown(stdout)
	if s.out == "" {
		return nil
	}
	return report.Write(s.out)
}

type say func(format string, args ...any)

func (s settings) compare(ctx context.Context, chosen []load, say say, expected time.Duration) (report table.Report, err error) {
	dir, err := s.folder(say)
	if err != nil {
		return report, err
	}
	if !s.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	programs, err := s.prepare(ctx, dir, say)
	if err != nil {
		return report, err
	}
	all, err := subjects.New(s.subjects, programs)
	if err != nil {
		return report, err
	}
	var stop process.Stopper
	defer stop.Stop()
	w, err := world.Start(ctx, dir, subjects.Clients(all))
	if err != nil {
		return report, err
	}
	stop.Add(w.Close)
	for _, subject := range all {
		say("start %s", subject.Name)
		stop.Add(subject.Stop)
		if err := subject.Start(ctx, w); err != nil {
			return report, err
		}
	}
	bench, err := quiet.New()
	if err != nil {
		return report, err
	}
	defer bench.Close()
	say("measure for about %s", expected.Round(time.Second))
	m := &meter{world: w, bench: bench, duration: s.duration}
	samples, err := m.rounds(ctx, s.rounds, chosen, all, say)
	if err != nil {
		return report, err
	}
	return s.report(ctx, chosen, all, programs, samples), nil
}

// folder is where configuration and logs go. Apache's children, who are somebody
// else, must be able to read it.
func (s settings) folder(say say) (string, error) {
	dir, err := os.MkdirTemp("", "bff-rivals-")
	if err != nil {
		return "", err
	}
	if s.keep {
		say("configuration and logs are in %s", dir)
	}
	return dir, os.Chmod(dir, 0o755)
}

func (m *meter) rounds(ctx context.Context, n int, chosen []load, all []*subjects.Subject, say say) ([]table.Sample, error) {
	var samples []table.Sample
	for round := range n {
		for _, l := range chosen {
			for _, subject := range order(all, round) {
				sample, err := m.measure(ctx, subject, l, round)
				if err != nil {
					return nil, err
				}
				samples = append(samples, sample)
				say("round %d/%d  %-6s %-18s %6.0f requests/s  %5.0f µs  p50 %.2f ms", round+1, n, l.Name, subject.Name, sample.Rate, sample.CPU(), sample.P50)
			}
		}
	}
	return samples, nil
}

func (s settings) report(ctx context.Context, chosen []load, all []*subjects.Subject, programs subjects.Programs, samples []table.Sample) table.Report {
	var times []time.Duration
	for _, sample := range samples {
		times = append(times, sample.Before, sample.After)
	}
	var drawn []table.Load
	for _, l := range chosen {
		drawn = append(drawn, l.Load)
	}
	var compared []table.Subject
	for _, subject := range all {
		compared = append(compared, table.Subject{Name: subject.Name, Title: subject.Title, Ours: subject.Ours})
	}
	about := s.about(ctx, programs)
	for _, subject := range compared {
		about.Method = append(about.Method, fmt.Sprintf("`%s`: %s.", subject.Name, subject.Title))
	}
	return table.New(about, drawn, compared, slices.Clone(samples), quiet.Limit(times))
}
