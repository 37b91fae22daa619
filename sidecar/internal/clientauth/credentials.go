package clientauth

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"

	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

// ErrCertificate says that a certificate and its private key cannot be used.
var ErrCertificate = errors.New("the certificate cannot be used")

// Credentials are what a client authenticates with. Which of them are there
// depends on its method. They are a snapshot: nothing in them ever changes. They
// print as nothing but their name.
type Credentials struct {
	// Secret is the client secret, for the methods client_secret_*.
	Secret secret.String
	// PrivateKey signs client assertions and request objects.
	PrivateKey *SigningKey
	// Certificate is shown in TLS handshakes, for the methods tls_client_auth and
	// self_signed_tls_client_auth.
	Certificate *tls.Certificate
	// ServiceAccountToken is the assertion of workload_identity.
	ServiceAccountToken secret.String
}

// String never shows a credential.
func (c Credentials) String() string { return "client credentials" }

// GoString is String, for %#v.
func (c Credentials) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText keeps them out of JSON, YAML and text dumps: a tls.Certificate by
// itself would be written with its private key.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ParseCertificate reads a certificate, with the chain that leads up from it, and
// its private key, both in PEM. The Leaf of the result is set. The error matches
// ErrCertificate. Whether the certificate is valid at a time, and for whom, is
// decided by who is shown it.
func ParseCertificate(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		// What the standard library says may quote its input, and the two files are
		// easily mixed up.
		return nil, fmt.Errorf("%w: write the chain in PEM, the client's own certificate first, and the private key of that one", ErrCertificate)
	}
	if !strong(pair.Leaf.PublicKey) {
		return nil, fmt.Errorf("%w: its key must be RSA from %d bits, P-256, P-384, P-521 or Ed25519", ErrCertificate, minRSABits)
	}
	return &pair, nil
}
