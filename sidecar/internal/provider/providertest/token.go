package providertest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request, b Behaviour) {
	thumbprint := ""
	if b.DPoP {
		var problem string
		if thumbprint, problem = s.proof(r, "", b.Nonce); problem != "" {
			Fail(w, http.StatusBadRequest, problem)
			return
		}
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		s.redeem(w, r.PostForm, thumbprint)
	case "refresh_token":
		s.renew(w, r.PostForm, thumbprint, b.Rotate)
	default:
		Fail(w, http.StatusBadRequest, "unsupported_grant_type")
	}
}

// redeem trades a code, once.
func (s *Server) redeem(w http.ResponseWriter, form url.Values, thumbprint string) {
	s.mu.Lock()
	g, known := s.codes[form.Get("code")]
	delete(s.codes, form.Get("code"))
	s.mu.Unlock()
	if !known || !matches(g.parameters, form, thumbprint) {
		Fail(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	s.respond(w, g, s.claimsOf(g, g.parameters.Get("nonce")), thumbprint)
}

// matches compares a token request with the authorization request.
func matches(parameters, form url.Values, thumbprint string) bool {
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	key := parameters.Get("dpop_jkt")
	return form.Get("redirect_uri") == parameters.Get("redirect_uri") &&
		base64.RawURLEncoding.EncodeToString(sum[:]) == parameters.Get("code_challenge") &&
		(key == "" || thumbprint == "" || key == thumbprint)
}

// renew trades a refresh token.
func (s *Server) renew(w http.ResponseWriter, form url.Values, thumbprint string, rotate bool) {
	s.mu.Lock()
	g, known := s.refresh[form.Get("refresh_token")]
	if rotate {
		delete(s.refresh, form.Get("refresh_token"))
	}
	s.mu.Unlock()
	if !known {
		Fail(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	s.respond(w, g, s.claimsOf(g, ""), thumbprint)
}

// revoke forgets a grant (RFC 7009), known or not.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw := r.PostForm.Get("token")
	if revoked, known := s.refresh[raw]; known {
		for name, g := range s.refresh {
			if g == revoked {
				delete(s.refresh, name)
			}
		}
		for name, a := range s.access {
			if a.grant == revoked {
				delete(s.access, name)
			}
		}
	}
	delete(s.access, raw)
	w.WriteHeader(http.StatusOK)
}

// IDClaims are the claims of an ID token for a nonce.
func (s *Server) IDClaims(nonce string) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": s.Issuer, "sub": Subject, "aud": ClientID, "sid": "provider-session",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Unix(),
		"name": "Alice Liddell", "email": "alice@example.com", "groups": []string{"admins"},
	}
	if nonce != "" {
		c["nonce"] = nonce
	}
	return c
}

// claimsOf are the claims of an ID token of a grant. The user is always
// authenticated in the first way that was asked for.
func (s *Server) claimsOf(g *grant, nonce string) map[string]any {
	c := s.IDClaims(nonce)
	c["auth_time"] = g.authTime.Unix()
	if values := strings.Fields(g.parameters.Get("acr_values")); len(values) > 0 {
		c["acr"] = values[0]
	}
	return c
}

func (s *Server) respond(w http.ResponseWriter, g *grant, claims map[string]any, thumbprint string) {
	b := s.current()
	serial := s.next()
	access, refresh := fmt.Sprintf("%s-%d", MarkerAccess, serial), fmt.Sprintf("%s-%d", MarkerRefresh, serial)
	claims["at_hash"] = AccessHash(access)
	if b.Claims != nil {
		b.Claims(claims)
	}
	sign := (*Server).Sign
	if b.Sign != nil {
		sign = b.Sign
	}
	response := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": 60, "refresh_token": refresh,
		"id_token": sign(s, claims),
	}
	if thumbprint != "" {
		response["token_type"] = "DPoP"
	}
	if b.Response != nil {
		b.Response(response)
	}
	s.mu.Lock()
	s.refresh[refresh] = g
	s.access[access] = bound{grant: g, thumbprint: thumbprint}
	if hint, ok := response["id_token"].(string); ok {
		s.hints[hint] = true
	}
	s.mu.Unlock()
	WriteJSON(w, http.StatusOK, response)
}
