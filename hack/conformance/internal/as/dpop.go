package as

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/proof"
)

// checkProof checks the DPoP proof of a request to one of the provider's own
// endpoints, if there is one. It answers the request if it returns false.
func (s *Server) checkProof(w http.ResponseWriter, rec *Request, accessToken string) (proof.Proof, bool) {
	b := s.current()
	if b.WithoutDPoP || rec.Header.Get("DPoP") == "" && !b.RequireDPoP {
		return proof.Proof{}, true
	}
	nonce := ""
	if b.DPoPNonce {
		nonce = s.nonceInForce()
	}
	p, err := s.proofs.Check(proof.Request{Header: rec.Header, Method: rec.Method, URL: s.urlOf(rec), AccessToken: accessToken,
		Nonce: nonce, Now: s.now(), Algorithms: dpopAlgorithms(b)})
	if b.DPoPNonce {
		if b.NewNonceEachTime && err == nil {
			s.RotateNonce()
		}
		w.Header().Set("DPoP-Nonce", s.nonceInForce())
	}
	switch {
	case err == proof.ErrNonce:
		writeError(w, http.StatusBadRequest, "use_dpop_nonce", "use the nonce of the DPoP-Nonce header")
		return p, false
	case err != nil:
		s.violated(rec.Endpoint, "DPoP proof: %v", err)
		writeError(w, http.StatusBadRequest, "invalid_dpop_proof", err.Error())
		return p, false
	}
	return p, true
}

// nonceInForce is the nonce that a proof must carry now.
func (s *Server) nonceInForce() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.nonces) == 0 {
		s.nonces = []string{"as-nonce-" + token(12)}
	}
	return s.nonces[len(s.nonces)-1]
}

// Nonces are the DPoP nonces issued so far.
func (s *Server) Nonces() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.nonces)
}

// RotateNonce demands another nonce from now on.
func (s *Server) RotateNonce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonces = append(s.nonces, "as-nonce-"+token(12))
}

// urlOf is the URL a request was sent to, as its client saw it.
func (s *Server) urlOf(rec *Request) string {
	if rec.Alias {
		return s.AliasURL(rec.Endpoint)
	}
	return s.URL(rec.Endpoint)
}

// certificateThumbprint is the x5t#S256 of a certificate (RFC 8705 section 3.1).
func certificateThumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
