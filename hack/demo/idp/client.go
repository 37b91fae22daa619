package idp

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// registration is a Client as the protocol library wants to see it.
type registration struct {
	client          Client
	secret          digest
	idTokenLifetime time.Duration
}

var _ op.Client = (*registration)(nil)

func (r *registration) GetID() string                       { return r.client.ID }
func (r *registration) RedirectURIs() []string              { return r.client.RedirectURIs }
func (r *registration) PostLogoutRedirectURIs() []string    { return r.client.PostLogoutRedirectURIs }
func (r *registration) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (r *registration) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethod(r.client.AuthMethod) }
func (r *registration) LoginURL(id string) string           { return pathLogin + "?request=" + id }
func (r *registration) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (r *registration) IDTokenLifetime() time.Duration      { return r.idTokenLifetime }
func (r *registration) DevMode() bool                       { return false }
func (r *registration) ClockSkew() time.Duration            { return 0 }
func (r *registration) IsScopeAllowed(string) bool          { return false }

func (r *registration) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (r *registration) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}

// IDTokenUserinfoClaimsAssertion puts the claims of the scopes profile and email into ID tokens, so that a client
// need not call UserInfo.
func (r *registration) IDTokenUserinfoClaimsAssertion() bool { return true }

func (r *registration) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}

func (r *registration) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}
