package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// Revoke tells the provider that a refresh token will not be used again (RFC
// 7009). It returns nil if the provider has no revocation endpoint, and an
// error that matches ErrUnavailable if it may be worth trying again.
func (c *Client) Revoke(ctx context.Context, refreshToken string) error {
	const attempt = "revoke the refresh token"
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", attempt, err)
	}
	if s.metadata.RevocationEndpoint == "" {
		return nil
	}
	clientSecret := c.config.Secret()
	if clientSecret.IsZero() {
		return failure(attempt, ReasonClientSecret, nil)
	}
	form := url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}}
	if c.config.Method == v1alpha1.ClientSecretPost {
		form.Set("client_id", c.config.ClientID)
		form.Set("client_secret", clientSecret.Reveal())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.metadata.RevocationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return failure(attempt, ReasonMetadata, errors.New("revocation_endpoint cannot be requested"))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.config.Method == v1alpha1.ClientSecretBasic {
		// Each is form-encoded first (RFC 6749 section 2.3.1).
		request.SetBasicAuth(url.QueryEscape(c.config.ClientID), url.QueryEscape(clientSecret.Reveal()))
	}
	response, err := c.http.Do(request)
	if err != nil {
		return callFailure(attempt, err, ReasonRefused)
	}
	defer response.Body.Close()
	switch status := response.StatusCode; {
	case status == http.StatusOK: // whatever the body says (RFC 7009 section 2.2)
		return nil
	case isTemporary(status):
		return failure(attempt, ReasonStatus, statusError(status))
	default:
		return failure(attempt, ReasonRefused, statusError(status))
	}
}
