package as

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/proof"
)

// userInfo serves the UserInfo endpoint (OpenID Connect Core section 5.3).
func (s *Server) userInfo(w http.ResponseWriter, rec *Request) {
	if rec.Query.Has("access_token") {
		s.violated(UserInfo, "access token in the URL")
	}
	scheme, value, _ := strings.Cut(rec.Header.Get("Authorization"), " ")
	t, ok := s.TokenInfo(value)
	if !ok || !slices.Contains(t.Scope, "openid") {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	want := "bearer"
	if t.Thumbprint != "" {
		want = "dpop"
		p, accepted := s.resourceProof(w, rec, value)
		if !accepted {
			return
		}
		if p.Thumbprint != t.Thumbprint {
			s.violated(UserInfo, "proof by another key than the token is bound to")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
	}
	if strings.ToLower(scheme) != want {
		s.violated(UserInfo, "scheme %s for a token of type %s", scheme, want)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if t.CertificateThumbprint != "" && (rec.Certificate == nil || certificateThumbprint(rec.Certificate) != t.CertificateThumbprint) {
		s.violated(UserInfo, "another certificate than the token is bound to")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	claims := map[string]any{"sub": t.Subject, "marker": s.mint("claim of UserInfo", "MARKER-userinfo-")}
	maps.Copy(claims, t.grant.user.Claims)
	algorithm := s.Registered().UserInfoAlgorithm
	if algorithm != "" {
		claims["iss"], claims["aud"] = s.Issuer, s.Registered().ID
	}
	if change := s.current().UserInfo; change != nil {
		change(claims)
	}
	if algorithm == "" {
		writeJSON(w, http.StatusOK, claims)
		return
	}
	w.Header().Set("Content-Type", "application/jwt")
	_, _ = io.WriteString(w, s.Sign(claims, nil)) // the caller has gone; there is nobody to tell
}

// resourceProof checks a DPoP proof the way a resource server does: what is
// wrong is told by 401 and WWW-Authenticate (RFC 9449 sections 7 and 9).
func (s *Server) resourceProof(w http.ResponseWriter, rec *Request, accessToken string) (proof.Proof, bool) {
	b := s.current()
	nonce := ""
	if b.DPoPNonce {
		nonce = s.nonceInForce()
		w.Header().Set("DPoP-Nonce", nonce)
	}
	p, err := s.proofs.Check(proof.Request{Header: rec.Header, Method: rec.Method, URL: s.urlOf(rec), AccessToken: accessToken, Nonce: nonce, Now: s.now()})
	switch {
	case err == proof.ErrNonce:
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
	case err != nil:
		s.violated(rec.Endpoint, "DPoP proof: %v", err)
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
	default:
		return p, true
	}
	w.WriteHeader(http.StatusUnauthorized)
	return p, false
}
