package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
)

// defaultSkew is how far the clocks may differ unless the policy says so.
const defaultSkew = 30 * time.Second

// Config is what a Client is told. Every field without a default is required.
type Config struct {
	// Provider is the policy's section. Its issuer is compared character by
	// character (OpenID Connect Discovery section 4.3).
	Provider v1alpha1.Provider
	// RedirectURL is the registered redirect URI.
	RedirectURL string
	// Credentials returns what the client authenticates with. It is called for
	// every request and every connection, so that what was rotated is used at once.
	// Default: none, with which nothing is sent where credentials are needed.
	Credentials func() clientauth.Credentials
	// ACRValues and MaxAge are how every login must authenticate the user. Default:
	// the provider decides.
	ACRValues []string
	MaxAge    *time.Duration

	// RootCAs verify the provider's certificate. Default: those of
	// Provider.CABundle, or else the system's.
	RootCAs *x509.CertPool
	// Timeout bounds each call. Default: 10 seconds.
	Timeout time.Duration
	// Clock tells the time. Default: time.Now.
	Clock func() time.Time
	// Logger is told what happens to metadata. Default: nothing is logged.
	Logger *slog.Logger
}

// Client is a confidential client of one provider, with connections that no
// other client shares. It is safe for concurrent use.
type Client struct {
	config   Config
	identity clientauth.Client
	skew     time.Duration
	policy   policy
	invalid  error // what is wrong with config

	http  *http.Client
	shown atomic.Pointer[tls.Certificate] // by the connections there are
	clock clockWatch

	snapshot *cached[*snapshot]
	// Nonces of the authorization server, and of the UserInfo endpoint, which is a
	// resource server (RFC 9449 section 9).
	nonces, resourceNonces dpop.Nonces
}

// snapshot is what is known of the provider at one time.
type snapshot struct {
	metadata metadata
	keys     *keySet
}

// New makes a client. It calls nobody and cannot fail: a configuration that
// cannot work is reported by every method that would need the provider.
func New(config Config) *Client {
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	if config.Credentials == nil {
		config.Credentials = func() clientauth.Credentials { return clientauth.Credentials{} }
	}
	if config.Clock == nil {
		config.Clock = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	p := config.Provider
	authentication := p.ClientAuthentication
	c := &Client{
		config: config,
		identity: clientauth.Client{
			ID: p.ClientID, Method: authentication.Method, AssertionAudience: authentication.AssertionAudience,
		},
		skew: defaultSkew,
	}
	if p.ClockSkew != nil {
		c.skew = p.ClockSkew.Duration
	}
	issuer, err := url.Parse(p.IssuerURL)
	if err != nil {
		issuer = &url.URL{}
	}
	c.policy = policy{
		insecure: issuer.Scheme == "http" && isLocal(issuer.Hostname()),
		aliases:  c.identity.UsesTLS(), algorithms: p.IDTokenSigningAlgorithms,
	}
	roots := config.RootCAs
	if roots == nil && p.CABundle != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(p.CABundle)) {
			c.invalid = errors.New("caBundle must hold certificates in PEM")
		}
	}
	switch {
	case checkEndpoint(p.IssuerURL, c.policy.insecure) != nil:
		c.invalid = errors.New("the issuer must be an https URL, or an http one of this machine")
	case !slices.Contains(methods, authentication.Method):
		c.invalid = fmt.Errorf("the client authentication method must be one of %q", methods)
	}
	c.http = c.newHTTPClient(newTransport(issuer, p.ConnectTo, c.tlsConfig(roots), config.Timeout))
	c.snapshot = newCached(config.Clock, c.discover)
	return c
}

// methods are the ways to authenticate. Which one is never guessed.
var methods = []v1alpha1.ClientAuthenticationMethod{
	v1alpha1.ClientSecretBasic, v1alpha1.ClientSecretPost, v1alpha1.ClientSecretJWT, v1alpha1.PrivateKeyJWT,
	v1alpha1.TLSClientAuth, v1alpha1.SelfSignedTLSClientAuth, v1alpha1.WorkloadIdentity,
}

// Issuer is the provider's issuer identifier.
func (c *Client) Issuer() string { return c.config.Provider.IssuerURL }

// Nonces are the latest DPoP nonces of the provider's own endpoints (RFC 9449
// section 8).
func (c *Client) Nonces() *dpop.Nonces { return &c.nonces }

// ClockOffset is how far the provider's clock is ahead of this machine's, by the
// latest answer that says so. It returns false before the first one.
func (c *Client) ClockOffset() (time.Duration, bool) { return c.clock.offset() }

// Discover fetches the metadata unless they are there already. Nothing needs it
// to be called; it warms the client up and tells whether the provider can be
// used. Its error matches ErrUnavailable.
func (c *Client) Discover(ctx context.Context) error {
	_, err := c.snapshot.get(ctx)
	return err
}

// tlsConfig is that of every connection. With a certificate to authenticate
// with, each new connection shows the current one to who asks for one.
func (c *Client) tlsConfig(roots *x509.CertPool) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if c.identity.UsesTLS() {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if certificate := c.config.Credentials().Certificate; certificate != nil {
				return certificate, nil
			}
			return &tls.Certificate{}, nil // none, which must not be nil
		}
	}
	return config
}

// credentials are the current ones. After the certificate was renewed, idle
// connections that have shown the old one are closed.
func (c *Client) credentials() clientauth.Credentials {
	current := c.config.Credentials()
	if current.Certificate != nil {
		if shown := c.shown.Swap(current.Certificate); shown != nil && shown != current.Certificate {
			c.http.CloseIdleConnections()
		}
	}
	return current
}
