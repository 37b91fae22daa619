package idp

import (
	"net/http"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// metadata is the discovery document (OpenID Connect Discovery section 3, RFC 8414 section 2). It is written out here
// because the library's own document also names grants and endpoints that this provider does not have.
type metadata struct {
	oidc.DiscoveryConfiguration
	IssParameterSupported bool `json:"authorization_response_iss_parameter_supported"` // RFC 9207 section 3
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	issuer := p.config.Issuer
	authMethods := []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
	w.Header().Set("Cache-Control", "public, max-age=60")
	writeJSON(w, http.StatusOK, metadata{
		DiscoveryConfiguration: oidc.DiscoveryConfiguration{
			Issuer:                                 issuer,
			AuthorizationEndpoint:                  issuer + pathAuthorize,
			TokenEndpoint:                          issuer + pathToken,
			RevocationEndpoint:                     issuer + pathRevoke,
			UserinfoEndpoint:                       issuer + pathUserInfo,
			EndSessionEndpoint:                     issuer + pathEndSession,
			JwksURI:                                issuer + pathKeys,
			ScopesSupported:                        []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeOfflineAccess},
			ResponseTypesSupported:                 []string{string(oidc.ResponseTypeCode)},
			ResponseModesSupported:                 []string{string(oidc.ResponseModeQuery)},
			GrantTypesSupported:                    []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken},
			SubjectTypesSupported:                  []string{"public"},
			IDTokenSigningAlgValuesSupported:       []string{"RS256"},
			TokenEndpointAuthMethodsSupported:      authMethods,
			RevocationEndpointAuthMethodsSupported: authMethods,
			CodeChallengeMethodsSupported:          []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
			ClaimsSupported: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "azp", "at_hash", "sid",
				"name", "preferred_username", "email", "email_verified"},
		},
		IssParameterSupported: true,
	})
}
