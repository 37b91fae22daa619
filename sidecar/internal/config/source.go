package config

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// DefaultInterval is how often the mounted files are looked at. The kubelet
// itself takes up to about a minute to bring a change into the pod.
const DefaultInterval = 2 * time.Second

// Report is the outcome of the last time the configuration was read.
type Report struct {
	// Time is when.
	Time time.Time
	// Err is nil when the configuration is in force, else why the one before it
	// still is.
	Err error
}

// Loader reads the configuration once. It also returns the files it depends
// on, the first of which is always the same, even when it fails.
type Loader func() (*Snapshot, []string, error)

// Source publishes snapshots of a configuration that may change.
type Source struct {
	load     Loader
	interval time.Duration
	clock    func() time.Time
	files    fingerprint // used by Run alone
	current  atomic.Pointer[Snapshot]
	report   atomic.Pointer[Report]
}

// Open reads the configuration for the first time. It fails if that is not
// possible: a sidecar without a configuration cannot do anything right. An
// interval of 0 is DefaultInterval.
func Open(load Loader, interval time.Duration, clock func() time.Time) (*Source, error) {
	if interval <= 0 {
		interval = DefaultInterval
	}
	s := &Source{load: load, interval: interval, clock: clock}
	snapshot, err := s.read()
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	s.current.Store(snapshot)
	s.report.Store(&Report{Time: clock()})
	return s, nil
}

// read loads the configuration and notes the state its files had before. Which
// files that are, a load tells; so it loads again when it learns of others.
func (s *Source) read() (*Snapshot, error) {
	var files []string
	for {
		s.files = fingerprintOf(files)
		snapshot, used, err := s.load()
		if slices.Equal(used, files) || len(used) < len(files) {
			return snapshot, err
		}
		files = used
	}
}

// Current is the configuration in force.
func (s *Source) Current() *Snapshot { return s.current.Load() }

// Report is the outcome of the last reading.
func (s *Source) Report() Report { return *s.report.Load() }

// Run looks for changes until ctx ends. It hands a new configuration to apply
// and publishes it if apply returns no error; otherwise, and when the files
// cannot be read or are not valid, the last good one stays in force. reloaded
// is told of either outcome.
func (s *Source) Run(ctx context.Context, apply func(*Snapshot) error, reloaded func(Report)) {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.files.changed() {
			reloaded(s.reload(apply))
		}
	}
}

func (s *Source) reload(apply func(*Snapshot) error) Report {
	snapshot, err := s.read()
	if err == nil {
		err = apply(snapshot)
	}
	if err == nil {
		s.current.Store(snapshot)
	}
	report := Report{Time: s.clock(), Err: err}
	s.report.Store(&report)
	return report
}
