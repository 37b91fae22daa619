package clientauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

var (
	// ErrNoCredentials says that what the method needs is not there, or is too weak
	// to be used.
	ErrNoCredentials = errors.New("the client cannot authenticate")
	// ErrMethod says that there is no such method.
	ErrMethod = errors.New("unknown client authentication method")
	// ErrAudience says that it is not known whom an assertion would be for.
	ErrAudience = errors.New("a client assertion has no audience")
)

// Client is who authenticates, and how.
type Client struct {
	// ID is the client identifier.
	ID string
	// Method is the one that the client is registered with.
	Method v1alpha1.ClientAuthenticationMethod
	// AssertionAudience is whom assertions are for. Empty is the issuer.
	AssertionAudience v1alpha1.AssertionAudience
}

// Endpoint is where the client authenticates: the authorization server, whichever
// of its endpoints is called.
type Endpoint struct {
	// Issuer is the server's issuer identifier.
	Issuer string
	// TokenEndpoint is the URL of its token endpoint, needed with
	// AudienceTokenEndpoint alone.
	TokenEndpoint string
	// Algorithms are its token_endpoint_auth_signing_alg_values_supported; none if
	// it does not say.
	Algorithms []string
}

// UsesTLS says whether the client shows a certificate in the TLS handshake (RFC
// 8705 section 2).
func (c Client) UsesTLS() bool {
	return c.Method == v1alpha1.TLSClientAuth || c.Method == v1alpha1.SelfSignedTLSClientAuth
}

// Authenticate puts into a request what proves who sends it, by the client's
// method and no other: what form and header hold of any method is removed (RFC
// 6749 section 2.3). The methods other than client_secret_basic set client_id,
// as RFC 8705 section 2 demands for certificates; that one leaves it as it is,
// since a pushed authorization request needs it (RFC 9126 section 2.1).
//
// An assertion is good for one request: one that is sent again has to
// authenticate again (OpenID Connect Core section 9).
//
// The error matches ErrNoCredentials, ErrMethod, ErrAudience or, if the provider
// takes nothing that the private key can sign by, ErrAlgorithm. The request must
// not be sent then.
func (c Client) Authenticate(credentials Credentials, at Endpoint, now time.Time, form url.Values, header http.Header) error {
	header.Del("Authorization")
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(name)
	}
	switch c.Method {
	case v1alpha1.ClientSecretBasic, v1alpha1.ClientSecretPost:
		if credentials.Secret.IsZero() {
			return fmt.Errorf("%w: %s needs a client secret", ErrNoCredentials, c.Method)
		}
		if c.Method == v1alpha1.ClientSecretBasic {
			header.Set("Authorization", basic(c.ID, credentials.Secret.Reveal()))
			return nil
		}
		form.Set("client_secret", credentials.Secret.Reveal())
	case v1alpha1.TLSClientAuth, v1alpha1.SelfSignedTLSClientAuth:
		if credentials.Certificate == nil {
			return fmt.Errorf("%w: %s needs a certificate", ErrNoCredentials, c.Method)
		}
	case v1alpha1.ClientSecretJWT, v1alpha1.PrivateKeyJWT, v1alpha1.WorkloadIdentity:
		assertion, err := c.assertion(credentials, at, now)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	default:
		return fmt.Errorf("%w: %q", ErrMethod, c.Method)
	}
	form.Set("client_id", c.ID)
	return nil
}

// basic form-encodes both parts, so that they may hold a colon or any other
// character (RFC 6749 section 2.3.1 and appendix B).
func basic(id, secret string) string {
	pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}
