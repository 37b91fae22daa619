package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// Advertised is what the provider says of itself (OpenID Connect Discovery
// section 3). An empty list says nothing.
type Advertised struct {
	// ResponseIssuer says that every authorization response, errors included, names
	// the issuer (RFC 9207 section 3).
	ResponseIssuer bool
	// PromptValues, ACRValues and UILocales are values of the parameters of these
	// names.
	PromptValues, ACRValues, UILocales []string
}

// Advertised is what the provider says of itself. Its error matches
// ErrUnavailable.
func (c *Client) Advertised(ctx context.Context) (Advertised, error) {
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return Advertised{}, err
	}
	m := s.metadata
	return Advertised{
		ResponseIssuer: m.ResponseIssuer,
		PromptValues:   m.PromptValues, ACRValues: m.ACRValues, UILocales: m.UILocales,
	}, nil
}

// discover fetches metadata (OpenID Connect Discovery section 4). Keys are
// fetched when a signature needs them.
func (c *Client) discover(ctx context.Context) (*snapshot, error) {
	const attempt = "discover the identity provider"
	s, dropped, err := c.fetchMetadata(ctx, attempt)
	if err != nil {
		c.config.Logger.LogAttrs(ctx, slog.LevelWarn, "identity provider metadata not fetched",
			slog.String("issuer", c.Issuer()), slog.String("reason", string(ReasonOf(err))), slog.Any("error", err))
		return nil, err
	}
	for _, doubt := range s.metadata.doubts(c.identity.Method, c.signs(s.metadata)) {
		c.config.Logger.LogAttrs(ctx, slog.LevelWarn, "the identity provider may refuse this client",
			slog.String("issuer", c.Issuer()), slog.String("metadata", doubt))
	}
	c.config.Logger.LogAttrs(ctx, slog.LevelInfo, "identity provider metadata fetched",
		slog.String("issuer", c.Issuer()), slog.Any("unusable", dropped),
		slog.Bool("revokes", s.metadata.RevocationEndpoint != ""), slog.Bool("endsSessions", s.metadata.EndSessionEndpoint != ""))
	return s, nil
}

func (c *Client) fetchMetadata(ctx context.Context, attempt string) (*snapshot, []string, error) {
	if c.invalid != nil {
		return nil, nil, failure(attempt, ReasonMetadata, c.invalid)
	}
	client := *c.http
	client.Transport = documents{c.http.Transport}
	discovered, err := oidc.NewProvider(oidc.ClientContext(ctx, &client), c.Issuer())
	if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return nil, nil, failure(attempt, ReasonIssuerMismatch,
			fmt.Errorf("the policy names the issuer %q, the provider calls itself %.200q", c.Issuer(), mismatch.Discovered))
	}
	if err != nil {
		return nil, nil, callFailure(attempt, err, ReasonMetadata)
	}
	var m metadata
	if err := discovered.Claims(&m); err != nil {
		return nil, nil, failure(attempt, ReasonMetadata, nil)
	}
	m, dropped, err := m.check(c.policy)
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

// signs is the algorithm that the client signs assertions by, if it has a private
// key: one that the provider takes, or else the key's own.
func (c *Client) signs(m metadata) v1alpha1.SigningAlgorithm {
	key := c.credentials().PrivateKey
	if key == nil {
		return ""
	}
	if taken, err := key.For(m.AuthAlgorithms); err == nil {
		key = taken
	}
	return key.Algorithm()
}
