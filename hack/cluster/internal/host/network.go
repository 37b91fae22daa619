package host

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

// EnsureNetwork gives the node its address, the services a route, and pods a
// way out. Doing it again changes nothing.
func EnsureNetwork(ctx context.Context, n layout.Network) error {
	if err := collision(ctx, n); err != nil {
		return err
	}
	// A bridge without ports stands in for a dummy device, which not every
	// kernel has. It is never up in the sense of a carrier, and need not be.
	if _, err := run(ctx, "ip", "link", "show", layout.Device); err != nil {
		if _, err := run(ctx, "ip", "link", "add", layout.Device, "type", "bridge"); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"link", "set", layout.Device, "up"},
		{"address", "replace", n.Node.String() + "/32", "dev", layout.Device},
		// A service address without rules would else leave by the default route.
		{"route", "replace", n.Services.String(), "dev", layout.Device, "src", n.Node.String()},
	} {
		if _, err := run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	if err := allowForwarding(ctx, n, "-I"); err != nil {
		return err
	}
	return masquerade(ctx, n)
}

// masquerade lets pods reach what the machine reaches, under its address.
func masquerade(ctx context.Context, n layout.Network) error {
	rules := fmt.Sprintf(`table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
	chain postrouting {
		type nat hook postrouting priority srcnat;
		ip saddr %[2]s ip daddr != %[3]s masquerade
	}
}
`, layout.Table, n.Pods, n.Block)
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft -f -: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// allowForwarding adds (-I) or deletes (-D) rules for pods where forwarding is
// closed, as Docker leaves it. An accept in a table of our own would not do:
// every table must accept.
func allowForwarding(ctx context.Context, n layout.Network, action string) error {
	if _, err := exec.LookPath("iptables"); err != nil {
		return nil
	}
	policy, err := run(ctx, "iptables", "-w", "-S", "FORWARD")
	if err != nil || !strings.HasPrefix(policy, "-P FORWARD DROP") {
		return nil // no such chain in this kernel, or open
	}
	for _, direction := range []string{"-s", "-d"} {
		match := []string{"FORWARD", direction, n.Pods.String(), "-j", "ACCEPT"}
		_, err := run(ctx, "iptables", append([]string{"-w", "-C"}, match...)...)
		if present := err == nil; present == (action == "-I") {
			continue
		}
		if _, err := run(ctx, "iptables", append([]string{"-w", action}, match...)...); err != nil {
			return err
		}
	}
	return nil
}

// RemoveNetwork undoes EnsureNetwork and removes the rules of kube-proxy.
func RemoveNetwork(ctx context.Context, n layout.Network) error {
	if err := allowForwarding(ctx, n, "-D"); err != nil {
		return err
	}
	tables, err := run(ctx, "nft", "list", "tables")
	if err != nil {
		return err
	}
	for _, table := range []string{"ip " + layout.Table, "ip kube-proxy", "ip6 kube-proxy"} {
		if !strings.Contains(tables, "table "+table+"\n") {
			continue
		}
		if _, err := run(ctx, "nft", append([]string{"delete", "table"}, strings.Fields(table)...)...); err != nil {
			return err
		}
	}
	if _, err := run(ctx, "ip", "link", "show", layout.Device); err == nil {
		_, err := run(ctx, "ip", "link", "delete", layout.Device)
		return err
	}
	return nil
}

// route is what `ip -json route` prints of each.
type route struct {
	Destination string `json:"dst"`
	Device      string `json:"dev"`
}

// collision errs when this machine already sends some of the block elsewhere.
func collision(ctx context.Context, n layout.Network) error {
	out, err := run(ctx, "ip", "-json", "-4", "route", "show", "table", "all")
	if err != nil {
		return err
	}
	var routes []route
	if err := json.Unmarshal([]byte(out), &routes); err != nil {
		return fmt.Errorf("read routes: %w", err)
	}
	if r, taken := overlapping(n.Block, n.Pods, routes); taken {
		return fmt.Errorf("network %s collides with the route to %s on device %s: choose another one with --network 10.N.0.0/16",
			n.Block, r.Destination, r.Device)
	}
	return nil
}

// overlapping finds a route into the block that is not the cluster's own. The
// cluster's are on its device, or lead to a single pod. A route to more than
// the block, such as a VPN's to 10.0.0.0/8, loses against ours and may stay.
func overlapping(block, pods netip.Prefix, routes []route) (route, bool) {
	for _, r := range routes {
		destination, err := netip.ParsePrefix(r.Destination)
		if err != nil {
			address, err := netip.ParseAddr(r.Destination)
			if err != nil {
				continue // "default"
			}
			destination = netip.PrefixFrom(address, address.BitLen())
		}
		own := r.Device == layout.Device || destination.IsSingleIP() && pods.Contains(destination.Addr())
		if !own && destination.Bits() >= block.Bits() && block.Overlaps(destination) {
			return r, true
		}
	}
	return route{}, false
}
