package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/build"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/host"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/manifest"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/pki"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/process"
)

// partError is a failure that the log of one part explains.
type partError struct {
	part string
	err  error
}

func (e *partError) Error() string { return e.part + ": " + e.err.Error() }
func (e *partError) Unwrap() error { return e.err }

// Up brings the cluster up, or brings back what of it does not run. If that
// fails it shows the log that should tell why, and stops everything again,
// unless some of it ran before. The zero network means the one in use, or
// layout.DefaultNetwork.
func (c *Cluster) Up(ctx context.Context, network netip.Prefix) error {
	if err := host.RequireRoot(); err != nil {
		return err
	}
	if err := c.Layout.Check(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	n, err := c.network(network)
	if err != nil {
		return err
	}
	if err := host.Install(ctx, c.Out); err != nil {
		return err
	}
	if err := build.Build(ctx, c.Layout, "cluster", c.Out); err != nil {
		return err
	}
	c.say("binaries are built")
	if err := c.makeImages(ctx); err != nil {
		return err
	}
	ranBefore := c.anyRuns()
	if err := c.start(ctx, n); err != nil {
		c.explain(err)
		if ranBefore {
			c.say("what ran before is left alone: look at `status`, or start over with `down`")
			return err
		}
		c.say("stopping what was started; logs stay in %s", c.Layout.State("logs"))
		// Also after an interrupt, the machine must be put back.
		stopErr := c.stop(context.WithoutCancel(ctx), n)
		return errors.Join(err, stopErr)
	}
	c.say("the cluster is up: export KUBECONFIG=%s", c.Layout.Kubeconfig())
	return nil
}

// anyRuns tells whether some part runs.
func (c *Cluster) anyRuns() bool {
	files, err := filepath.Glob(c.Layout.PIDFile("*"))
	return err == nil && slices.ContainsFunc(files, func(file string) bool {
		record, err := process.Load(file)
		return err == nil && record.Running()
	})
}

// explain shows the end of the log of the part that failed.
func (c *Cluster) explain(err error) {
	var part *partError
	if !errors.As(err, &part) {
		return
	}
	tail, tailErr := process.Tail(c.Layout.Log(part.part), 30)
	if tailErr == nil {
		fmt.Fprintf(c.Out, "---- the end of %s\n%s\n----\n", c.Layout.Log(part.part), tail)
	}
}

// makeImages builds the images the cluster itself needs. Building is quick and
// reproducible, so it is done every time.
func (c *Cluster) makeImages(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "-C", filepath.Join(c.Layout.Root, "hack/images"), "run", ".",
		"build", "--out", c.Layout.Images(), "--tag", manifest.ImageTag, "--binary", "coredns="+c.Layout.Bin("coredns"),
		"pause", "coredns")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the cluster's images: %w: %s", err, bytes.TrimSpace(out))
	}
	c.say("images pause and coredns are built")
	return nil
}

// start takes every step from a prepared machine to a ready cluster. Each step
// finds out by itself whether it has been taken before.
func (c *Cluster) start(ctx context.Context, n layout.Network) error {
	parts, err := components(c.Layout, n)
	if err != nil {
		return err
	}
	if err := c.configure(ctx, n, parts); err != nil {
		return err
	}
	if err := c.prepare(ctx, n); err != nil {
		return err
	}
	api, err := newClient(c.Layout, n)
	if err != nil {
		return err
	}
	group, err := host.FindCgroup(layout.Cgroup)
	if err != nil {
		return err
	}
	var kubeletStarted time.Time
	for _, part := range parts {
		began := time.Now()
		started, err := c.startPart(ctx, part, group, api)
		if err != nil {
			return &partError{part.name, err}
		}
		if started && part.name == "kubelet" {
			kubeletStarted = began
		}
	}
	for _, image := range []string{"pause", "coredns"} {
		if err := c.importImage(ctx, c.Layout.Images(image+".tar")); err != nil {
			return &partError{"containerd", err}
		}
	}
	if err := c.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", c.Layout.State("coredns.yaml")); err != nil {
		return err
	}
	nodeReady := func(ctx context.Context) error { return api.nodeReady(ctx, kubeletStarted) }
	if err := c.until(ctx, "the node", 2*time.Minute, nil, nodeReady); err != nil {
		return &partError{"kubelet", err}
	}
	c.say("node %s is ready", layout.Node)
	nameServerReady := func(ctx context.Context) error { return dnsReady(ctx, n) }
	if err := c.until(ctx, "the name server", 2*time.Minute, nil, nameServerReady); err != nil {
		return &partError{"kubelet", err}
	}
	c.say("name server %s is ready", n.DNS)
	return nil
}

