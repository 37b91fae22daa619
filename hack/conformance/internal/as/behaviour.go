package as

import (
	"net/http"
	"net/url"
	"time"
)

// Rotation says what happens to a refresh token that is used.
type Rotation int

// Values of Rotation.
const (
	// Rotate issues a new one; the old one used again revokes its whole family.
	Rotate Rotation = iota
	// Keep issues none: the old one stays good.
	Keep
	// Reissue issues a new one and lets the old one be used again.
	Reissue
)

// User is who logs in.
type User struct {
	Subject string
	// Claims go into ID token and UserInfo.
	Claims map[string]any
}

// Behaviour is what a test may change at any time, by Change. The zero value is
// correct in everything.
type Behaviour struct {
	// User who logs in without being asked. Default: subject "alice" with a name
	// and an e-mail address.
	User User
	// LoggedOut has prompt=none answered with login_required.
	LoggedOut bool
	// Click shows a page with a button, as a provider's login page does, instead of
	// answering an authorization request at once.
	Click bool
	// ACR of a login. Default: the first of acr_values, else "1".
	ACR string
	// AuthTime of a login. Default: now.
	AuthTime time.Time
	// AccessLifetime of access tokens. Default: 5 minutes.
	AccessLifetime time.Duration
	// IDTokenLifetime. Default: 5 minutes.
	IDTokenLifetime time.Duration
	// Rotation of refresh tokens.
	Rotation Rotation
	// RefreshIDToken has refreshes answered with an ID token too.
	RefreshIDToken bool
	// NoRefreshToken issues none, whatever the scope.
	NoRefreshToken bool
	// ClockOffset shifts the provider's clock.
	ClockOffset time.Duration

	// RequirePAR refuses authorization requests that were not pushed. WithoutPAR,
	// WithoutResponseIssuer, WithoutEndSession, WithoutRevocation and WithoutUserInfo
	// take a feature away, from the metadata too.
	RequirePAR            bool
	WithoutPAR            bool
	WithoutResponseIssuer bool
	WithoutEndSession     bool
	WithoutRevocation     bool
	WithoutUserInfo       bool
	// RevokeOne has a revocation end the token it names and no other of its grant.
	RevokeOne bool
	// RequireDPoP refuses token requests without a proof.
	RequireDPoP bool
	// WithoutDPoP ignores proofs and issues Bearer tokens.
	WithoutDPoP bool
	// DPoPNonce demands a nonce in every proof. NewNonceEachTime sends a new one with
	// every answer.
	DPoPNonce        bool
	NewNonceEachTime bool
	// DPoPAlgorithms advertised and accepted. Default: ES256, EdDSA, PS256.
	DPoPAlgorithms []string
	// AssertionAudienceTokenEndpoint wants client assertions for the URL of the
	// endpoint, as older providers do, and no explicit type.
	AssertionAudienceTokenEndpoint bool
	// Resources are the only ones that may be asked for. Empty: any.
	Resources []string

	// The following change an answer before it is sent; what they are given is
	// correct, and may be changed in place.

	// Metadata changes the discovery document.
	Metadata func(document map[string]any)
	// JWKS changes the key set; each key is a JSON object.
	JWKS func(document map[string]any)
	// AuthorizeResponse changes the parameters that the browser brings to the
	// client. request are those of the authorization request.
	AuthorizeResponse func(response, request url.Values)
	// IDToken changes claims and header of an ID token. What it returns is sent as it
	// stands; "" signs the changed claims correctly. grant is the grant_type.
	IDToken func(grant string, claims, header map[string]any) string
	// TokenResponse changes the body of a good answer of the token endpoint.
	TokenResponse func(grant string, body map[string]any)
	// UserInfo changes the claims of a UserInfo answer.
	UserInfo func(claims map[string]any)
	// PushResponse changes the body of a good answer of the PAR endpoint.
	PushResponse func(body map[string]any)

	// Answer takes over an endpoint: if it returns true it has answered. The request
	// was recorded, and nothing else was done.
	Answer map[Endpoint]func(http.ResponseWriter, *http.Request) bool
	// Headers are added to every answer of an endpoint.
	Headers map[Endpoint]http.Header
}

func (b *Behaviour) user() User {
	if b.User.Subject != "" {
		return b.User
	}
	return User{Subject: "alice", Claims: map[string]any{"name": "Alice Example", "email": "alice@example.com", "email_verified": true, "preferred_username": "alice"}}
}

// Change changes the behaviour from now on.
func (s *Server) Change(change func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behaviour)
}

// current is a copy of the behaviour in force.
func (s *Server) current() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behaviour
}
