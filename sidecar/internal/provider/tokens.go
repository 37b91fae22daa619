package provider

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// tokenEndpoint is what a call of the token endpoint needs. Keys are fetched
// first if there are none: without them no answer could be verified, and the
// code or refresh token would be spent for nothing.
func (c *Client) tokenEndpoint(ctx context.Context, attempt string) (*snapshot, error) {
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", attempt, err)
	}
	if _, err := s.keys.keys.get(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", attempt, err)
	}
	return s, nil
}

// oauth is the token-endpoint client of one request. It knows of no client
// authentication: authenticated adds it below.
func (c *Client) oauth(ctx context.Context, s *snapshot, key *dpop.Key, add url.Values) (context.Context, *oauth2.Config) {
	return context.WithValue(ctx, oauth2.HTTPClient, c.authenticated(s, key, add)), &oauth2.Config{
		RedirectURL: c.config.RedirectURL,
		Endpoint:    oauth2.Endpoint{TokenURL: s.metadata.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams},
	}
}

// granted is a token response (RFC 6749 section 5.1).
type granted struct {
	access      token.Access
	refresh, id string
}

// read makes sense of a token response. start is when it was asked for: its
// lifetime counts from then at the earliest. bound says that a key was proved.
func read(response *oauth2.Token, start time.Time, mode v1alpha1.DPoPMode, bound bool) (granted, error) {
	const attempt = "read the token response"
	kind, reason := tokenType(response.TokenType, mode, bound)
	if reason != "" {
		return granted{}, failure(attempt, reason, nil)
	}
	if !isPrintable(response.AccessToken) || !isPrintable(response.RefreshToken) {
		return granted{}, failure(attempt, ReasonResponse, errors.New("a token holds characters that no token has"))
	}
	g := granted{
		access:  token.Access{Token: response.AccessToken, Type: kind, ObtainedAt: start},
		refresh: response.RefreshToken,
	}
	g.id, _ = response.Extra("id_token").(string)
	if response.ExpiresIn > 0 { // optional
		g.access.Expiry = start.Add(time.Duration(response.ExpiresIn) * time.Second)
	}
	return g, nil
}

// tokenType decides how an access token is presented, or why it is not used at
// all (RFC 6749 section 7.1, RFC 9449 section 5).
func tokenType(name string, mode v1alpha1.DPoPMode, bound bool) (token.Type, Reason) {
	switch {
	case strings.EqualFold(name, string(token.DPoP)) && bound:
		return token.DPoP, ""
	case !strings.EqualFold(name, string(token.Bearer)):
		return "", ReasonTokenType
	case mode == v1alpha1.DPoPRequired:
		return "", ReasonNotBound
	}
	return token.Bearer, ""
}

// isPrintable accepts VSCHAR, which tokens consist of (RFC 6749 appendix A).
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}
