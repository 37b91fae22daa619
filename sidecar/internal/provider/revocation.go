package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Revoke tells the provider that a grant will not be used again (RFC 7009): its
// refresh token, with which the access tokens go, or else its access token. It
// returns nil if there is nothing to revoke or no endpoint to do it, and an
// error for which IsTemporary holds if it may be worth trying again, not before
// RetryAfter.
func (c *Client) Revoke(ctx context.Context, set token.Set) error {
	const attempt = "revoke the tokens"
	form := revocation(set)
	if form == nil {
		return nil
	}
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", attempt, err)
	}
	if s.metadata.RevocationEndpoint == "" {
		return nil
	}
	a, err := c.post(ctx, attempt, s, s.metadata.RevocationEndpoint, nil, form)
	if err != nil {
		return err
	}
	if a.status == http.StatusOK { // whatever the body says (RFC 7009 section 2.2)
		return nil
	}
	failed := c.refused(attempt, a)
	if failed.Reason == ReasonResponse {
		failed.Reason = ReasonRefused
	}
	return failed
}

// revocation is the form that revokes a grant, or nil if there is none.
func revocation(set token.Set) url.Values {
	switch {
	case set.Refresh != "":
		return url.Values{"token": {set.Refresh}, "token_type_hint": {"refresh_token"}}
	case set.Access.Token != "":
		return url.Values{"token": {set.Access.Token}, "token_type_hint": {"access_token"}}
	}
	return nil
}
