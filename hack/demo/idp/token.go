package idp

import (
	"context"
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// token is the token endpoint (RFC 6749 section 3.2).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	client, err := p.authenticateClient(r)
	if err != nil {
		p.tokenError(w, err)
		return
	}
	var event Event
	var response *oidc.AccessTokenResponse
	switch grantType := oidc.GrantType(r.PostForm.Get("grant_type")); grantType {
	case oidc.GrantTypeCode:
		event.Kind = EventCodeExchange
		response, event.Subject, err = p.exchangeCode(r, client)
	case oidc.GrantTypeRefreshToken:
		event.Kind = EventRefresh
		response, event.Subject, err = p.refresh(r, client)
	default:
		p.tokenError(w, oidc.ErrUnsupportedGrantType().WithDescription("use authorization_code or refresh_token"))
		return
	}
	event.ClientID = client.GetID()
	if err != nil {
		event.Error = string(oidc.DefaultToServerError(err, "").ErrorType)
	}
	p.emit(r.Context(), event)
	if err != nil {
		p.tokenError(w, err)
		return
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1
	writeJSON(w, http.StatusOK, response)
}

func (p *Provider) exchangeCode(r *http.Request, client *registration) (*oidc.AccessTokenResponse, string, error) {
	request, err := op.ParseAccessTokenRequest(r, p.op.Decoder())
	if err != nil {
		return nil, "", err
	}
	granted, _, err := op.ValidateAccessTokenRequest(r.Context(), request, p.op)
	if err != nil {
		return nil, "", err
	}
	a, ok := granted.(authorization)
	if !ok {
		return nil, "", oidc.ErrServerError()
	}
	response, err := p.issue(r.Context(), client, a, authorizationForAPI{a, client.client.Audience}, "")
	return response, a.GetSubject(), err
}

func (p *Provider) refresh(r *http.Request, client *registration) (*oidc.AccessTokenResponse, string, error) {
	request, err := op.ParseRefreshTokenRequest(r, p.op.Decoder())
	if err != nil {
		return nil, "", err
	}
	granted, _, err := op.ValidateRefreshTokenRequest(r.Context(), request, p.op)
	if err != nil {
		return nil, "", err
	}
	g, ok := granted.(*refreshRequest)
	if !ok {
		return nil, "", oidc.ErrServerError()
	}
	response, err := p.issue(r.Context(), client, g, refreshForAPI{g, client.client.Audience}, request.RefreshToken)
	return response, g.GetSubject(), err
}

// issue makes the tokens: the access token for the API, the ID token for the client.
func (p *Provider) issue(ctx context.Context, client *registration, forClient op.IDTokenRequest, forAPI op.TokenRequest, spent string) (*oidc.AccessTokenResponse, error) {
	access, refresh, _, err := op.CreateAccessToken(ctx, forAPI, client.AccessTokenType(), p.op, client, spent)
	if err != nil {
		return nil, err
	}
	id, err := op.CreateIDToken(ctx, p.config.Issuer, forClient, client.IDTokenLifetime(), access, "", p.storage, client)
	if err != nil {
		return nil, err
	}
	return &oidc.AccessTokenResponse{
		AccessToken:  access,
		TokenType:    oidc.BearerToken,
		ExpiresIn:    uint64(p.config.AccessTokenLifetime.Seconds()),
		RefreshToken: refresh,
		IDToken:      id,
		Scope:        forAPI.GetScopes(),
	}, nil
}

// authenticateClient accepts the method the client registered, and credentials in the header or body only (RFC 6749
// section 2.3.1). The library verifies the same credentials again further on; this comes first so that a stranger
// cannot spend somebody's code.
func (p *Provider) authenticateClient(r *http.Request) (*registration, error) {
	if r.URL.RawQuery != "" {
		return nil, oidc.ErrInvalidRequest().WithDescription("send parameters in the body, not in the URL")
	}
	// Before the library does: it works on a copy of the request, and the body can be read once.
	if err := r.ParseForm(); err != nil {
		return nil, oidc.ErrInvalidRequest().WithDescription("the form could not be read")
	}
	// The library's parser decodes the header as RFC 6749 section 2.3.1 wants it: form-encoded before base64.
	credentials := new(oidc.AccessTokenRequest)
	if err := op.ParseAuthenticatedTokenRequest(r, p.op.Decoder(), credentials); err != nil {
		return nil, err
	}
	client, ok := p.storage.clients[credentials.ClientID]
	if !ok {
		return nil, oidc.ErrInvalidClient().WithDescription("unknown client")
	}
	used := oidc.AuthMethodPost
	if _, _, basic := r.BasicAuth(); basic {
		used = oidc.AuthMethodBasic
	}
	if used != client.AuthMethod() {
		return nil, oidc.ErrInvalidClient().WithDescription("this client authenticates with %s", client.AuthMethod())
	}
	if err := op.AuthorizeClientIDSecret(r.Context(), credentials.ClientID, credentials.ClientSecret, p.storage); err != nil {
		return nil, err
	}
	return client, nil
}

// tokenError answers as RFC 6749 section 5.2 wants it. Only code and description leave, never what caused them.
func (p *Provider) tokenError(w http.ResponseWriter, err error) {
	e := oidc.DefaultToServerError(err, "the request could not be served")
	status := http.StatusBadRequest
	switch e.ErrorType {
	case oidc.InvalidClient:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="token endpoint"`)
	case oidc.ServerError:
		status = http.StatusInternalServerError
	}
	writeJSON(w, status, e)
}

// revoke is the revocation endpoint (RFC 7009).
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	client, err := p.authenticateClient(r)
	if err != nil {
		p.tokenError(w, err)
		return
	}
	token := r.PostForm.Get("token")
	if token == "" {
		p.tokenError(w, oidc.ErrInvalidRequest().WithDescription("token is missing"))
		return
	}
	event := Event{Kind: EventRevoke, ClientID: client.GetID()}
	if subject, _, err := p.storage.GetRefreshTokenInfo(r.Context(), client.GetID(), token); err == nil {
		event.Subject = subject
	} else if claims, err := p.verifyAccessToken(r.Context(), token); err == nil {
		token, event.Subject = claims.JWTID, claims.Subject
	}
	if e := p.storage.RevokeToken(r.Context(), token, event.Subject, client.GetID()); e != nil {
		event.Error = string(e.ErrorType)
		p.emit(r.Context(), event)
		p.tokenError(w, e)
		return
	}
	p.emit(r.Context(), event)
	w.WriteHeader(http.StatusOK)
}

// userInfo is the UserInfo endpoint (OpenID Connect Core section 5.3).
func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, oidc.BearerToken) || token == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeJSON(w, http.StatusUnauthorized, oidc.ErrInvalidRequest().WithDescription("access token is missing"))
		return
	}
	info := new(oidc.UserInfo)
	claims, err := p.verifyAccessToken(r.Context(), token)
	if err == nil {
		err = p.storage.SetUserinfoFromToken(r.Context(), info, claims.JWTID, claims.Subject, "")
	}
	if err != nil {
		p.emit(r.Context(), Event{Kind: EventUserInfo, Error: "invalid_token"})
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	p.emit(r.Context(), Event{Kind: EventUserInfo, ClientID: claims.ClientID, Subject: claims.Subject})
	writeJSON(w, http.StatusOK, info)
}

func (p *Provider) verifyAccessToken(ctx context.Context, token string) (*oidc.AccessTokenClaims, error) {
	return op.VerifyAccessToken[*oidc.AccessTokenClaims](ctx, token, p.op.AccessTokenVerifier(ctx))
}
