package loadworld

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// process is a child that writes to a file and ends with this process.
type process struct {
	command *exec.Cmd
	log     string
	started time.Time
	ended   chan struct{}
}

// startProcess runs a program whose environment is env and the search path, and
// nothing else.
func startProcess(log string, env []string, program string, args ...string) (*process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	defer output.Close()
	command := exec.Command(program, args...)
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{command: command, log: log, started: time.Now(), ended: make(chan struct{})}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() { _ = command.Wait(); close(p.ended) }() // its exit code is in the state
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

func (p *process) exited() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends it at once.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended
	<-p.ended
}

// tail is the end of what it wrote.
func (p *process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2048):])
}

// next is the next port to try, below those that connections are made from.
var next atomic.Uint32

func init() { next.Store(10_000 + rand.Uint32N(18_000)) }

// freeAddress chooses a port of loopback that nobody listens on.
func freeAddress() (string, error) {
	for range 100 {
		port := 10_000 + next.Add(1)%20_000
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		if err != nil {
			continue
		}
		address := listener.Addr().String()
		return address, listener.Close()
	}
	return "", errors.New("no port is free")
}
