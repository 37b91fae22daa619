package process

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen in 10 s", what)
		}
	}
}

func TestStopEndsWhatTheProgramHasStarted(t *testing.T) {
	dir := t.TempDir()
	p, err := Start(dir, "shell", []string{"GREETING=hello"}, "sh", "-c", "echo $GREETING; sleep 300 & echo $! >child; wait")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	child := 0
	await(t, "the child's start", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "child"))
		child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return child > 0
	})
	if got := p.Log(); got != "hello" {
		t.Errorf("the log is %q", got)
	}
	p.Stop()
	await(t, "the child's end", func() bool { return ended(child) })
	p.Stop() // again, which does nothing
}

// ended says that a process is gone, or a zombie that nobody has collected yet.
func ended(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ") || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func TestAwaitListening(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	nobody, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		script, address, says string
		patience              time.Duration
	}{
		"it listens":         {"exec sleep 300", listener.Addr().String(), "", time.Minute},
		"it ends":            {"echo bad configuration; exit 3", nobody, "bad configuration", time.Minute},
		"it takes very long": {"exec sleep 300", nobody, "connection refused", 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Start(t.TempDir(), "shell", nil, "sh", "-c", test.script)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Stop()
			err = p.AwaitListening(t.Context(), test.address, test.patience)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRun(t *testing.T) {
	if got, err := Run(t.Context(), []string{"A=b"}, "sh", "-c", "echo $A"); err != nil || got != "b\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Run(t.Context(), nil, "sh", "-c", "echo why; exit 1"); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("got %v, want what it printed", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, nil, "sleep", "300"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestStopperEndsTheLastFirst(t *testing.T) {
	var order []int
	var s Stopper
	for i := range 3 {
		s.Add(func() { order = append(order, i) })
	}
	s.Stop()
	s.Stop()
	if len(order) != 3 || order[0] != 2 || order[2] != 0 {
		t.Errorf("got %v", order)
	}
}
