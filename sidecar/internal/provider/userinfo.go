package provider

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// addUserInfo adds the claims of the UserInfo endpoint to a login, if the policy
// says so (OpenID Connect Core section 5.3).
func (c *Client) addUserInfo(ctx context.Context, s *snapshot, key *dpop.Key, login *Login) error {
	const attempt = "ask the UserInfo endpoint"
	if c.config.Provider.UserInfo != v1alpha1.Enabled {
		return nil
	}
	if s.metadata.UserInfoEndpoint == "" {
		return failure(attempt, ReasonUserInfoMissing, errors.New("the provider has no usable userinfo_endpoint: set userInfo to Disabled"))
	}
	a, err := c.getUserInfo(ctx, attempt, s.metadata.UserInfoEndpoint, login.Tokens.Access, key)
	if err != nil {
		return err
	}
	info, err := c.readUserInfo(ctx, s, a)
	if err != nil {
		return fmt.Errorf("%s: %w", attempt, err)
	}
	if info.subject == nil || !equal(*info.subject, login.Subject) {
		return failure(attempt, ReasonUserInfoSubject, nil)
	}
	login.Claims = merged(login.Claims, info.all)
	return nil
}

// getUserInfo presents the access token, and once more if the endpoint has a
// nonce to be used (RFC 9449 section 9).
func (c *Client) getUserInfo(ctx context.Context, attempt, endpoint string, access token.Access, key *dpop.Key) (answer, error) {
	for retried := false; ; retried = true {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
		if err != nil {
			return answer{}, failure(attempt, ReasonMetadata, nil)
		}
		request.Header.Set("Accept", "application/json, application/jwt")
		request.Header.Set("Authorization", string(access.Type)+" "+access.Token)
		bound := access.Type == token.DPoP && key != nil
		if bound {
			proof, err := key.Proof(dpop.Request{
				Method: request.Method, URL: endpoint, AccessToken: access.Token,
				Nonce: c.resourceNonces.Of(request.URL), Now: c.config.Clock(),
			})
			if err != nil {
				return answer{}, failure(attempt, ReasonKey, nil)
			}
			request.Header.Set("DPoP", proof)
		}
		c.credentials() // for the certificate a token may be bound to (RFC 8705 section 3)
		response, err := c.http.Do(request)
		if err != nil {
			return answer{}, callFailure(attempt, err, ReasonUserInfoResponse)
		}
		body, err := bodyOf(response)
		if err != nil {
			return answer{}, callFailure(attempt, err, ReasonUserInfoResponse)
		}
		if bound {
			c.resourceNonces.Note(request.URL, response.Header)
			if !retried && dpop.WantsNonce(response.StatusCode, response.Header, body) {
				continue
			}
		}
		return answer{response.StatusCode, response.Header, body}, nil
	}
}

// readUserInfo reads an answer of the UserInfo endpoint: JSON, or a signed JWT
// that must be from the provider and for this client as far as it says (sections
// 5.3.2 and 5.3.4).
func (c *Client) readUserInfo(ctx context.Context, s *snapshot, a answer) (claims, error) {
	const attempt = "read the UserInfo response"
	switch {
	case isTemporary(a.status):
		return claims{}, answered(attempt, ReasonStatus, a.status, a.header, c.config.Clock())
	case a.status != http.StatusOK:
		return claims{}, failure(attempt, ReasonUserInfoRefused, statusError(a.status))
	}
	payload := a.body
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	switch kind {
	case "application/json":
	case "application/jwt":
		jwt, err := parseSigned(string(a.body), s.metadata.Algorithms)
		if err != nil {
			return claims{}, failure(attempt, refusal(err, ReasonUserInfoResponse, ReasonUserInfoEncrypted, ReasonUserInfoAlgorithm), err)
		}
		payload, err = s.keys.verify(ctx, jwt, &s.keys.answers)
		switch {
		case errors.Is(err, ErrUnavailable):
			return claims{}, err
		case err != nil:
			return claims{}, failure(attempt, ReasonUserInfoSignature, nil)
		}
	default:
		return claims{}, failure(attempt, ReasonUserInfoResponse, errors.New("neither application/json nor application/jwt"))
	}
	info, ok := parseClaims(payload)
	p := c.config.Provider
	switch {
	case !ok:
		return claims{}, failure(attempt, ReasonUserInfoResponse, nil)
	case kind != "application/jwt":
	case info.issuer != nil && *info.issuer != p.IssuerURL:
		return claims{}, failure(attempt, ReasonUserInfoIssuer, nil)
	case info.audience != nil && !isFor(info.audience, p.ClientID, p.TrustedAudiences):
		return claims{}, failure(attempt, ReasonUserInfoAudience, nil)
	}
	return info, nil
}

// protocolClaims say something of a token or an authentication, not of a user.
var protocolClaims = map[string]bool{
	"iss": true, "sub": true, "aud": true, "exp": true, "iat": true, "nbf": true, "jti": true, "azp": true, "nonce": true,
	"auth_time": true, "acr": true, "amr": true, "sid": true, "at_hash": true, "c_hash": true, "s_hash": true, "events": true,
}

// merged adds what the UserInfo endpoint says of the user to what the ID token
// says, whose word counts where both say something.
func merged(id, info map[string]any) map[string]any {
	all := make(map[string]any, len(id)+len(info))
	for name, value := range info {
		if !protocolClaims[name] {
			all[name] = value
		}
	}
	for name, value := range id {
		all[name] = value
	}
	return all
}
