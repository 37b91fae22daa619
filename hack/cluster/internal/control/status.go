package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/host"
	"github.com/bff-operator/bff-operator/hack/cluster/internal/process"
)

// ErrDown is returned when some part of the cluster does not run.
var ErrDown = errors.New("the cluster is not up: run `up`")

// Status prints what runs. It returns ErrDown unless everything does.
func (c *Cluster) Status(ctx context.Context) error {
	n, err := c.network(netip.Prefix{})
	if err != nil {
		return err
	}
	parts, err := components(c.Layout, n)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	complete := true
	for _, part := range parts {
		record, err := process.Load(c.Layout.PIDFile(part.name))
		if err != nil {
			return err
		}
		if record.Running() {
			fmt.Fprintf(table, "%s\trunning\tpid %d\t%s\n", part.name, record.PID, memory(record.PID))
			continue
		}
		complete = false
		fmt.Fprintf(table, "%s\tstopped\n", part.name)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !complete {
		return ErrDown
	}
	api, err := newClient(c.Layout, n)
	if err != nil {
		return err
	}
	if err := api.nodeReady(ctx, time.Time{}); err != nil {
		return fmt.Errorf("the node is not ready: %w", err)
	}
	if err := dnsReady(ctx, n); err != nil {
		return fmt.Errorf("the name server is not ready: %w", err)
	}
	fmt.Fprintf(c.Out, "node and name server are ready\nexport KUBECONFIG=%s PATH=%s:$PATH\n", c.Layout.Kubeconfig(), c.Layout.Bin())
	return nil
}

// memory is what a process has in RAM, as the kernel writes it.
func memory(pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(value) + " in memory"
		}
	}
	return ""
}

// Load imports image files, as hack/images or `docker save` write them.
func (c *Cluster) Load(ctx context.Context, files ...string) error {
	if err := host.RequireRoot(); err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("no image named: write load IMAGE.tar")
	}
	if _, err := os.Stat(c.Layout.ContainerdSocket()); err != nil {
		return ErrDown
	}
	for _, file := range files {
		if !filepath.IsAbs(file) {
			file = filepath.Join(c.Layout.Root, file)
		}
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("find image: %w", err)
		}
		if err := c.importImage(ctx, file); err != nil {
			return err
		}
		c.say("loaded %s", file)
	}
	return nil
}

func (c *Cluster) importImage(ctx context.Context, file string) error {
	cmd := exec.CommandContext(ctx, "ctr", "--address", c.Layout.ContainerdSocket(), "--namespace", "k8s.io", "images", "import", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import image %q: %w: %s", file, err, bytes.TrimSpace(out))
	}
	return nil
}
