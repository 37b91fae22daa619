package config

import (
	"net/netip"
	"net/url"
	"strconv"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

// Snapshot is everything the sidecar is told, at one moment. It is immutable:
// nothing it points to may be changed.
type Snapshot struct {
	// Policy is valid and has its defaults filled in.
	Policy *v1alpha1.BFFPolicy
	// PublicURL is the policy's publicURL as a browser writes it: without the port
	// that goes without saying.
	PublicURL *url.URL
	// ClientSecret is what the sidecar authenticates with at the provider.
	ClientSecret secret.String
	// StorePassword is the session store's; zero when it has none.
	StorePassword secret.String
	// Ring holds the keys that sessions are sealed with.
	Ring *keyring.Ring
	// ApplicationAddress is host:port of the application. The host is localhost
	// when the application listens on loopback, of either family.
	ApplicationAddress string
	// Hash identifies the policy's text. It says nothing about secrets.
	Hash string
}

// Origin is the public URL as a browser writes it in the header Origin.
func (s *Snapshot) Origin() string { return s.PublicURL.Scheme + "://" + s.PublicURL.Host }

// parseOrigin parses an origin and writes it the way browsers do (URL Standard,
// section 4.2): no default port, an IPv6 address in its short form.
func parseOrigin(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	host := u.Hostname()
	if address, err := netip.ParseAddr(host); err == nil && address.Is6() {
		host = "[" + address.String() + "]"
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err == nil && port != defaultPorts[u.Scheme] {
		host += ":" + strconv.FormatUint(port, 10)
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

var defaultPorts = map[string]uint64{"http": 80, "https": 443}