// configure writes certificates and configuration, and stops every part whose
// configuration is not the one it runs with.
func (c *Cluster) configure(ctx context.Context, n layout.Network, parts []component) error {
	if err := host.Remember(c.Layout.State("before.json")); err != nil {
		return err
	}
	if err := pki.Ensure(c.Layout.PKI(), n, time.Now()); err != nil {
		return err
	}
	kubeconfig, err := os.ReadFile(c.Layout.PKI("admin.kubeconfig"))
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	if _, err := replace(c.Layout.Kubeconfig(), kubeconfig, 0o600); err != nil {
		return err
	}
	files, err := manifest.Render(manifest.Facts{
		Layout: c.Layout, Network: n, Snapshotter: snapshotter(c.Layout.State()), Upstreams: upstreams(),
	})
	if err != nil {
		return err
	}
	files["network"] = []byte(n.Block.String() + "\n")
	for path, content := range files {
		changed, err := replace(c.Layout.State(path), content, 0o644)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if changed && part.config == path {
				if err := c.stopPart(ctx, part); err != nil {
					return err
				}
			}
		}
	}
	c.say("certificates and configuration are in %s", c.Layout.State())
	return nil
}

// replace writes a file unless it already has the content. Left alone it must
// be: kube-proxy ends when somebody so much as rewrites its configuration.
func replace(file string, content []byte, mode os.FileMode) (changed bool, err error) {
	if former, err := os.ReadFile(file); err == nil && bytes.Equal(former, content) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return false, fmt.Errorf("make the folder of %q: %w", file, err)
	}
	if err := os.WriteFile(file, content, mode); err != nil {
		return false, fmt.Errorf("write configuration: %w", err)
	}
	return true, nil
}

// prepare gives the machine network and control groups.
func (c *Cluster) prepare(ctx context.Context, n layout.Network) error {
	if err := host.AllowForwarding(); err != nil {
		return err
	}
	if err := host.EnsureNetwork(ctx, n); err != nil {
		return err
	}
	group, err := host.FindCgroup(layout.Cgroup)
	if err != nil {
		return err
	}
	if err := group.Ensure(); err != nil {
		return err
	}
	c.say("network %s is on device %s", n.Block, layout.Device)
	return nil
}

// startPart starts a component that does not run, and waits until it serves.
func (c *Cluster) startPart(ctx context.Context, part component, group host.Cgroup, api *client) (started bool, err error) {
	record, err := process.Load(c.Layout.PIDFile(part.name))
	if err != nil {
		return false, err
	}
	var ended <-chan error
	if !record.Running() {
		started = true
		ended, err = process.Start(process.Program{
			Path: part.path, Args: part.args,
			Log: c.Layout.Log(part.name), PIDFile: c.Layout.PIDFile(part.name),
			Adopt: group.Adopt,
		})
		if err != nil {
			return false, err
		}
	}
	if err := c.until(ctx, part.name, time.Minute, ended, c.probe(part, api)); err != nil {
		return started, err
	}
	if started {
		c.say("%s runs", part.name)
	}
	return started, nil
}

func (c *Cluster) probe(part component, api *client) func(context.Context) error {
	switch {
	case part.name == "containerd":
		return func(context.Context) error {
			connection, err := net.Dial("unix", c.Layout.ContainerdSocket())
			if err != nil {
				return err
			}
			return connection.Close()
		}
	case part.name == "kube-apiserver":
		return func(ctx context.Context) error {
			_, err := api.fetch(ctx, api.http, part.url)
			return err
		}
	case part.url != "":
		return func(ctx context.Context) error { return api.healthy(ctx, part.url) }
	default:
		return func(context.Context) error { return nil }
	}
}

func (c *Cluster) kubectl(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, c.Layout.Bin("kubectl"), append([]string{"--kubeconfig", c.Layout.Kubeconfig()}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// overlayMagic is how statfs names an overlay, on which no overlay can lie.
const overlayMagic = 0x794c7630

func snapshotter(folder string) string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err == nil && fs.Type == overlayMagic {
		return "native"
	}
	return "overlayfs"
}

// upstreams reads the machine's name servers. systemd-resolved keeps the real
// ones elsewhere.
func upstreams() []netip.Addr {
	for _, file := range []string{"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"} {
		content, err := os.ReadFile(file)
		if err == nil {
			return manifest.Upstreams(string(content))
		}
	}
	return nil
}
