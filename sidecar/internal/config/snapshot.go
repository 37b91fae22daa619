package config

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// Snapshot is everything the sidecar is told, at one moment. It is immutable:
// nothing it points to may be changed.
type Snapshot struct {
	// Policy is valid and has its defaults filled in.
	Policy *v1alpha1.BFFPolicy
	// PublicURL is the policy's publicURL as a browser writes it: without the port
	// that goes without saying.
	PublicURL *url.URL
	// Secrets are what the policy names and does not hold.
	Secrets
	// ProviderCAs and StoreCAs verify the provider's and the store's certificates;
	// nil is the system's.
	ProviderCAs, StoreCAs *x509.CertPool
	// UpstreamCAs verify the certificates of upstreams, by the route's name. A route
	// that is not there uses the system's.
	UpstreamCAs map[string]*x509.CertPool
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
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

var errNoCertificate = errors.New("it holds no certificate in PEM")

// poolOf reads certificate authorities in PEM; nil if there are none to read.
func poolOf(pem string) (*x509.CertPool, error) {
	if pem == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, errNoCertificate
	}
	return pool, nil
}
