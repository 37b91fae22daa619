package layout

import (
	"fmt"
	"net/netip"
)

// DefaultNetwork is one that neither kind, k3s, kubeadm, flannel nor Docker picks.
var DefaultNetwork = netip.MustParsePrefix("10.231.0.0/16")

// Network is the cluster's division of its address block.
type Network struct {
	Block    netip.Prefix
	Node     netip.Addr   // of the one node, held by Device
	Pods     netip.Prefix // a quarter of the block
	Services netip.Prefix // a sixteenth of the block
	API      netip.Addr   // of the Service kubernetes.default, the first of Services
	DNS      netip.Addr   // of the Service kube-dns
}

// Plan divides a private IPv4 /16 block.
func Plan(block netip.Prefix) (Network, error) {
	if !block.Addr().Is4() || block.Bits() != 16 || block != block.Masked() || !block.Addr().IsPrivate() {
		return Network{}, fmt.Errorf("network %s: write a private IPv4 block of 16 bits, such as %s", block, DefaultNetwork)
	}
	at := func(third, fourth byte) netip.Addr {
		b := block.Addr().As4()
		return netip.AddrFrom4([4]byte{b[0], b[1], third, fourth})
	}
	return Network{
		Block:    block,
		Node:     at(0, 1),
		Pods:     netip.PrefixFrom(at(64, 0), 18),
		Services: netip.PrefixFrom(at(128, 0), 20),
		API:      at(128, 1),
		DNS:      at(128, 10),
	}, nil
}

// Server is the URL of the API server.
func (n Network) Server() string { return fmt.Sprintf("https://%s:%d", n.Node, APIServerPort) }
