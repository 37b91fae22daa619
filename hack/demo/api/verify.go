package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Token is what a verified access token says about itself, without the token.
type Token struct {
	ID        string    `json:"id"` // jti
	IssuedAt  time.Time `json:"issuedAt"`
	ExpiresAt time.Time `json:"expiresAt"`

	subject string
	claims  map[string]any
}

// errProviderAway is returned while the identity provider's metadata cannot be read. Nothing is known about the token
// then.
var errProviderAway = errors.New("identity provider unreachable")

// verifier checks access tokens the way RFC 9068 section 4 asks a resource server to: signature, iss, exp and aud.
type verifier struct {
	issuer   string
	audience string
	client   *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // nil until discovery has succeeded once
}

func newVerifier(issuer, audience, connectTo string) *verifier {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	if connectTo != "" {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, connectTo)
		}
	}
	return &verifier{issuer: issuer, audience: audience,
		client: &http.Client{Transport: bounded{transport}, Timeout: 5 * time.Second}}
}

// verify returns errProviderAway if it could not find out, and another error if the token is not good.
func (v *verifier) verify(ctx context.Context, raw string) (Token, error) {
	verifier, err := v.ready(ctx)
	if err != nil {
		return Token{}, err
	}
	verified, err := verifier.Verify(oidc.ClientContext(ctx, v.client), raw)
	if err != nil {
		return Token{}, fmt.Errorf("verify access token: %w", err)
	}
	t := Token{IssuedAt: verified.IssuedAt.UTC(), ExpiresAt: verified.Expiry.UTC(), subject: verified.Subject}
	if err := verified.Claims(&t.claims); err != nil {
		return Token{}, fmt.Errorf("read access token: %w", err)
	}
	t.ID, _ = t.claims["jti"].(string)
	if t.ID == "" || t.subject == "" {
		return Token{}, errors.New("verify access token: jti or sub is missing")
	}
	return t, nil
}

// ready discovers the provider on the first call that needs it, so that the API starts in any order.
func (v *verifier) ready(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.verifier != nil {
		return v.verifier, nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, v.client), v.issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProviderAway, err)
	}
	v.verifier = provider.Verifier(&oidc.Config{ClientID: v.audience, SupportedSigningAlgs: []string{oidc.RS256}})
	return v.verifier, nil
}

// bearer returns the token of an Authorization header (RFC 6750 section 2.1).
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && token != "" && strings.EqualFold(scheme, "Bearer")
}

// bounded limits what is read of an answer: discovery and keys are small.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, 1<<20), response.Body}
	}
	return response, err
}
