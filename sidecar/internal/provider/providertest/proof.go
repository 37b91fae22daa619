package providertest

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// proof verifies the DPoP proof of a request (RFC 9449 section 4.3) and returns
// the thumbprint of its key, or the error code to answer with.
func (s *Server) proof(r *http.Request, accessToken, nonce string) (thumbprint, problem string) {
	const invalid = "invalid_dpop_proof"
	if len(r.Header.Values("DPoP")) != 1 {
		return "", invalid
	}
	jws, err := jose.ParseSignedCompact(r.Header.Get("DPoP"), []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.PS256})
	if err != nil {
		return "", invalid
	}
	header := jws.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != "dpop+jwt" || header.JSONWebKey == nil || !header.JSONWebKey.IsPublic() {
		return "", invalid
	}
	payload, err := jws.Verify(header.JSONWebKey)
	if err != nil {
		return "", invalid
	}
	var claims struct {
		ID     string  `json:"jti"`
		Method string  `json:"htm"`
		URL    string  `json:"htu"`
		Issued float64 `json:"iat"`
		Hash   string  `json:"ath"`
		Nonce  string  `json:"nonce"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return "", invalid
	}
	if !s.spend(claims.ID) {
		return "", invalid
	}
	hash := ""
	if accessToken != "" {
		sum := sha256.Sum256([]byte(accessToken))
		hash = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	age := time.Since(time.Unix(int64(claims.Issued), 0))
	switch {
	case claims.Method != r.Method, claims.URL != s.Issuer+r.URL.Path, claims.Hash != hash, age < -time.Minute, age > time.Minute:
		return "", invalid
	case nonce != "" && claims.Nonce != nonce:
		return "", "use_dpop_nonce"
	}
	sum, err := header.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", invalid
	}
	return base64.RawURLEncoding.EncodeToString(sum), ""
}
