package idp

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// authorization is an authorization request and, once somebody has logged in, what it was granted to. It is immutable:
// every step of its life makes a changed copy.
type authorization struct {
	id          string
	clientID    string
	redirectURI string
	state       string
	nonce       string
	scopes      []string
	challenge   string // PKCE, S256
	loginHint   string

	session session // zero until the login
	code    string  // digest of the code it was given, as a table key; empty until then
}

func newAuthorization(r *oidc.AuthRequest) authorization {
	return authorization{
		id:          newSecret(),
		clientID:    r.ClientID,
		redirectURI: r.RedirectURI,
		state:       r.State,
		nonce:       r.Nonce,
		scopes:      slices.Clone([]string(r.Scopes)),
		challenge:   r.CodeChallenge,
		loginHint:   r.LoginHint,
	}
}

// The methods below implement op.AuthRequest.

var _ op.AuthRequest = authorization{}

func (a authorization) GetID() string                      { return a.id }
func (a authorization) GetACR() string                     { return "" }
func (a authorization) GetAMR() []string                   { return amr }
func (a authorization) GetAudience() []string              { return []string{a.clientID} }
func (a authorization) GetAuthTime() time.Time             { return a.session.authTime }
func (a authorization) GetClientID() string                { return a.clientID }
func (a authorization) GetNonce() string                   { return a.nonce }
func (a authorization) GetRedirectURI() string             { return a.redirectURI }
func (a authorization) GetResponseType() oidc.ResponseType { return oidc.ResponseTypeCode }
func (a authorization) GetResponseMode() oidc.ResponseMode { return oidc.ResponseModeQuery }
func (a authorization) GetScopes() []string                { return slices.Clone(a.scopes) }
func (a authorization) GetState() string                   { return a.state }
func (a authorization) GetSubject() string                 { return a.session.subject }
func (a authorization) Done() bool                         { return a.session.sid != "" }
func (a authorization) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: a.challenge, Method: oidc.CodeChallengeMethodS256}
}

// amr: everybody here logs in with a password (RFC 8176).
var amr = []string{"pwd"}
