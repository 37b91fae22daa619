package providertest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// token is the token endpoint and, for its client authentication, the
// revocation endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		Fail(w, http.StatusBadRequest, "invalid_request")
		return
	}
	request := TokenRequest{Path: r.URL.Path, Form: r.PostForm}
	request.User, request.Secret, _ = r.BasicAuth()
	request.Authenticated = s.authenticated(r, request)
	s.mu.Lock()
	s.requests = append(s.requests, request)
	s.mu.Unlock()

	switch grantType := r.PostForm.Get("grant_type"); {
	case !request.Authenticated:
		Fail(w, http.StatusUnauthorized, "invalid_client")
	case r.URL.Path == "/revoke":
		w.WriteHeader(http.StatusOK)
	case grantType == "authorization_code":
		s.redeem(w, r.PostForm)
	case grantType == "refresh_token":
		s.respond(w, s.IDClaims(""))
	default:
		Fail(w, http.StatusBadRequest, "unsupported_grant_type")
	}
}

// authenticated checks the client's one way to authenticate (RFC 6749 section
// 2.3.1).
func (s *Server) authenticated(r *http.Request, request TokenRequest) bool {
	inBody := r.PostForm.Has("client_secret")
	_, _, inHeader := r.BasicAuth()
	switch {
	case r.URL.RawQuery != "", inBody == inHeader:
		return false
	case inBody:
		return r.PostForm.Get("client_id") == ClientID && r.PostForm.Get("client_secret") == ClientSecret
	}
	user, err1 := url.QueryUnescape(request.User)
	secret, err2 := url.QueryUnescape(request.Secret)
	return err1 == nil && err2 == nil && user == ClientID && secret == ClientSecret
}

// redeem trades a code, once.
func (s *Server) redeem(w http.ResponseWriter, form url.Values) {
	s.mu.Lock()
	g, known := s.grants[form.Get("code")]
	delete(s.grants, form.Get("code"))
	s.mu.Unlock()
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if !known || form.Get("redirect_uri") != g.redirectURI || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		Fail(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	s.respond(w, s.IDClaims(g.nonce))
}

func (s *Server) respond(w http.ResponseWriter, claims map[string]any) {
	b := s.current()
	s.mu.Lock()
	s.serial++
	serial := s.serial
	s.mu.Unlock()
	access := fmt.Sprintf("%s-%d", MarkerAccess, serial)
	claims["at_hash"] = AccessHash(access)
	if b.Claims != nil {
		b.Claims(claims)
	}
	sign := (*Server).Sign
	if b.Sign != nil {
		sign = b.Sign
	}
	response := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": 60,
		"refresh_token": fmt.Sprintf("%s-%d", MarkerRefresh, serial),
		"id_token":      sign(s, claims),
	}
	if b.Response != nil {
		b.Response(response)
	}
	WriteJSON(w, http.StatusOK, response)
}

// AccessHash is at_hash for RS256 (OpenID Connect Core section 3.1.3.6).
func AccessHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// Unsigned makes a JWT with algorithm none (RFC 7518 section 3.6).
func Unsigned(claims string) string {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return strings.Join([]string{encode(`{"alg":"none"}`), encode(claims), ""}, ".")
}
