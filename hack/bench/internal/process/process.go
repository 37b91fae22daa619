// Package process runs other programs for as long as a measurement takes.
package process

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is a running program. What it prints goes to a file.
type Process struct {
	name    string
	command *exec.Cmd
	log     string
	ended   chan struct{}
}

// grace is how long a program may take to end when it is asked to.
const grace = 5 * time.Second

// Start runs a program in a process group of its own, with its output in the
// file name.log of dir. Its environment is the search path, HOME and env. It
// ends with Stop, or when this process ends.
func Start(dir, name string, env []string, program string, args ...string) (*Process, error) {
	log := filepath.Join(dir, name+".log")
	output, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer output.Close()
	command := exec.Command(program, args...)
	command.Dir = dir
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	command.Stdout, command.Stderr = output, output
	// TERM and not KILL: nginx and its kin then end their workers.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{name: name, command: command, log: log, ended: make(chan struct{})}
	go func() { _ = command.Wait(); close(p.ended) }() // its exit code is in the state
	return p, nil
}

// PID is the process that was started. It may have children.
func (p *Process) PID() int { return p.command.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Stop ends the process, and after 5 s whatever is left of its group.
func (p *Process) Stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(grace):
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL) // usually nothing is left
	<-p.ended
}

// Log is the last 4 KiB of what it printed.
func (p *Process) Log() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(data[max(0, len(data)-4096):]))
}

// AwaitListening waits until the process takes connections at an address, and
// returns an error with its output if it ends before, or after the time given.
func (p *Process) AwaitListening(ctx context.Context, address string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.Await(ctx, func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Await repeats a question every 20 ms until its answer is nil.
func (p *Process) Await(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s\n%s", p.name, p.command.ProcessState, p.Log())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w\n%s", p.name, err, p.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Run runs a program to its end and returns what it prints. Its output is part
// of the error.
func Run(ctx context.Context, env []string, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(os.Environ(), env...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = grace
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	output, err := command.CombinedOutput()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("run %s %s: %w\n%s", program, strings.Join(args, " "), err, output)
	}
	return string(output), nil
}

// Stopper ends several things in reverse order.
type Stopper struct{ stops []func() }

// Add adds one.
func (s *Stopper) Add(stop func()) { s.stops = append(s.stops, stop) }

// Stop ends all.
func (s *Stopper) Stop() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	s.stops = nil
}
