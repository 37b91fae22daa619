package provider

import (
	"crypto/rand"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

const (
	// requestLifetime is how long a request object is good for: from the redirect
	// to its arrival at the provider.
	requestLifetime = 5 * time.Minute
	// requestType is the type of a request object (RFC 9101 section 10.8).
	requestType = "oauth-authz-req+jwt"
)

// signedRequest puts the parameters into a request object, if the policy says
// so. Outside of it stays what OAuth itself and OpenID Connect Core section 6.1
// demand there.
func (c *Client) signedRequest(m metadata, form url.Values) (url.Values, error) {
	const attempt = "sign the authorization request"
	if c.config.Provider.RequestObject != v1alpha1.RequestObjectSigned {
		if m.RequireSigned {
			return nil, failure(attempt, ReasonRequestObject, errors.New("the provider demands it: set requestObject to Signed"))
		}
		return form, nil
	}
	key := c.credentials().PrivateKey
	if key == nil {
		return nil, failure(attempt, ReasonCredentials, errors.New("there is no private key"))
	}
	key, err := key.For(m.ObjectAlgorithms)
	if err != nil {
		return nil, failure(attempt, ReasonRequestObject, err)
	}
	object, err := key.Sign(requestClaims(form, c.Issuer(), c.config.Clock()), requestType)
	if err != nil {
		return nil, failure(attempt, ReasonRequestObject, errors.New("the private key does not sign"))
	}
	return url.Values{
		"client_id": form["client_id"], "response_type": form["response_type"], "scope": form["scope"], "request": {object},
	}, nil
}

// requestClaims are the parameters as claims (RFC 9101 section 4): a repeated
// one is a list, and max_age is a number.
func requestClaims(form url.Values, issuer string, now time.Time) map[string]any {
	claims := map[string]any{
		"iss": form.Get("client_id"), "aud": issuer, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(requestLifetime).Unix(),
	}
	for name, values := range form {
		if len(values) == 1 {
			claims[name] = values[0]
		} else {
			claims[name] = values
		}
	}
	if seconds, err := strconv.ParseInt(form.Get("max_age"), 10, 64); err == nil {
		claims["max_age"] = seconds
	}
	return claims
}
