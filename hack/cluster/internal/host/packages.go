// Package host prepares the machine for the cluster and puts it back as it was.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// CNIPlugins is where Debian's containernetworking-plugins puts its programs.
const CNIPlugins = "/usr/lib/cni"

// wanted are the Debian packages a node needs, and the file that shows each is there.
var wanted = []struct{ name, proof string }{
	{"containerd", "containerd"},
	{"containernetworking-plugins", CNIPlugins + "/ptp"},
	{"iproute2", "ip"},
	{"mount", "mount"}, // the kubelet calls it for volumes
	{"nftables", "nft"},
	{"runc", "runc"},
}

// Install makes sure that the programs a node needs are there, with apt-get if
// they are not. What apt-get says goes to log.
func Install(ctx context.Context, log io.Writer) error {
	missing := absent(exec.LookPath)
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing on this machine: %s. They are installed by themselves on Debian and Ubuntu only: "+
			"install them by hand, or use another cluster with CLUSTER=current", names)
	}
	if err := RequireRoot(); err != nil {
		return fmt.Errorf("missing on this machine: %s. Run `sudo apt-get install %s`: %w", names, names, err)
	}
	fmt.Fprintln(log, "installing", names)
	if err := aptGet(ctx, log, "update", "-q"); err != nil {
		return err
	}
	return aptGet(ctx, log, slices.Concat([]string{"install", "-q", "-y", "--no-install-recommends"}, missing)...)
}

func absent(lookPath func(string) (string, error)) []string {
	var names []string
	for _, p := range wanted {
		if _, err := lookPath(p.proof); err != nil {
			names = append(names, p.name)
		}
	}
	return names
}

func aptGet(ctx context.Context, log io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// ErrNotRoot is returned for what only root may do.
var ErrNotRoot = errors.New("a cluster mounts file systems and makes network devices, which needs root: call it with sudo")

// RequireRoot errs unless this process is root.
func RequireRoot() error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	return nil
}

// run calls a program of this machine and puts what it said into the error.
func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
