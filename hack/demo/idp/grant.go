package idp

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// RefreshTokenPrefix begins every refresh token, so that whoever looks for leaked ones can tell them from other secrets.
const RefreshTokenPrefix = "refresh-"

// session is a browser that is logged in at the provider.
type session struct {
	sid      string // the sid claim
	subject  string
	authTime time.Time
	cookie   digest // of the secret half of the browser's cookie
}

// grant is what one code exchange started: the family of all refresh and access tokens that descend from it. Revoking
// the grant revokes them all.
type grant struct {
	id       string
	clientID string
	session  session
	scopes   []string
	refresh  digest // of the secret half of the one refresh token that works; zero if none was issued
}

// accessToken is an issued access token, known by its jti.
type accessToken struct {
	grantID string
	scopes  []string
}

// refreshRequest is a refresh in progress: a grant, and the scopes asked for this time.
type refreshRequest struct {
	grant
	current []string
}

// The methods below implement op.RefreshTokenRequest.

var _ op.RefreshTokenRequest = (*refreshRequest)(nil)

func (r *refreshRequest) GetAMR() []string                 { return amr }
func (r *refreshRequest) GetAudience() []string            { return []string{r.clientID} }
func (r *refreshRequest) GetAuthTime() time.Time           { return r.session.authTime }
func (r *refreshRequest) GetClientID() string              { return r.clientID }
func (r *refreshRequest) GetScopes() []string              { return slices.Clone(r.current) }
func (r *refreshRequest) GetSubject() string               { return r.session.subject }
func (r *refreshRequest) SetCurrentScopes(scopes []string) { r.current = slices.Clone(scopes) }
