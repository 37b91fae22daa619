// Package world is what all subjects share: an upstream, a Redis and an OpenID
// provider, on loopback.
package world

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/browser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/process"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
)

// Paths of the upstream. OpenPath and AuthedPath answer 1 KiB of JSON, the
// latter to calls with Authorization only. EchoPath answers with the value of
// Authorization.
const (
	OpenPath   = "/open/data"
	AuthedPath = "/authed/data"
	EchoPath   = "/authed/echo"
)

// BodySize of the upstream's answer.
const BodySize = 1024

// patience is how long a program may take to start.
const patience = 15 * time.Second

// World is running until Close.
type World struct {
	// Dir takes configuration and logs.
	Dir string
	// Upstream and Redis are host:port.
	Upstream, Redis string
	// Person can log in at the provider.
	Person browser.Person

	upstream, redis *process.Process
	provider        *provider
	stop            process.Stopper
}

// Start starts all three. Clients are what the provider knows.
func Start(ctx context.Context, dir string, clients []idp.Client) (_ *World, err error) {
	w := &World{Dir: dir}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	if err := w.startUpstream(ctx); err != nil {
		return nil, err
	}
	if err := w.startRedis(ctx); err != nil {
		return nil, err
	}
	if len(clients) == 0 {
		return w, nil
	}
	if w.provider, err = startProvider(clients); err != nil {
		return nil, err
	}
	w.stop.Add(w.provider.close)
	user := idp.DemoUsers()[0]
	w.Person = browser.Person{Issuer: w.provider.issuer, Username: user.Username, Password: user.Password}
	return w, nil
}

// Close ends everything.
func (w *World) Close() { w.stop.Stop() }

// UpstreamPID and RedisPID are their processes.
func (w *World) UpstreamPID() int { return w.upstream.PID() }

// RedisPID is the process of Redis.
func (w *World) RedisPID() int { return w.redis.PID() }

func (w *World) startUpstream(ctx context.Context) (err error) {
	if w.Upstream, err = process.FreeAddress(); err != nil {
		return err
	}
	path := filepath.Join(w.Dir, "upstream.conf")
	if err := Render(files, "files/upstream.conf", path, map[string]string{"Dir": w.Dir, "Address": w.Upstream, "Body": body()}); err != nil {
		return err
	}
	if w.upstream, err = process.Start(w.Dir, "upstream", nil, "nginx", "-p", w.Dir, "-e", filepath.Join(w.Dir, "upstream-error.log"), "-c", path); err != nil {
		return err
	}
	w.stop.Add(w.upstream.Stop)
	return w.upstream.AwaitListening(ctx, w.Upstream, patience)
}

// body is a list of orders, of exactly BodySize bytes.
func body() string {
	const item = `{"id":4711,"article":"chair","quantity":2,"price":"129.00","currency":"EUR"},`
	list := `{"orders":[` + strings.Repeat(item, BodySize/len(item)-1)
	rest := `{"note":"` + `"}]}`
	return list + rest[:9] + strings.Repeat("x", BodySize-len(list)-len(rest)) + rest[9:]
}

func (w *World) startRedis(ctx context.Context) (err error) {
	if w.Redis, err = process.FreeAddress(); err != nil {
		return err
	}
	_, port, _ := strings.Cut(w.Redis, ":")
	w.redis, err = process.Start(w.Dir, "redis", nil, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", w.Dir)
	if err != nil {
		return err
	}
	w.stop.Add(w.redis.Stop)
	return w.redis.AwaitListening(ctx, w.Redis, patience)
}

// Arrived is how many requests the upstream has got so far.
func (w *World) Arrived(ctx context.Context) (int, error) {
	text, err := Get(ctx, "http://"+w.Upstream+"/status", nil)
	if err != nil {
		return 0, fmt.Errorf("ask the upstream for its count: %w", err)
	}
	n, err := parseStatus(text)
	return n - 1, err // less this one
}

// parseStatus reads the third number of the third line of nginx's stub_status.
func parseStatus(text string) (int, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 3 {
		return 0, fmt.Errorf("read the upstream's count: %q", text)
	}
	numbers := strings.Fields(lines[2])
	if len(numbers) != 3 {
		return 0, fmt.Errorf("read the upstream's count: %q", text)
	}
	n, err := strconv.Atoi(numbers[2])
	if err != nil {
		return 0, fmt.Errorf("read the upstream's count: %w", err)
	}
	return n, nil
}
