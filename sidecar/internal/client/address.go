// Package client says where a request comes from: the client's address, as the
// TCP connection and the proxies that the policy trusts tell it (BFF-37,
// GAP-10), and the network that address lies in.
package client

import (
	"net"
	"net/netip"
	"strings"
)

// maxHops bounds how many addresses of X-Forwarded-For are read.
const maxHops = 32

// Address is the client's address. peer is the TCP connection's other end, as
// http.Request.RemoteAddr has it, and forwardedFor the values of the header
// X-Forwarded-For.
//
// The header is believed only as far as trusted networks vouch for it. If the
// peer is in one, the header's last address is whom that proxy saw; if that is
// in one too, so is the address before it. The first address that is not is the
// client's: whatever stands left of it, the client may have written itself. An
// entry that is no address ends the reading, and the last proxy's is the answer.
//
// It is not ok when peer holds no address, as with a Unix socket.
func Address(peer string, forwardedFor []string, trusted []netip.Prefix) (address netip.Addr, ok bool) {
	address, ok = parse(peer)
	if !ok || len(forwardedFor) == 0 || !within(trusted, address) {
		return address, ok
	}
	hops := 0
	for i := len(forwardedFor) - 1; i >= 0; i-- {
		for rest, more := forwardedFor[i], true; more; hops++ {
			var entry string
			entry, rest, more = cutLast(rest)
			said, ok := parse(strings.Trim(entry, " \t"))
			if !ok || hops >= maxHops {
				return address, true
			}
			if address = said; !within(trusted, address) {
				return address, true
			}
		}
	}
	return address, true
}

// Network is the network an address lies in: its first bits, as many as its
// family says. It is the zero Prefix when there is no address, or not that many
// bits.
func Network(address netip.Addr, ipv4Bits, ipv6Bits int) netip.Prefix {
	address = address.Unmap()
	bits := ipv6Bits
	if address.Is4() {
		bits = ipv4Bits
	}
	network, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

// parse reads an address, with a port or without. A zone is left out: it means
// something on one machine only. An IPv4 address in IPv6 form is the IPv4
// address.
func parse(s string) (netip.Addr, bool) {
	if both, err := netip.ParseAddrPort(s); err == nil { // as most peers are
		return both.Addr().WithZone("").Unmap(), true
	}
	address, err := netip.ParseAddr(s)
	if err != nil {
		host, _, errSplit := net.SplitHostPort(s)
		if errSplit != nil {
			host = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
		}
		if address, err = netip.ParseAddr(host); err != nil {
			return netip.Addr{}, false
		}
	}
	return address.WithZone("").Unmap(), true
}

func within(networks []netip.Prefix, address netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(address) {
			return true
		}
	}
	return false
}

// cutLast cuts a list's last entry off.
func cutLast(list string) (last, rest string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[i+1:], list[:i], true
	}
	return list, "", false
}
