// Package providertest is an OpenID Provider that misbehaves on demand. Where
// it is not told otherwise it does what the standards ask for, and checks that
// its client does too.
package providertest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Client is the one client that is registered.
const (
	ClientID     = "shop"
	ClientSecret = "s3cret:+%&é / MARKER-client-secret"
	Subject      = "alice"
)

// Markers stand in everything that must not get out, so that a scan finds it.
const (
	MarkerCode    = "MARKER-code"
	MarkerAccess  = "MARKER-access-token"
	MarkerRefresh = "MARKER-refresh-token"
	// MarkerText stands in every error text the provider sends.
	MarkerText = "MARKER-text"
)

// Behaviour is what the provider does differently. The zero value does nothing
// differently. Functions may be called from several goroutines.
type Behaviour struct {
	// Metadata changes the discovery document.
	Metadata func(map[string]any)
	// Serve answers instead of the provider if it returns true.
	Serve func(http.ResponseWriter, *http.Request) bool
	// Claims changes the claims of an ID token before it is signed.
	Claims func(map[string]any)
	// Sign makes the ID token instead of the provider.
	Sign func(*Server, map[string]any) string
	// Response changes a successful token response.
	Response func(map[string]any)
	// Redirect changes the parameters of an authorization response.
	Redirect func(url.Values)
}

// TokenRequest is a request the token or revocation endpoint got.
type TokenRequest struct {
	Path          string
	Form          url.Values
	User, Secret  string // from the Authorization header
	Authenticated bool
}

// Server is a running provider. Its Issuer is an http URL of this machine.
type Server struct {
	Issuer string
	Addr   string // host:port to dial

	t      testing.TB
	server *httptest.Server

	mu        sync.Mutex
	behaviour Behaviour
	key       *rsa.PrivateKey
	keyID     string
	requests  []TokenRequest
	paths     map[string]int
	grants    map[string]grant // by code
	serial    int
}

type grant struct{ nonce, challenge, redirectURI string }

// keys are made once: making them is slow. Two of them, for rotation.
var keys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var pair [2]*rsa.PrivateKey
	for i := range pair {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		pair[i] = key
	}
	return pair
})

// Start runs a provider until the test ends.
func Start(t testing.TB, b Behaviour) *Server {
	t.Helper()
	s := &Server{t: t, behaviour: b, key: keys()[0], keyID: "key-0", paths: map[string]int{}, grants: map[string]grant{}}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	s.Issuer = s.server.URL
	s.Addr = s.server.Listener.Addr().String()
	return s
}

// Behave replaces the behaviour.
func (s *Server) Behave(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour = b
}

func (s *Server) current() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behaviour
}

// RotateKey makes the provider sign with another key and publish that alone.
func (s *Server) RotateKey() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.keyID = keys()[1], "key-1"
}

// PublicKey is the key that verifies what the provider signs.
func (s *Server) PublicKey() *rsa.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &s.key.PublicKey
}

// Count is how often a path was asked for.
func (s *Server) Count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paths[path]
}

// Requests are those of the token and revocation endpoints so far.
func (s *Server) Requests() []TokenRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.paths[r.URL.Path]++
	s.mu.Unlock()
	if b := s.current(); b.Serve != nil && b.Serve(w, r) {
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		s.discovery(w)
	case "/keys":
		s.publishKeys(w)
	case "/authorize":
		s.authorize(w, r)
	case "/token", "/revoke":
		s.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) discovery(w http.ResponseWriter) {
	document := map[string]any{
		"issuer":                                         s.Issuer,
		"authorization_endpoint":                         s.Issuer + "/authorize",
		"token_endpoint":                                 s.Issuer + "/token",
		"jwks_uri":                                       s.Issuer + "/keys",
		"revocation_endpoint":                            s.Issuer + "/revoke",
		"end_session_endpoint":                           s.Issuer + "/end-session",
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	}
	if change := s.current().Metadata; change != nil {
		change(document)
	}
	WriteJSON(w, http.StatusOK, document)
}

func (s *Server) publishKeys(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	WriteJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &s.key.PublicKey, KeyID: s.keyID, Use: "sig"},
	}})
}

// authorize logs everybody in without a question.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	s.serial++
	code := fmt.Sprintf("%s-%d", MarkerCode, s.serial)
	s.grants[code] = grant{nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), redirectURI: q.Get("redirect_uri")}
	s.mu.Unlock()
	answer := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {s.Issuer}}
	if change := s.current().Redirect; change != nil {
		change(answer)
	}
	w.Header().Set("Location", q.Get("redirect_uri")+"?"+answer.Encode())
	w.WriteHeader(http.StatusSeeOther)
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

// Sign signs claims with the provider's key.
func (s *Server) Sign(claims map[string]any) string { return s.SignAs(jose.RS256, claims) }

// SignAs signs claims with the provider's key by any RSA algorithm.
func (s *Server) SignAs(algorithm jose.SignatureAlgorithm, claims map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.SignWith(algorithm, s.key, s.keyID, claims)
}

// SignWith signs claims with any key, under any key id.
func (s *Server) SignWith(algorithm jose.SignatureAlgorithm, key any, keyID string, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", keyID))
	if err != nil {
		s.t.Errorf("make signer: %v", err)
		return ""
	}
	payload, _ := json.Marshal(claims)
	jws, err := signer.Sign(payload)
	if err != nil {
		s.t.Errorf("sign: %v", err)
		return ""
	}
	compact, _ := jws.CompactSerialize()
	return compact
}

// OtherKey is a key that the provider does not publish, unless it has rotated.
func OtherKey() crypto.Signer { return keys()[1] }

// WriteJSON answers with a JSON document.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// Fail answers as the token endpoint does (RFC 6749 section 5.2), with a text
// that must not get out.
func Fail(w http.ResponseWriter, status int, code string) {
	WriteJSON(w, status, map[string]any{"error": code, "error_description": MarkerText, "error_uri": "https://" + MarkerText})
}
