package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Program is what to start.
type Program struct {
	Path    string
	Args    []string
	Log     string // its output is appended here
	PIDFile string // its record goes here
	// Adopt is called with the pid right after the start, to place the process.
	Adopt func(pid int) error
}

// Start starts a program in a session of its own. The channel gets one value
// if the program ends while this process still runs.
func Start(p Program) (<-chan error, error) {
	if err := os.MkdirAll(filepath.Dir(p.Log), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of %q: %w", p.Log, err)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", p.Path, err)
	}
	if err := register(p, cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("register %q: %w", p.Path, err)
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		ended <- fmt.Errorf("%s ended: %w", filepath.Base(p.Path), err)
	}()
	return ended, nil
}

func register(p Program, pid int) error {
	if p.Adopt != nil {
		if err := p.Adopt(pid); err != nil {
			return err
		}
	}
	o, err := observe(pid)
	if err != nil {
		return err
	}
	return Record{PID: pid, Started: o.started, Executable: o.executable}.save(p.PIDFile)
}

// Stop asks the recorded process to end, and kills it after the grace period.
// It does nothing when the record is not of a running process.
func (r Record) Stop(ctx context.Context, grace time.Duration) error {
	if r.PID == 0 {
		return nil
	}
	// FindProcess takes hold of the process itself, so that the check below
	// and the signals speak of one and the same.
	p, err := os.FindProcess(r.PID)
	if err != nil {
		return fmt.Errorf("find process %d: %w", r.PID, err)
	}
	defer func() { _ = p.Release() }()
	if !r.Running() {
		return nil
	}
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("signal process %d: %w", r.PID, err)
		}
		if r.gone(ctx, grace) {
			return nil
		}
	}
	return fmt.Errorf("process %d (%s) does not end", r.PID, r.Executable)
}

func (r Record) gone(ctx context.Context, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for r.Running() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// Tail returns the last lines of a log, at most 64 KiB of them.
func Tail(file string, lines int) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	size := min(info.Size(), 64<<10)
	content := make([]byte, size)
	if _, err := f.ReadAt(content, info.Size()-size); err != nil {
		return "", err
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n"), nil
}
