// Package control starts, stops and describes the cluster.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

// Cluster is the one cluster of a checkout.
type Cluster struct {
	Layout layout.Layout
	Out    io.Writer // one line per step
	began  time.Time
}

// New returns the cluster of a checkout, which may or may not run.
func New(l layout.Layout, out io.Writer) *Cluster {
	return &Cluster{Layout: l, Out: out, began: time.Now()}
}

func (c *Cluster) say(format string, args ...any) {
	fmt.Fprintf(c.Out, "[%6.1fs] %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

// lock waits until no other command changes the cluster.
func (c *Cluster) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(c.Layout.Lock()), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the lock: %w", err)
	}
	f, err := os.OpenFile(c.Layout.Lock(), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	fd := int(f.Fd())
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		c.say("waiting for another command to finish with the cluster")
		err = syscall.Flock(fd, syscall.LOCK_EX)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %q: %w", f.Name(), err)
		}
	} else if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil // closing gives the lock back
}

// network returns the network the state was made for, or the wished one.
func (c *Cluster) network(wished netip.Prefix) (layout.Network, error) {
	content, err := os.ReadFile(c.Layout.State("network"))
	if errors.Is(err, fs.ErrNotExist) {
		if !wished.IsValid() {
			wished = layout.DefaultNetwork
		}
		return layout.Plan(wished)
	}
	if err != nil {
		return layout.Network{}, fmt.Errorf("read the cluster's network: %w", err)
	}
	block, err := netip.ParsePrefix(strings.TrimSpace(string(content)))
	if err != nil {
		return layout.Network{}, fmt.Errorf("read the cluster's network: %w", err)
	}
	if wished.IsValid() && wished != block {
		return layout.Network{}, fmt.Errorf("the cluster uses network %s: run `down` before `up --network %s`", block, wished)
	}
	return layout.Plan(block)
}

// until calls probe until it returns nil, telling every ten seconds why not
// yet. It gives up after limit, or when a value comes from ended.
func (c *Cluster) until(ctx context.Context, what string, limit time.Duration, ended <-chan error, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	told := time.Now()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			c.say("still waiting for %s: %v", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w", what, limit, err)
		case err := <-ended:
			return err
		case <-tick.C:
		}
	}
}
