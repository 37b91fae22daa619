package provider

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// ExchangeRequest is an authorization code and what is known of the request it
// answers.
type ExchangeRequest struct {
	// Code is the authorization code.
	Code string
	// CodeVerifier and Nonce are those of the authorization request.
	CodeVerifier, Nonce string
	// Key is that of the authorization request. If it had none, one is made as far
	// as the policy wants one.
	Key *dpop.Key
	// ACRValues and MaxAge are those of the authorization request's Parameters.
	ACRValues []string
	MaxAge    *time.Duration
	// StartedAt is when the authorization request was made. Default: now.
	StartedAt time.Time
}

// Login is what a code was good for: who logged in, and the tokens of the
// grant. The ID token it comes from has been verified.
type Login struct {
	// Issuer and Subject together name the user (OpenID Connect Core section 5.7).
	Issuer, Subject string
	// SID is the provider's session, or "" (OpenID Connect Back-Channel Logout
	// section 2.1).
	SID string
	// ACR is how the user was authenticated, or "" if the provider does not say
	// (OpenID Connect Core section 2).
	ACR string
	// AuthTime is when the user was authenticated, or zero.
	AuthTime time.Time
	// Claims are all claims of the ID token and those that the UserInfo endpoint
	// adds, not all of which a browser should see.
	Claims map[string]any
	Tokens token.Set
}

// Exchange redeems an authorization code (OpenID Connect Core section 3.1.3),
// and asks the UserInfo endpoint if the policy says so. Every token has been
// verified before any is used. Its error matches ErrUnavailable if the provider
// could not be reached; the code may be spent all the same. An authentication
// that is not what was asked for has the reason ReasonACR or ReasonAuthTime.
func (c *Client) Exchange(ctx context.Context, r ExchangeRequest) (*Login, error) {
	const attempt = "exchange the authorization code"
	s, err := c.tokenEndpoint(ctx, attempt)
	if err != nil {
		return nil, err
	}
	key := r.Key
	if key == nil {
		if key, err = c.makeKey(s); err != nil {
			return nil, fmt.Errorf("%s: %w", attempt, err)
		}
	}
	start := c.config.Clock()
	ctx, config := c.oauth(ctx, s, key, nil)
	response, err := config.Exchange(ctx, r.Code, oauth2.VerifierOption(r.CodeVerifier))
	if err != nil {
		return nil, c.tokenFailure(attempt, err)
	}
	g, err := read(response, start, c.config.Provider.DPoP, key != nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", attempt, err)
	}
	if g.id == "" {
		return nil, failure(attempt, ReasonIDTokenMissing, nil)
	}
	want := c.expectation()
	want.nonce = &r.Nonce
	want.authentication = c.authenticationFor(r, want.now)
	id, err := s.verifyIDToken(ctx, g.id, g.access.Token, want)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", attempt, err)
	}
	login := loginOf(id)
	login.Tokens = token.Set{Access: g.access, Refresh: g.refresh, ID: g.id}
	if g.access.Type == token.DPoP {
		login.Tokens.Key = key.Marshal()
	}
	if err := c.addUserInfo(ctx, s, key, login); err != nil {
		return nil, fmt.Errorf("%s: %w", attempt, err)
	}
	return login, nil
}

// expectation is what every ID token of this provider must agree with.
func (c *Client) expectation() expectation {
	p := c.config.Provider
	return expectation{
		issuer: p.IssuerURL, clientID: p.ClientID, trusted: p.TrustedAudiences,
		now: c.config.Clock(), skew: c.skew,
	}
}

// authenticationFor is how the user must have been authenticated. A login page
// can ask for more than the policy does, never for less.
func (c *Client) authenticationFor(r ExchangeRequest, now time.Time) authentication {
	if !r.StartedAt.IsZero() {
		now = r.StartedAt
	}
	return authentication{
		acrValues: [][]string{c.config.ACRValues, r.ACRValues},
		maxAge:    shorter(c.config.MaxAge, r.MaxAge),
		startedAt: now,
	}
}

// shorter is the shorter one of two limits, nil being none.
func shorter(a, b *time.Duration) *time.Duration {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}

func loginOf(id claims) *Login {
	login := &Login{Issuer: *id.issuer, Subject: *id.subject, Claims: id.all}
	if id.sid != nil {
		login.SID = *id.sid
	}
	if id.acr != nil {
		login.ACR = *id.acr
	}
	if isTime(id.authTime) {
		login.AuthTime = at(id.authTime)
	}
	return login
}
