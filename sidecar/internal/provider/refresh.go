package provider

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Refresh trades a refresh token for a new access token for a target (RFC 6749
// section 6, RFC 8707 section 2.2, OpenID Connect Core section 12). What the
// provider does not send again stays: the refresh token, the ID token, the
// access tokens for other targets.
//
// Its error matches token.ErrInvalidGrant only if the provider says so, with
// the status that belongs to it; token.ErrOtherUser if the answer came with an
// ID token that does not belong to the login; token.ErrInvalidTarget if there is
// no token for this target. Every other failure says nothing about the grant.
func (c *Client) Refresh(ctx context.Context, old token.Set, target token.Target) (token.Set, error) {
	const attempt = "refresh the tokens"
	if old.Refresh == "" {
		return token.Set{}, failure(attempt, ReasonNoRefreshToken, nil)
	}
	s, err := c.tokenEndpoint(ctx, attempt)
	if err != nil {
		return token.Set{}, err
	}
	key, err := c.keyOf(s, old)
	if err != nil {
		return token.Set{}, fmt.Errorf("%s: %w", attempt, err)
	}
	start := c.config.Clock()
	ctx, config := c.oauth(ctx, s, key, narrowing(target))
	// A source with no access token refreshes at once.
	response, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: old.Refresh}).Token()
	if err != nil {
		return token.Set{}, refreshFailure(c.tokenFailure(attempt, err), target)
	}
	g, err := read(response, start, c.config.Provider.DPoP, key != nil)
	if err != nil {
		return token.Set{}, fmt.Errorf("%s: %w", attempt, err)
	}
	if err := c.verifyRefreshed(ctx, s, old, g); err != nil {
		return token.Set{}, fmt.Errorf("%s: %w", attempt, err)
	}
	return refreshed(old, target, g, key), nil
}

// narrowing are the parameters for an access token of one target.
func narrowing(t token.Target) url.Values {
	form := url.Values{}
	if t.Resource != "" {
		form.Set("resource", t.Resource)
	}
	if len(t.Scopes) > 0 {
		form.Set("scope", strings.Join(t.Scopes, " "))
	}
	return form
}

// refreshFailure tells apart what a failed refresh says of the grant.
func refreshFailure(failed *Error, target token.Target) *Error {
	switch {
	case failed.Reason == ReasonGrantRefused:
		failed.cause = token.ErrInvalidGrant
	case failed.Reason == ReasonTarget && !target.IsZero():
		failed.cause = token.ErrInvalidTarget
	}
	return failed
}

// verifyRefreshed compares an ID token that came with a refresh with that of
// the login.
func (c *Client) verifyRefreshed(ctx context.Context, s *snapshot, old token.Set, g granted) error {
	const attempt = "compare the ID tokens"
	if g.id == "" {
		return nil
	}
	after, err := s.verifyIDToken(ctx, g.id, g.access.Token, c.expectation())
	if err != nil {
		if failed, ok := errors.AsType[*Error](err); ok && !IsTemporary(err) {
			return failure(failed.attempt, failed.Reason, token.ErrOtherUser)
		}
		return err // keys that cannot be had say nothing about the user
	}
	before, ok := unverifiedClaims(old.ID)
	if !ok {
		return failure(attempt, ReasonIDTokenChanged, token.ErrOtherUser)
	}
	if reason := changed(before, after); reason != "" {
		return failure(attempt, reason, token.ErrOtherUser)
	}
	return nil
}

// refreshed is the set after a refresh. Access tokens that are bound to a key
// which is no longer used are dropped.
func refreshed(old token.Set, target token.Target, g granted, key *dpop.Key) token.Set {
	var written []byte
	if key != nil {
		written = key.Marshal()
	}
	set := old.WithKey(written).With(target, g.access)
	if g.refresh != "" {
		set.Refresh = g.refresh
	}
	if g.id != "" {
		set.ID = g.id
	}
	if !isBound(set) {
		set.Key = nil
	}
	return set
}

// isBound says whether any access token of a set is bound to its key.
func isBound(set token.Set) bool {
	if set.Access.Type == token.DPoP {
		return true
	}
	for _, a := range set.Narrowed {
		if a.Type == token.DPoP {
			return true
		}
	}
	return false
}
