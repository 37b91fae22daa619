package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Login is what a code was good for: who logged in, and the tokens of the
// grant. The ID token it comes from has been verified.
type Login struct {
	// Issuer and Subject together name the user (OpenID Connect Core section 5.7).
	Issuer, Subject string
	// SID is the provider's session, or "" (OpenID Connect Back-Channel Logout
	// section 2.1).
	SID string
	// Claims are all claims of the ID token, not all of which a browser should
	// see.
	Claims map[string]any
	Tokens token.Set
}

// Exchange redeems an authorization code (OpenID Connect Core section 3.1.3).
// The code verifier and the nonce are those of the authorization request. Its
// error matches ErrUnavailable if the provider could not be reached; the code
// may be spent all the same.
func (c *Client) Exchange(ctx context.Context, code, codeVerifier, nonce string) (*Login, error) {
	const attempt = "exchange the authorization code"
	s, config, err := c.tokenEndpoint(ctx, attempt)
	if err != nil {
		return nil, err
	}
	start := c.config.Clock()
	response, err := config.Exchange(c.withHTTP(ctx), code, oauth2.VerifierOption(codeVerifier))
	if err != nil {
		return nil, tokenFailure(attempt, err)
	}
	set, err := tokensOf(response, start)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", attempt, err)
	}
	if set.ID == "" {
		return nil, failure(attempt, ReasonIDTokenMissing, nil)
	}
	id, err := s.verifyIDToken(ctx, set.ID, set.Access, expectation{
		issuer: c.config.Issuer, clientID: c.config.ClientID, nonce: &nonce, now: c.config.Clock(),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", attempt, err)
	}
	login := &Login{Issuer: *id.issuer, Subject: *id.subject, Claims: id.all, Tokens: set}
	if id.sid != nil {
		login.SID = *id.sid
	}
	return login, nil
}

// Refresh trades a refresh token for new tokens (RFC 6749 section 6, OpenID
// Connect Core section 12). What the provider does not send again stays: the
// refresh token, the ID token.
//
// Its error matches token.ErrInvalidGrant only if the provider says so, with
// the status that belongs to it. Every other failure says nothing about the
// grant. The new tokens are not to be used then, also if they came with an ID
// token that is about somebody else.
func (c *Client) Refresh(ctx context.Context, old token.Set) (token.Set, error) {
	const attempt = "refresh the tokens"
	if old.Refresh == "" {
		return token.Set{}, failure(attempt, ReasonNoRefreshToken, nil)
	}
	s, config, err := c.tokenEndpoint(ctx, attempt)
	if err != nil {
		return token.Set{}, err
	}
	start := c.config.Clock()
	// A source with no access token refreshes at once.
	response, err := config.TokenSource(c.withHTTP(ctx), &oauth2.Token{RefreshToken: old.Refresh}).Token()
	if err != nil {
		failed := tokenFailure(attempt, err)
		if failed.Reason == ReasonGrantRefused {
			failed.cause = token.ErrInvalidGrant
		}
		return token.Set{}, failed
	}
	set, err := tokensOf(response, start)
	if err != nil {
		return token.Set{}, fmt.Errorf("%s: %w", attempt, err)
	}
	if set.ID == "" {
		set.ID = old.ID
		return set, nil
	}
	after, err := s.verifyIDToken(ctx, set.ID, set.Access, expectation{
		issuer: c.config.Issuer, clientID: c.config.ClientID, now: c.config.Clock(),
	})
	if err != nil {
		return token.Set{}, fmt.Errorf("%s: %w", attempt, err)
	}
	before, ok := unverifiedClaims(old.ID)
	if !ok {
		return token.Set{}, failure(attempt, ReasonIDTokenChanged, errors.New("there is no ID token to compare the new one with"))
	}
	if reason := changed(before, after); reason != "" {
		return token.Set{}, failure(attempt, reason, nil)
	}
	return set, nil
}

// tokenEndpoint is what a call of the token endpoint needs.
func (c *Client) tokenEndpoint(ctx context.Context, attempt string) (*snapshot, *oauth2.Config, error) {
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", attempt, err)
	}
	clientSecret := c.config.Secret()
	if clientSecret.IsZero() {
		return nil, nil, failure(attempt, ReasonClientSecret, nil)
	}
	return s, c.oauth(s, clientSecret.Reveal()), nil
}

func (c *Client) withHTTP(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, c.http)
}

// tokensOf reads a token response (RFC 6749 section 5.1). start is when it was
// asked for: its lifetime counts from then at the earliest.
func tokensOf(response *oauth2.Token, start time.Time) (token.Set, error) {
	const attempt = "read the token response"
	if !strings.EqualFold(response.TokenType, "Bearer") {
		return token.Set{}, failure(attempt, ReasonTokenType, nil)
	}
	if !isPrintable(response.AccessToken) || !isPrintable(response.RefreshToken) {
		return token.Set{}, failure(attempt, ReasonResponse, errors.New("a token holds characters that no token has"))
	}
	set := token.Set{Access: response.AccessToken, Refresh: response.RefreshToken}
	set.ID, _ = response.Extra("id_token").(string)
	if response.ExpiresIn != 0 { // optional
		set.AccessExpiry = start.Add(time.Duration(response.ExpiresIn) * time.Second)
	}
	return set, nil
}

// isPrintable accepts VSCHAR, which tokens consist of (RFC 6749 appendix A).
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// tokenFailure explains a failed call of the token endpoint (RFC 6749 section
// 5.2). Of the answer it keeps the status; the error code selects a reason.
func tokenFailure(attempt string, err error) *Error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return callFailure(attempt, err, ReasonResponse)
	}
	status := refused.Response.StatusCode
	reason := ReasonRefused
	switch {
	case isTemporary(status):
		reason = ReasonStatus
	case status != http.StatusBadRequest && status != http.StatusUnauthorized:
		reason = ReasonResponse
	case refused.ErrorCode == "invalid_grant":
		reason = ReasonGrantRefused
	case refused.ErrorCode == "invalid_client", refused.ErrorCode == "unauthorized_client":
		reason = ReasonClientRefused
	}
	return failure(attempt, reason, statusError(status))
}

// isTemporary says whether a status is about the provider's state rather than
// about the request.
func isTemporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}
