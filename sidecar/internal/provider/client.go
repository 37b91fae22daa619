package provider

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

// Config is what a Client is told. Every field without a default is required.
type Config struct {
	// Issuer is the issuer identifier, compared character by character (OpenID
	// Connect Discovery section 4.3).
	Issuer string
	// ClientID is the client identifier registered at the provider.
	ClientID string
	// Method is how the client authenticates. It is never guessed.
	Method v1alpha1.ClientAuthenticationMethod
	// Secret returns the client secret. It is called for every request that needs
	// one, so that a rotated secret is used at once.
	Secret func() secret.String
	// Scopes are asked for at login.
	Scopes []string
	// RedirectURL is the registered redirect URI.
	RedirectURL string

	// ConnectTo is host:port to dial for calls of the issuer's host and port, with
	// Host header, TLS server name and issuer unchanged. Default: what the URL
	// says.
	ConnectTo string
	// RootCAs verify the provider's certificate. Default: the system's.
	RootCAs *x509.CertPool
	// Timeout bounds each call. Default: 10 seconds.
	Timeout time.Duration
	// Clock tells the time. Default: time.Now.
	Clock func() time.Time
	// Logger is told what happens to metadata. Default: nothing is logged.
	Logger *slog.Logger
}

// Client is a confidential client of one provider. It is safe for concurrent
// use.
type Client struct {
	config   Config
	http     *http.Client
	insecure bool  // the issuer is one that may use plain http
	invalid  error // what is wrong with config
	snapshot *cached[*snapshot]
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
	if config.Clock == nil {
		config.Clock = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	issuer, err := url.Parse(config.Issuer)
	if err != nil {
		issuer = &url.URL{}
	}
	c := &Client{
		config:   config,
		http:     newHTTPClient(issuer, config.ConnectTo, config.RootCAs, config.Timeout),
		insecure: issuer.Scheme == "http" && isLocal(issuer.Hostname()),
	}
	switch {
	case checkEndpoint(config.Issuer, c.insecure) != nil:
		c.invalid = errors.New("the issuer must be an https URL, or an http one of this machine")
	case config.Method != v1alpha1.ClientSecretBasic && config.Method != v1alpha1.ClientSecretPost:
		c.invalid = errors.New("the client authentication method must be client_secret_basic or client_secret_post")
	}
	c.snapshot = newCached(config.Clock, c.discover)
	return c
}

// Issuer is the provider's issuer identifier.
func (c *Client) Issuer() string { return c.config.Issuer }

// Discover fetches the metadata unless they are there already. Nothing needs it
// to be called; it warms the client up and tells whether the provider can be
// used. Its error matches ErrUnavailable.
func (c *Client) Discover(ctx context.Context) error {
	_, err := c.snapshot.get(ctx)
	return err
}

// discover fetches metadata (OpenID Connect Discovery section 4). Keys are
// fetched when a signature needs them.
func (c *Client) discover(ctx context.Context) (*snapshot, error) {
	const attempt = "discover the identity provider"
	s, dropped, err := c.fetchMetadata(ctx, attempt)
	if err != nil {
		c.config.Logger.LogAttrs(ctx, slog.LevelWarn, "identity provider metadata not fetched",
			slog.String("issuer", c.config.Issuer), slog.String("reason", string(ReasonOf(err))), slog.Any("error", err))
		return nil, err
	}
	c.config.Logger.LogAttrs(ctx, slog.LevelInfo, "identity provider metadata fetched",
		slog.String("issuer", c.config.Issuer), slog.Any("unusable", dropped))
	return s, nil
}

func (c *Client) fetchMetadata(ctx context.Context, attempt string) (*snapshot, []string, error) {
	if c.invalid != nil {
		return nil, nil, failure(attempt, ReasonMetadata, c.invalid)
	}
	client := *c.http
	client.Transport = documents{c.http.Transport}
	discovered, err := oidc.NewProvider(oidc.ClientContext(ctx, &client), c.config.Issuer)
	if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return nil, nil, failure(attempt, ReasonIssuerMismatch,
			fmt.Errorf("the policy names the issuer %q, the provider calls itself %.200q", c.config.Issuer, mismatch.Discovered))
	}
	if err != nil {
		return nil, nil, callFailure(attempt, err, ReasonMetadata)
	}
	var m metadata
	if err := discovered.Claims(&m); err != nil {
		return nil, nil, failure(attempt, ReasonMetadata, nil)
	}
	m, dropped, err := m.check(c.insecure)
	if err != nil {
		return nil, nil, failure(attempt, ReasonMetadata, err)
	}
	s := &snapshot{metadata: m}
	if old, ok := c.snapshot.peek(); ok && old.keys.url == m.KeysURL {
		s.keys = old.keys
	} else {
		s.keys = newKeySet(m.KeysURL, &client, c.config.Clock)
	}
	return s, dropped, nil
}
