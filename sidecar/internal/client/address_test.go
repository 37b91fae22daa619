package client_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/client"
)

func networks(t testing.TB, list ...string) []netip.Prefix {
	t.Helper()
	var prefixes []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		prefixes = append(prefixes, p)
	}
	return prefixes
}

// BFF-37, GAP-10: the client's address is what a trusted proxy has seen, and
// never what a client says of itself.
func TestAddress(t *testing.T) {
	trusted := networks(t, "10.0.0.0/8", "fd00::/8", "192.0.2.7/32")
	for name, c := range map[string]struct {
		peer, header, want string // header: lines separated by |
	}{
		"nobody trusted in between":          {"203.0.113.9:4711", "", "203.0.113.9"},
		"a client that names another":        {"203.0.113.9:4711", "198.51.100.1", "203.0.113.9"},
		"a client that names a proxy":        {"203.0.113.9:4711", "10.0.0.1", "203.0.113.9"},
		"one proxy":                          {"10.0.0.1:80", "203.0.113.9", "203.0.113.9"},
		"one proxy, a forged beginning":      {"10.0.0.1:80", "10.9.9.9, 1.1.1.1, 203.0.113.9", "203.0.113.9"},
		"a forged line before the proxy's":   {"10.0.0.1:80", "1.1.1.1|203.0.113.9", "203.0.113.9"},
		"two proxies":                        {"10.0.0.1:80", "1.1.1.1, 203.0.113.9 , 10.0.0.2", "203.0.113.9"},
		"two proxies, two lines":             {"10.0.0.1:80", "203.0.113.9|192.0.2.7", "203.0.113.9"},
		"proxies of either family":           {"[fd00::1]:80", "2001:db8::9, 10.0.0.2", "2001:db8::9"},
		"with ports":                         {"10.0.0.1:80", "[2001:db8::9]:5, 10.0.0.2:99", "2001:db8::9"},
		"in brackets":                        {"10.0.0.1:80", "[2001:db8::9]", "2001:db8::9"},
		"IPv4 in IPv6":                       {"[::ffff:10.0.0.1]:80", "::ffff:203.0.113.9", "203.0.113.9"},
		"a zone":                             {"[fe80::1%eth0]:80", "", "fe80::1"},
		"trusted all the way":                {"10.0.0.1:80", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		"a proxy that says nothing":          {"10.0.0.1:80", "", "10.0.0.1"},
		"a proxy that does not know":         {"10.0.0.1:80", "1.1.1.1, unknown", "10.0.0.1"},
		"a second proxy that does not know":  {"10.0.0.1:80", "1.1.1.1, unknown, 10.0.0.2", "10.0.0.2"},
		"an empty entry":                     {"10.0.0.1:80", "1.1.1.1,,", "10.0.0.1"},
		"an entry that only looks like one":  {"10.0.0.1:80", "1.1.1.1, 203.0.113.9 evil", "10.0.0.1"},
		"leading zeros, read in two ways":    {"10.0.0.1:80", "1.1.1.1, 203.0.113.010", "10.0.0.1"},
		"a Unix socket":                      {"@", "1.1.1.1", ""},
		"nothing":                            {"", "1.1.1.1", ""},
		"a host name":                        {"localhost:80", "1.1.1.1", ""},
		"more proxies than anybody has":      {"10.0.0.1:80", "1.1.1.1" + strings.Repeat(",10.0.0.2", 100), "10.0.0.2"},
		"as many proxies as are believed in": {"10.0.0.1:80", "1.1.1.1" + strings.Repeat(",10.0.0.2", 31), "1.1.1.1"},
	} {
		var lines []string
		if c.header != "" {
			lines = strings.Split(c.header, "|")
		}
		got, ok := client.Address(c.peer, lines, trusted)
		if text := got.String(); ok != (c.want != "") || ok && text != c.want {
			t.Errorf("%s: %s, %t, want %q", name, text, ok, c.want)
		}
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.9":             "203.0.113.0/24",
		"::ffff:203.0.113.9":      "203.0.113.0/24",
		"2001:db8:1:2ff:3:4:5:6":  "2001:db8:1:200::/56",
		"2001:db8:1:2ff:3:4:5:ff": "2001:db8:1:200::/56",
	} {
		if got := client.Network(netip.MustParseAddr(address), 24, 56).String(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if client.Network(netip.Addr{}, 24, 56).IsValid() || client.Network(netip.MustParseAddr("1.1.1.1"), 33, 56).IsValid() {
		t.Error("a network of nothing")
	}
}

// Whatever a client writes, an untrusted peer is who it is, and through a
// trusted one the answer is an address that the header ends with.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"", "1.1.1.1", "1.1.1.1, 10.0.0.2", "[::1]:80,", "unknown", "::ffff:1.2.3.4%eth0", ",,,", "[", "]:", "1.1.1.1:99999"} {
		f.Add(seed)
	}
	trusted := networks(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, header string) {
		if got, ok := client.Address("203.0.113.9:1", []string{header}, trusted); !ok || got.String() != "203.0.113.9" {
			t.Fatalf("%q moved an untrusted peer to %s", header, got)
		}
		if got, ok := client.Address("10.0.0.1:1", []string{header, "203.0.113.9"}, trusted); !ok || got.String() != "203.0.113.9" {
			t.Fatalf("%q moved the client to %s", header, got)
		}
		if got, ok := client.Address("10.0.0.1:1", []string{header}, trusted); !ok || !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q: %s", header, got)
		}
	})
}
