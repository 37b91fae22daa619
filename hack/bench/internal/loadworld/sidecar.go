package loadworld

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Sidecar is a running bff-sidecar.
type Sidecar struct {
	// Traffic and Admin are host:port of its two ports.
	Traffic, Admin string
	// Ready is how long it took from its start until /readyz said so.
	Ready time.Duration

	process *process
}

// Build builds the sidecar as `make build` does and returns where it is.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "bff-sidecar")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=bench", "-o", binary,
		"github.com/bff-operator/bff-operator/sidecar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build bff-sidecar: %w\n%s", err, output)
	}
	return binary, nil
}

// Version is what a binary calls itself.
func Version(ctx context.Context, binary string) (string, error) {
	output, err := exec.CommandContext(ctx, binary, "version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", binary, err)
	}
	return strings.TrimSpace(string(output)), nil
}

// PodEnvironment is what the operator's webhook sets for Go in a pod with a
// memory limit, in bytes.
func PodEnvironment(limit int64) []string {
	return []string{"GOMEMLIMIT=" + strconv.FormatInt(limit/10*9, 10)}
}

// startSidecar starts one and waits until it is ready.
func startSidecar(ctx context.Context, binary, dir string, env []string) (*Sidecar, error) {
	for attempt := 1; ; attempt++ {
		s, err := trySidecar(ctx, binary, dir, env)
		if err == nil {
			return s, nil
		}
		// Another process may have taken a port between its choice and its use.
		if attempt == 3 || !strings.Contains(err.Error(), "address already in use") {
			return nil, err
		}
	}
}

func trySidecar(ctx context.Context, binary, dir string, env []string) (*Sidecar, error) {
	var addresses [2]string
	for i := range addresses {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		addresses[i] = address
	}
	s := &Sidecar{Traffic: addresses[0], Admin: addresses[1]}
	p, err := startProcess(filepath.Join(dir, "sidecar-"+s.Traffic+".log"), append([]string{"BFF_POD_IP=127.0.0.1"}, env...), binary,
		"--policy", filepath.Join(dir, policyFile), "--secrets", filepath.Join(dir, secretsDir), "--listen", s.Traffic, "--admin-listen", s.Admin)
	if err != nil {
		return nil, err
	}
	s.process = p
	if s.Ready, err = s.awaitReady(ctx); err != nil {
		p.kill()
		return nil, fmt.Errorf("start bff-sidecar: %w\n%s", err, p.tail())
	}
	return s, nil
}

func (s *Sidecar) awaitReady(ctx context.Context) (time.Duration, error) {
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(500 * time.Microsecond) {
		if status, _, err := s.get(ctx, "/readyz"); err == nil && status == http.StatusOK {
			return time.Since(s.process.started), nil
		}
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case s.process.exited():
			return 0, errors.New("it ended")
		case time.Now().After(deadline):
			return 0, errors.New("not ready after 15 s")
		}
	}
}

// Close ends the sidecar at once.
func (s *Sidecar) Close() { s.process.kill() }

// PID is its process.
func (s *Sidecar) PID() int { return s.process.pid() }

// Metrics scrapes it.
func (s *Sidecar) Metrics(ctx context.Context) (Metrics, error) {
	status, body, err := s.get(ctx, "/metrics")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return nil, fmt.Errorf("scrape a sidecar: %w", err)
	}
	return ParseMetrics(body)
}

// admin keeps no connections, so that they count nowhere.
var admin = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: 10 * time.Second}

func (s *Sidecar) get(ctx context.Context, path string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Admin+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := admin.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	return response.StatusCode, string(body), err
}
