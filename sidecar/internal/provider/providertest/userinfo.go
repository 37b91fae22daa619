package providertest

import (
	"io"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// userInfo is the UserInfo endpoint (OpenID Connect Core section 5.3). It is a
// resource server with a nonce of its own.
func (s *Server) userInfo(w http.ResponseWriter, r *http.Request) {
	b := s.current()
	scheme, access, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s.mu.Lock()
	held, known := s.access[access]
	s.mu.Unlock()
	refuse := func(challenge string) {
		w.Header().Set("WWW-Authenticate", challenge)
		http.Error(w, MarkerText, http.StatusUnauthorized)
	}
	switch {
	case !known || r.Method != http.MethodGet:
		refuse(`Bearer error="invalid_token"`)
		return
	case held.thumbprint == "" && scheme != "Bearer", held.thumbprint != "" && scheme != "DPoP":
		refuse(`DPoP error="invalid_token", algs="ES256"`)
		return
	case held.thumbprint != "":
		nonce := b.Nonce
		if nonce != "" {
			nonce = ResourceNonce(nonce)
			w.Header().Set("DPoP-Nonce", nonce)
		}
		thumbprint, problem := s.proof(r, access, nonce)
		if problem == "" && thumbprint != held.thumbprint {
			problem = "invalid_dpop_proof"
		}
		if problem != "" {
			refuse(`DPoP error="` + problem + `", algs="ES256"`)
			return
		}
	}
	claims := map[string]any{"sub": Subject, "nickname": "ally", "name": "Alice of UserInfo", "acr": "made up"}
	if b.SignedUserInfo {
		claims["iss"], claims["aud"] = s.Issuer, ClientID
	}
	if b.UserInfo != nil {
		b.UserInfo(claims)
	}
	if b.SignedUserInfo {
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = io.WriteString(w, s.SignAs(jose.RS256, claims))
		return
	}
	WriteJSON(w, http.StatusOK, claims)
}
