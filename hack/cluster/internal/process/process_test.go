package process

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseStatSurvivesAnyProgramName(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	for _, name := range []string{"(etcd)", "(a b)", "(evil) Z 1 (x)", "()"} {
		o, err := parseStat("42 " + name + rest)
		if err != nil || o.state != 'S' || o.started != 4711 {
			t.Errorf("%q: %+v, %v", name, o, err)
		}
	}
	for _, stat := range []string{"", "42 etcd S 1", "42 (etcd) S 1 2", "42 (etcd)" + strings.Replace(rest, "4711", "x", 1)} {
		if _, err := parseStat(stat); err == nil {
			t.Errorf("%q was accepted", stat)
		}
	}
}

func TestARecordFitsNoOtherProcess(t *testing.T) {
	record := Record{PID: 42, Started: 4711, Executable: "/bin/etcd"}
	for _, test := range []struct {
		name string
		now  observation
		want bool
	}{
		{"the same", observation{4711, 'S', "/bin/etcd"}, true},
		{"its file was replaced by a rebuild", observation{4711, 'R', "/bin/etcd (deleted)"}, true},
		{"the pid was given to a later process", observation{4712, 'S', "/bin/etcd"}, false},
		{"another program at the same tick after a boot", observation{4711, 'S', "/bin/sh"}, false},
		{"it is dead and not yet reaped", observation{4711, 'Z', "/bin/etcd"}, false},
	} {
		if got := record.runs(test.now); got != test.want {
			t.Errorf("%s: %t, want %t", test.name, got, test.want)
		}
	}
}

// started starts a shell script that says when it is ready.
func started(t *testing.T, script string) (Record, Program, <-chan error) {
	t.Helper()
	dir := t.TempDir()
	p := Program{
		Path: "/bin/sh", Args: []string{"-c", script},
		Log: filepath.Join(dir, "logs", "x.log"), PIDFile: filepath.Join(dir, "run", "x.json"),
	}
	ended, err := Start(p)
	if err != nil {
		t.Fatal(err)
	}
	record, err := Load(p.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = record.Stop(context.Background(), 0) })
	deadline := time.Now().Add(10 * time.Second)
	for {
		tail, err := Tail(p.Log, 1)
		if err == nil && tail == "ready" {
			return record, p, ended
		}
		if time.Now().After(deadline) {
			t.Fatalf("the script did not start: %q, %v", tail, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestStopEndsAProcessAndTellsWhoWaits(t *testing.T) {
	record, _, ended := started(t, "echo ready; while :; do sleep 0.01; done")
	if !record.Running() {
		t.Fatal("it does not run")
	}
	if err := record.Stop(t.Context(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if record.Running() {
		t.Error("it still runs")
	}
	if err := <-ended; !strings.Contains(err.Error(), "terminated") {
		t.Errorf("ended by %v, want SIGTERM", err)
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	record, _, ended := started(t, "trap '' TERM; echo ready; while :; do sleep 0.01; done")
	if err := record.Stop(t.Context(), 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !strings.Contains(err.Error(), "killed") {
		t.Errorf("ended by %v, want SIGKILL", err)
	}
}

func TestStopLeavesAnotherProcessAlone(t *testing.T) {
	record, _, _ := started(t, "echo ready; while :; do sleep 0.01; done")
	stale := record
	stale.Started--
	if err := stale.Stop(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	if !record.Running() {
		t.Error("a record of an earlier process with this pid stopped it")
	}
}

func TestStartReportsAnEarlyEnd(t *testing.T) {
	_, _, ended := started(t, "echo ready; exit 3")
	if err := <-ended; !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("ended with %v", err)
	}
}

func TestStartLeavesNothingWhenItsPlaceIsRefused(t *testing.T) {
	dir := t.TempDir()
	var pid int
	_, err := Start(Program{
		Path: "/bin/sleep", Args: []string{"600"}, Log: filepath.Join(dir, "log"), PIDFile: filepath.Join(dir, "pid"),
		Adopt: func(p int) error { pid = p; return os.ErrPermission },
	})
	if err == nil {
		t.Fatal("no error")
	}
	if _, err := observe(pid); err == nil {
		t.Errorf("process %d was left behind", pid)
	}
}

func TestTailReturnsTheLastLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 100<<10)+"\none\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if tail, err := Tail(file, 2); err != nil || tail != "two\nthree" {
		t.Errorf("%q, %v", tail, err)
	}
}
