// Package sidecar runs the built bff-sidecar as the kubelet would: with a
// policy, mounted secrets and nothing else.
package sidecar

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Mounts are the files of one pod, or of several that share them.
type Mounts struct{ dir string }

// NewMounts makes an empty folder for them.
func NewMounts(t testing.TB) *Mounts {
	t.Helper()
	return &Mounts{dir: t.TempDir()}
}

// Policy swaps the policy's file, as the kubelet does: never half written.
func (m *Mounts) Policy(t testing.TB, text string) {
	t.Helper()
	m.write(t, "policy.yaml", []byte(text))
}

// Secret swaps the file of one entry of a Secret, by NAME/KEY.
func (m *Mounts) Secret(t testing.TB, name, value string) {
	t.Helper()
	m.write(t, filepath.Join("secrets", name), []byte(value))
}

// Remove takes away the file of one entry of a Secret.
func (m *Mounts) Remove(t testing.TB, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(m.dir, "secrets", name)); err != nil {
		t.Fatal(err)
	}
}

func (m *Mounts) write(t testing.TB, name string, content []byte) {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// Process is a running sidecar.
type Process struct {
	// Traffic and Admin are host:port of its two ports.
	Traffic, Admin string

	command *exec.Cmd
	output  *output
	ended   chan struct{}
}

// Start starts a sidecar and waits until it is ready. It ends with the test.
func Start(t testing.TB, binary string, m *Mounts) *Process {
	t.Helper()
	for attempt := 1; ; attempt++ {
		p, err := Try(t, binary, m)
		if err == nil {
			return p
		}
		// Another process may have taken a port between its choice and its use.
		if attempt == 3 || !strings.Contains(p.Logs(), "address already in use") {
			t.Fatalf("start %s: %v\n%s", binary, err, p.Logs())
		}
	}
}

// Try is Start that returns the reason if the sidecar ends, or does not become
// ready in 15 s. The process is there either way, for its logs.
func Try(t testing.TB, binary string, m *Mounts) (*Process, error) {
	t.Helper()
	p := &Process{Traffic: freeAddress(t), Admin: freeAddress(t), output: &output{}, ended: make(chan struct{})}
	p.command = exec.Command(binary,
		"--policy", filepath.Join(m.dir, "policy.yaml"), "--secrets", filepath.Join(m.dir, "secrets"),
		"--listen", p.Traffic, "--admin-listen", p.Admin, "--log-level", "debug")
	p.command.Env = []string{"BFF_POD_IP=127.0.0.1"}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return p, err
	}
	go func() { _ = p.command.Wait(); close(p.ended) }() // its exit code is in the state
	t.Cleanup(p.Stop)
	return p, p.ready()
}

// ErrEnded says that a sidecar ended before it was ready.
var ErrEnded = errors.New("the sidecar ended")

func (p *Process) ready() error {
	for deadline := time.Now().Add(15 * time.Second); ; {
		if status, _, err := p.get("/readyz"); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%w: %s", ErrEnded, p.command.ProcessState)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return errors.New("not ready after 15 s")
		}
	}
}

// Stop ends the sidecar as Kubernetes does, and kills it after 10 s.
func (p *Process) Stop() {
	if p.command.Process == nil {
		return
	}
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}

// Kill ends it at once.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // it may have ended
	<-p.ended
}

// Logs are everything it has written so far.
func (p *Process) Logs() string { return p.output.String() }

// Records are the lines of the log that are JSON objects.
func (p *Process) Records() []map[string]any {
	var records []map[string]any
	scanner := bufio.NewScanner(strings.NewReader(p.Logs()))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var record map[string]any
		if json.Unmarshal(scanner.Bytes(), &record) == nil {
			records = append(records, record)
		}
	}
	return records
}

// Metrics is what Prometheus would scrape, Status the status document.
func (p *Process) Metrics() (string, error) { _, body, err := p.get("/metrics"); return body, err }

// Status is the status document.
func (p *Process) Status() (string, error) { _, body, err := p.get("/status"); return body, err }

// Metric is the sum of all series of a metric whose labels contain the given
// text, such as `reason="iss"`.
func (p *Process) Metric(name, labels string) (float64, error) {
	text, err := p.Metrics()
	if err != nil {
		return 0, err
	}
	total := 0.0
	for line := range strings.SplitSeq(text, "\n") {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' || !strings.Contains(rest, labels) {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("read metric %q: %w", line, err)
		}
		total += value
	}
	return total, nil
}

// Get asks the admin port.
func (p *Process) get(path string) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Admin+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	return response.StatusCode, string(body), err
}

// next is the next port to try, below those that connections are made from.
var next atomic.Uint32

func init() { next.Store(10_000 + rand.Uint32N(18_000)) }

// freeAddress chooses a port that no other sidecar of this run gets.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := 10_000 + next.Add(1)%20_000
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		if err != nil {
			continue
		}
		defer listener.Close()
		return listener.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// output is a log that may be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
