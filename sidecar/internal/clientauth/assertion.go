package clientauth

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

const (
	// assertionType is the client_assertion_type of a JWT (RFC 7523 section 2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionTyp is the explicit type that the successor of RFC 7523 wants in the
	// header (draft-ietf-oauth-rfc7523bis section 4).
	assertionTyp = "client-authentication+jwt"
	// assertionLifetime is how long an assertion is good: it is sent at once.
	assertionLifetime = 60 * time.Second
	// clockAllowance is how far this machine's clock may be ahead of the provider's.
	// Many providers allow for nothing there: an assertion that was issued a second
	// from now is refused.
	clockAllowance = 30 * time.Second
	// minSecretBytes is the least key of HS256 (RFC 7518 section 3.2).
	minSecretBytes = 32
)

// assertionClaims are those of RFC 7523 section 3 and OpenID Connect Core section
// 9. The audience is one string and never a list: whoever else were on it could
// use the assertion.
type assertionClaims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	ID        string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expiry    int64  `json:"exp"`
}

// assertion makes the JWT that proves who the client is.
func (c Client) assertion(credentials Credentials, at Endpoint, now time.Time) (string, error) {
	switch {
	case c.Method == v1alpha1.WorkloadIdentity:
		if credentials.ServiceAccountToken.IsZero() {
			return "", fmt.Errorf("%w: %s needs a service-account token", ErrNoCredentials, c.Method)
		}
		return credentials.ServiceAccountToken.Reveal(), nil
	case c.Method == v1alpha1.PrivateKeyJWT && credentials.PrivateKey == nil:
		return "", fmt.Errorf("%w: %s needs a private key", ErrNoCredentials, c.Method)
	case c.Method == v1alpha1.ClientSecretJWT && len(credentials.Secret.Reveal()) < minSecretBytes:
		return "", fmt.Errorf("%w: %s needs a client secret of at least %d bytes", ErrNoCredentials, c.Method, minSecretBytes)
	}
	claims, typ, err := c.claims(at, now)
	if err != nil {
		return "", err
	}
	if c.Method == v1alpha1.ClientSecretJWT {
		return sign(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(credentials.Secret.Reveal())}, claims, typ)
	}
	key, err := credentials.PrivateKey.For(at.Algorithms)
	if err != nil {
		return "", err
	}
	return key.Sign(claims, typ)
}

// claims are what an assertion says, and its type. For the older audience, and
// the providers that want it, there is none.
func (c Client) claims(at Endpoint, now time.Time) (claims assertionClaims, typ string, err error) {
	audience, typ := at.Issuer, assertionTyp
	if c.AssertionAudience == v1alpha1.AudienceTokenEndpoint {
		audience, typ = at.TokenEndpoint, ""
	}
	if audience == "" {
		return assertionClaims{}, "", ErrAudience
	}
	issued := now.Add(-clockAllowance).Unix()
	return assertionClaims{
		Issuer: c.ID, Subject: c.ID, Audience: audience, ID: rand.Text(),
		IssuedAt: issued, NotBefore: issued, Expiry: now.Add(assertionLifetime).Unix(),
	}, typ, nil
}
