package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func TestReapCollectsEveryChildThatEnded(t *testing.T) {
	for range 3 {
		pid, err := syscall.ForkExec("/bin/true", []string{"true"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		// WNOWAIT waits for the end without collecting.
		const pPid, wExited, wNoWait = 1, 4, 0x01000000
		if _, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPid, uintptr(pid), 0, wExited|wNoWait, 0, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	reap()
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("children are left: %v", err)
	}
}

// As process 1 of a process namespace it gets no signal it does not handle.
func TestPauseAsProcess1EndsOnSIGTERMAndReapsOrphans(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a process namespace")
	}
	binary := filepath.Join(t.TempDir(), "pause")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The shell is process 1, leaves an orphan behind and becomes pause.
	cmd := exec.Command("/bin/sh", "-c", `(sleep 0.1; echo orphan ended) & exec "$0" 3>&1`, binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "orphan ended\n" {
		t.Fatalf("%q, %v", line, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for childrenOf(t, cmd.Process.Pid) != "" {
		if time.Now().After(deadline) {
			t.Fatalf("not reaped: %s", childrenOf(t, cmd.Process.Pid))
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("SIGTERM did not end it")
	}
}

// childrenOf lists the pids whose parent is pid, zombies included.
func childrenOf(t *testing.T, pid int) string {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=,stat=,args=", "--ppid", strconv.Itoa(pid)).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // ps fails when there are none
		t.Fatal(err)
	}
	return string(out)
}
