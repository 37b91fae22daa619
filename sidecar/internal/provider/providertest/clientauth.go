package providertest

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
)

// TokenRequest is a request the token, revocation or push endpoint got.
type TokenRequest struct {
	Path          string
	Form          url.Values
	Header        http.Header
	User, Secret  string // from the Authorization header
	Authenticated bool
}

// RegisterKey accepts assertions and request objects that a key verifies.
func (s *Server) RegisterKey(key crypto.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clientKeys = append(s.clientKeys, key)
}

// RegisterCertificate accepts a client certificate, and no longer any other.
func (s *Server) RegisterCertificate(certificate *x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificates = []*x509.Certificate{certificate}
}

// RegisterAssertion accepts an assertion that somebody else has issued, such as
// the token of a service account.
func (s *Server) RegisterAssertion(assertion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assertions[assertion] = true
}

// authenticated serves the endpoints that authenticate the client.
func (s *Server) authenticated(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		Fail(w, http.StatusBadRequest, "invalid_request")
		return
	}
	request := TokenRequest{Path: r.URL.Path, Form: r.PostForm, Header: r.Header.Clone()}
	request.User, request.Secret, _ = r.BasicAuth()
	request.Authenticated = s.knows(r, request)
	s.mu.Lock()
	s.requests = append(s.requests, request)
	s.mu.Unlock()
	b := s.current()
	if b.Nonce != "" {
		w.Header().Set("DPoP-Nonce", b.Nonce)
	}
	switch {
	case !request.Authenticated:
		Fail(w, http.StatusUnauthorized, "invalid_client")
	case r.URL.Path == "/revoke":
		s.revoke(w, r)
	case r.URL.Path == "/par" && (b.PAR || b.RequirePAR):
		if _, problem := s.proof(r, "", b.Nonce); r.Header.Get("DPoP") != "" && problem != "" {
			Fail(w, http.StatusBadRequest, problem)
			return
		}
		s.push(w, r)
	case r.URL.Path == "/par":
		http.NotFound(w, r)
	default:
		s.token(w, r, b)
	}
}

// knows checks the client's one way to authenticate (RFC 6749 section 2.3, RFC
// 7523, RFC 8705).
func (s *Server) knows(r *http.Request, request TokenRequest) bool {
	inBody := r.PostForm.Has("client_secret")
	_, _, inHeader := r.BasicAuth()
	asserted := r.PostForm.Has("client_assertion")
	shown := r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	ways := 0
	for _, used := range []bool{inBody, inHeader, asserted, shown} {
		if used {
			ways++
		}
	}
	isUs := r.PostForm.Get("client_id") == ClientID
	switch {
	case r.URL.RawQuery != "", ways != 1, hasTwice(r.PostForm):
		return false
	case inBody:
		return isUs && r.PostForm.Get("client_secret") == ClientSecret
	case asserted:
		return (isUs || !r.PostForm.Has("client_id")) && s.believes(r.PostForm)
	case shown:
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, certificate := range s.certificates {
			if isUs && certificate.Equal(r.TLS.PeerCertificates[0]) {
				return true
			}
		}
		return false
	}
	user, err1 := url.QueryUnescape(request.User)
	secret, err2 := url.QueryUnescape(request.Secret)
	return err1 == nil && err2 == nil && user == ClientID && secret == ClientSecret
}

// believes checks a client assertion (RFC 7523 section 3). Its audience is the
// issuer, or the token endpoint without a type.
func (s *Server) believes(form url.Values) bool {
	assertion := form.Get("client_assertion")
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return false
	}
	s.mu.Lock()
	issued := s.assertions[assertion]
	s.mu.Unlock()
	if issued {
		return true
	}
	claims, err := s.verifyClient(assertion, "")
	if err != nil || claims["iss"] != ClientID || claims["sub"] != ClientID {
		return false
	}
	return claims["aud"] == s.Issuer || claims["aud"] == s.Issuer+"/token"
}

// hasTwice says whether a parameter that must not be repeated is (OA-03).
func hasTwice(form url.Values) bool {
	for name, values := range form {
		if len(values) > 1 && !strings.EqualFold(name, "resource") {
			return true
		}
	}
	return false
}
