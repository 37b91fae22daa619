package as

import (
	"cmp"
	"maps"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
)

// idToken makes the ID token of a grant.
func (s *Server) idToken(grant string, c *code, accessToken, nonce string) string {
	b, key := s.current(), s.signingKey()
	claims := s.claims(c)
	claims["at_hash"] = hashHalf(key.algorithm, accessToken)
	if nonce != "" {
		claims["nonce"] = nonce
	}
	header := map[string]any{"alg": string(key.algorithm), "kid": key.id}
	signed := ""
	if b.IDToken != nil {
		signed = b.IDToken(grant, claims, header)
	}
	if signed == "" {
		signed = SignWith(key.private, string(key.algorithm), "", claims, header)
	}
	s.keep(signed)
	return signed
}

// claims are those of an ID token about a login.
func (s *Server) claims(c *code) map[string]any {
	now := s.now()
	claims := map[string]any{
		"iss": s.Issuer, "sub": c.user.Subject, "aud": s.Registered().ID, "sid": c.sid, "acr": c.acr,
		"iat": now.Unix(), "exp": now.Add(cmp.Or(s.current().IDTokenLifetime, 5*time.Minute)).Unix(), "auth_time": c.authTime.Unix(),
		"marker": s.mint("claim of an ID token", "MARKER-idt-"), // found by the leak scan in any decoding of the token
	}
	maps.Copy(claims, c.user.Claims)
	return claims
}

// keep remembers an ID token, to know it again as a hint.
func (s *Server) keep(signed string) {
	s.Leaks.Add("ID token", signed, leak.Nowhere)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idTokens[signed] = true
}
