package loads

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

// A few of everything, on a built sidecar. What the figures are is not of
// interest here, but that all of them are there.
func TestAFewOfEverything(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a sidecar and waits for tokens to expire")
	}
	out := filepath.Join(t.TempDir(), "report")
	var text bytes.Buffer
	err := Run(t.Context(), []string{"--clients", "4", "--logins", "40", "--sessions", "12", "--seen", "5", "--cached", "20", "--used", "40",
		"--connections", "50", "--runs", "4", "--calls", "40", "--body", "8", "--gogc", "200", "--limit", "5m", "--out", out}, &text)
	if err != nil && !errors.Is(err, loadreport.ErrMissed) {
		t.Fatalf("%v\n%s", err, &text)
	}
	data, err := os.ReadFile(out + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var report loadreport.Report
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Steps) != len(steps) {
		t.Fatalf("%d steps of %d", len(report.Steps), len(steps))
	}
	figures := map[string]float64{}
	for _, step := range report.Steps {
		for name, value := range step.Figures {
			figures[step.Name+" "+name] = value
		}
	}
	for _, name := range []string{
		"logins login_per_second", "logins login_store_calls", "logins refresh_per_second", "logins logout_sidecar_us", "logins redis_bytes_per_session_4kib",
		"logout-seen logout_seen_p99_ms", "logout-seen back-channel_seen_p99_ms", "memory gogc_200_cached_rss_bytes", "memory gogc_200_connected_rss_bytes",
		"start ready_provider_down_p50_ms", "churn new_cpu_us", "bodies upload_mib_per_second", "scale million_calls_of_the_store_per_second", "scale sidecars_500_told_all_redis_cores",
	} {
		if figures[name] <= 0 {
			t.Errorf("%s is %v", name, figures[name])
		}
	}
	if markdown, err := os.ReadFile(out + ".md"); err != nil || !bytes.Equal(markdown, text.Bytes()) {
		t.Errorf("what was written and what was printed differ: %v", err)
	}
}

// Whoever interrupts a run leaves no process behind.
func TestAnInterruptedRunEndsItsProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a sidecar")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	binary, err := loadworld.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- Run(ctx, []string{"--sidecar", binary, "--only", "logins"}, &bytes.Buffer{}) }()
	for deadline := time.Now().Add(time.Minute); len(running(t, dir)) < 4; time.Sleep(10 * time.Millisecond) { // Redis and three replicas
		if time.Now().After(deadline) {
			t.Fatalf("running: %q", running(t, dir))
		}
	}
	interrupt()
	select {
	case err := <-over:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
	if left := running(t, dir); len(left) != 0 {
		t.Errorf("left running: %q", left)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// running are the processes that use a folder: in their arguments, or to be in,
// since redis-server gives itself another name.
func running(t *testing.T, dir string) (processes []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range all {
		arguments, _ := os.ReadFile(filepath.Join(process, "cmdline")) // it may have ended
		at, _ := os.Readlink(filepath.Join(process, "cwd"))
		if strings.Contains(string(arguments), dir) || strings.HasPrefix(at, dir) {
			processes = append(processes, strings.ReplaceAll(string(arguments), "\x00", " "))
		}
	}
	return processes
}
