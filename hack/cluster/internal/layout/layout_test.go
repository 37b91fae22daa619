package layout

import (
	"net/netip"
	"strings"
	"testing"
)

func TestPlanDividesTheBlockWithoutOverlap(t *testing.T) {
	n, err := Plan(DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	if n.Pods.Overlaps(n.Services) {
		t.Errorf("pods %s and services %s overlap", n.Pods, n.Services)
	}
	for _, p := range []netip.Prefix{n.Pods, n.Services} {
		if !n.Block.Contains(p.Addr()) || p != p.Masked() {
			t.Errorf("%s is not a proper part of %s", p, n.Block)
		}
		if p.Contains(n.Node) {
			t.Errorf("the node's address %s lies in %s", n.Node, p)
		}
	}
	if !n.Block.Contains(n.Node) || !n.Services.Contains(n.DNS) || !n.Services.Contains(n.API) || n.API == n.DNS {
		t.Errorf("addresses are out of place: %+v", n)
	}
	if n.API != n.Services.Addr().Next() {
		t.Errorf("the API server takes the first service address, not %s", n.API)
	}
}

func TestPlanRefusesWhatIsNotAPrivateBlockOf16Bits(t *testing.T) {
	for _, block := range []string{"10.0.0.0/8", "10.1.2.0/24", "10.1.2.3/16", "8.8.0.0/16", "fd00::/16"} {
		if _, err := Plan(netip.MustParsePrefix(block)); err == nil {
			t.Errorf("Plan(%s) was accepted", block)
		}
	}
	if _, err := Plan(netip.Prefix{}); err == nil {
		t.Error("the zero prefix was accepted")
	}
}

func TestCheckRefusesACheckoutTooDeepForSockets(t *testing.T) {
	if err := (Layout{Root: "/home/me/bff-operator"}).Check(); err != nil {
		t.Errorf("an ordinary path is refused: %v", err)
	}
	deep := Layout{Root: "/" + strings.Repeat("d", 107-len("/.cache/cluster/"+longestSocket))}
	if err := deep.Check(); err == nil || !strings.Contains(err.Error(), "1 characters shorter") {
		t.Errorf("a path one byte too long: %v", err)
	}
}
