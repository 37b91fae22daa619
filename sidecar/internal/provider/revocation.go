package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Revoke tells the provider that a grant will not be used again (RFC 7009): its
// refresh token first, with which a provider should let the access tokens go,
// and then those too, since it need not (section 2.1, REV-02).
//
// It returns nil if there is nothing to revoke, and an error for which
// IsTemporary holds if it may be worth trying again, not before RetryAfter. The
// reason is ReasonRevocationMissing if the provider has no such endpoint, and
// ReasonRevocationUnsupported if it does not revoke the token that matters most;
// that it keeps access tokens until they expire, once the refresh token is gone,
// is no error.
func (c *Client) Revoke(ctx context.Context, set token.Set) error {
	const attempt = "revoke the tokens"
	forms := revocations(set)
	if len(forms) == 0 {
		return nil
	}
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", attempt, err)
	}
	if s.metadata.RevocationEndpoint == "" {
		return failure(attempt, ReasonRevocationMissing, nil)
	}
	for i, form := range forms {
		err := c.revoke(ctx, attempt, s, form)
		if i > 0 && ReasonOf(err) == ReasonRevocationUnsupported {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) revoke(ctx context.Context, attempt string, s *snapshot, form url.Values) error {
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

// revocations are the forms that revoke the tokens of a grant, in their order.
func revocations(set token.Set) (forms []url.Values) {
	add := func(value, hint string) {
		if value != "" {
			forms = append(forms, url.Values{"token": {value}, "token_type_hint": {hint}})
		}
	}
	add(set.Refresh, "refresh_token")
	add(set.Access.Token, "access_token")
	narrowed := make([]string, 0, len(set.Narrowed))
	for _, access := range set.Narrowed {
		narrowed = append(narrowed, access.Token)
	}
	slices.Sort(narrowed)
	for _, value := range slices.Compact(narrowed) {
		if value != set.Access.Token {
			add(value, "access_token")
		}
	}
	return forms
}
