package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/host"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/process"
)

// Down stops everything, removes the state and puts the machine back as it
// was. Built binaries and images stay. Without a cluster it does nothing.
func (c *Cluster) Down(ctx context.Context) error {
	if _, err := os.Stat(c.Layout.State()); errors.Is(err, fs.ErrNotExist) {
		c.say("there is no cluster")
		return nil
	}
	if err := host.RequireRoot(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	n, err := c.network(netip.Prefix{})
	if err != nil {
		return err
	}
	if err := c.stop(ctx, n); err != nil {
		return err
	}
	if err := host.Remove(c.Layout.State()); err != nil {
		return err
	}
	c.say("the cluster is down; binaries and images stay in %s", c.Layout.Root+"/.cache")
	return nil
}

// stop ends every process of the cluster and removes all of its state but the
// logs.
func (c *Cluster) stop(ctx context.Context, n layout.Network) error {
	parts, err := components(c.Layout, n)
	if err != nil {
		return err
	}
	slices.Reverse(parts)
	for _, part := range parts {
		if err := c.stopPart(ctx, part); err != nil {
			return err
		}
	}
	c.say("all parts are stopped")
	group, err := host.FindCgroup(layout.Cgroup)
	if err != nil {
		return err
	}
	if err := group.Remove(ctx); err != nil {
		return err
	}
	c.say("all containers are stopped")
	if err := host.RemoveShimSockets(c.Layout.State("containerd/state")); err != nil {
		return err
	}
	if err := host.RemoveLogLinks(c.Layout.State()); err != nil {
		return err
	}
	if err := host.Unmount(c.Layout.State()); err != nil {
		return err
	}
	if err := host.RemoveNetwork(ctx, n); err != nil {
		return err
	}
	if err := host.Restore(c.Layout.State("before.json")); err != nil {
		return err
	}
	c.say("network, mounts and control groups are gone")
	return c.forget()
}

func (c *Cluster) stopPart(ctx context.Context, part component) error {
	record, err := process.Load(c.Layout.PIDFile(part.name))
	if err != nil {
		return err
	}
	if err := record.Stop(ctx, 3*time.Second); err != nil {
		return fmt.Errorf("stop %s: %w", part.name, err)
	}
	return nil
}

// forget removes all state but the logs.
func (c *Cluster) forget() error {
	entries, err := os.ReadDir(c.Layout.State())
	if err != nil {
		return fmt.Errorf("list state: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == "logs" {
			continue
		}
		if err := os.RemoveAll(c.Layout.State(entry.Name())); err != nil {
			return fmt.Errorf("remove state: %w", err)
		}
	}
	return nil
}
