package server

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/http"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
	"github.com/bff-operator/bff-operator/sidecar/internal/upstream"
)

// peerPart is the connections to upstreams that are verified by authorities of
// their own, or that are shown a certificate. Routes that want the same share
// them.
type peerPart struct {
	*counted
	transport *upstream.Client
}

// peers are those of a generation, by what they were made of.
type peers map[string]*peerPart

// peersOf makes the connections of a snapshot's routes, or takes those of the
// generation in force. A renewed certificate makes new ones, since a connection
// goes on showing the certificate it began with (MTLS-05).
func peersOf(snapshot *config.Snapshot, old *generation) peers {
	all := peers{}
	for i := range snapshot.Policy.Spec.Routes {
		route := &snapshot.Policy.Spec.Routes[i]
		key, peer := peerOf(snapshot, route)
		if key == "" || all[key] != nil {
			continue
		}
		if old != nil && old.peers[key] != nil && old.peers[key].retain() {
			all[key] = old.peers[key]
			continue
		}
		transport := proxy.NewTransport(peer)
		all[key] = &peerPart{counted: newCounted(transport.CloseIdleConnections), transport: transport}
	}
	return all
}

// peerOf says who stands at both ends of a route. The key is empty for a route
// without anything of its own.
func peerOf(snapshot *config.Snapshot, route *v1alpha1.Route) (key string, peer proxy.Peer) {
	var certificate *tls.Certificate
	if route.Upstream.ClientCertificate == v1alpha1.UpstreamCertificateProvider {
		certificate = snapshot.Credentials.Certificate
	}
	if route.Upstream.CABundle == "" && certificate == nil {
		return "", peer
	}
	var roots *x509.CertPool
	if route.Upstream.CABundle != "" {
		roots = snapshot.UpstreamCAs[route.Name]
	}
	return keyOf(route.Upstream.CABundle, fingerprint(certificate)), proxy.Peer{RootCAs: roots, Certificate: certificate}
}

// fingerprint identifies a certificate; it is nil if there is none.
func fingerprint(c *tls.Certificate) []byte {
	if c == nil || len(c.Certificate) == 0 {
		return nil
	}
	sum := sha256.Sum256(c.Certificate[0])
	return sum[:]
}

func (p peers) release() {
	for _, part := range p {
		part.release()
	}
}

// transport is what reaches a route's upstream.
func (s *Server) transport(snapshot *config.Snapshot, p peers, route *v1alpha1.Route) http.RoundTripper {
	key, _ := peerOf(snapshot, route)
	if key == "" {
		return s.routes
	}
	return p[key].transport
}
