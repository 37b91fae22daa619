package provider

import (
	"context"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// AuthorizationRequest is what differs from one authorization request to the
// next. Each value is random and used once.
type AuthorizationRequest struct {
	// State binds the answer to the browser (RFC 6749 section 10.12).
	State string
	// Nonce binds the ID token to the request (OpenID Connect Core section
	// 3.1.2.1).
	Nonce string
	// CodeVerifier binds the code to the request (RFC 7636). Only its S256
	// challenge is sent.
	CodeVerifier string
}

// AuthorizationURL is where the browser goes to log in (OpenID Connect Core
// section 3.1.2.1). Its error matches ErrUnavailable.
func (c *Client) AuthorizationURL(ctx context.Context, r AuthorizationRequest) (string, error) {
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return "", err
	}
	// No secret is needed here, and none is read.
	config := c.oauth(s, "")
	return config.AuthCodeURL(r.State, oidc.Nonce(r.Nonce), oauth2.S256ChallengeOption(r.CodeVerifier)), nil
}

// SendsIssuer says whether the provider promises to name its issuer in every
// authorization response, errors included (RFC 9207 section 3). Its error
// matches ErrUnavailable.
func (c *Client) SendsIssuer(ctx context.Context) (bool, error) {
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return false, err
	}
	return s.metadata.ResponseIssuer, nil
}

// EndSessionURL is where the browser goes to log out at the provider too, and
// from there to postLogoutRedirect, which must be registered (OpenID Connect
// RP-Initiated Logout section 2). It returns false if the provider has no such
// endpoint, or cannot be asked before ctx ends.
//
// It names the client and leaves id_token_hint out: no token ever stands in a
// URL. A provider may then ask the user to confirm.
func (c *Client) EndSessionURL(ctx context.Context, postLogoutRedirect string) (string, bool) {
	s, err := c.snapshot.get(ctx)
	if err != nil || s.metadata.EndSessionEndpoint == "" {
		return "", false
	}
	u, err := url.Parse(s.metadata.EndSessionEndpoint)
	if err != nil {
		return "", false
	}
	query := u.Query()
	query.Set("client_id", c.config.ClientID)
	query.Set("post_logout_redirect_uri", postLogoutRedirect)
	u.RawQuery = query.Encode()
	return u.String(), true
}

// oauth is the configuration of one request. The way to authenticate is fixed:
// trying the other one would send the secret where it is not expected (RFC 6749
// section 2.3).
func (c *Client) oauth(s *snapshot, clientSecret string) *oauth2.Config {
	style := oauth2.AuthStyleInHeader
	if c.config.Method == v1alpha1.ClientSecretPost {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID:     c.config.ClientID,
		ClientSecret: clientSecret,
		RedirectURL:  c.config.RedirectURL,
		Scopes:       c.config.Scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL:   s.metadata.AuthorizationEndpoint,
			TokenURL:  s.metadata.TokenEndpoint,
			AuthStyle: style,
		},
	}
}
