// Package providertest is an OpenID Provider that misbehaves on demand. Where
// it is not told otherwise it does what the standards ask for, and checks that
// its client does too.
package providertest

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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
	MarkerRequest = "urn:ietf:params:oauth:request_uri:MARKER-request"
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
	// UserInfo changes the claims of a UserInfo response.
	UserInfo func(map[string]any)
	// SignedUserInfo sends UserInfo responses as signed JWTs.
	SignedUserInfo bool

	// PAR has an endpoint for pushed authorization requests (RFC 9126), and
	// RequirePAR takes no others.
	PAR, RequirePAR bool
	// DPoP binds access tokens to a key and wants a proof of it with every request
	// of the token endpoint (RFC 9449). Without it the header is ignored.
	DPoP bool
	// Nonce is what proofs must hold, unless it is empty. The UserInfo endpoint
	// wants ResourceNonce of it.
	Nonce string
	// Rotate takes each refresh token once.
	Rotate bool
}

// ResourceNonce is the nonce of the UserInfo endpoint.
func ResourceNonce(nonce string) string { return "resource-" + nonce }

// Server is a running provider. Its Issuer is a URL of this machine.
type Server struct {
	Issuer string
	Addr   string // host:port to dial

	t      testing.TB
	server *httptest.Server

	mu          sync.Mutex
	behaviour   Behaviour
	key         crypto.Signer
	keyID       string
	serial      int
	paths       map[string]int
	requests    []TokenRequest
	logins      []AuthorizationRequest
	endSessions []url.Values

	clientKeys   []crypto.PublicKey
	certificates []*x509.Certificate
	assertions   map[string]bool // service-account tokens that are accepted

	codes   map[string]*grant
	pushed  map[string]url.Values
	refresh map[string]*grant
	access  map[string]bound
	hints   map[string]bool // ID tokens that were issued
	used    map[string]bool // jti of assertions, proofs and request objects
}

// grant is what a login was good for.
type grant struct {
	parameters url.Values // of the authorization request
	authTime   time.Time
}

// bound is an access token and the thumbprint of its key, if it has one.
type bound struct {
	grant      *grant
	thumbprint string
}

// Start runs a provider with an http issuer until the test ends.
func Start(t testing.TB, b Behaviour) *Server {
	t.Helper()
	s := newServer(t, b)
	s.server.Start()
	return s.started()
}

// StartTLS runs a provider with an https issuer until the test ends. It asks
// for a client certificate and accepts those of RegisterCertificate.
func StartTLS(t testing.TB, b Behaviour) *Server {
	t.Helper()
	s := newServer(t, b)
	s.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.server.StartTLS()
	return s.started()
}

func newServer(t testing.TB, b Behaviour) *Server {
	s := &Server{
		t: t, behaviour: b, key: keys()[0], keyID: "key-0",
		paths: map[string]int{}, assertions: map[string]bool{}, codes: map[string]*grant{}, pushed: map[string]url.Values{},
		refresh: map[string]*grant{}, access: map[string]bound{}, hints: map[string]bool{}, used: map[string]bool{},
	}
	s.server = httptest.NewUnstartedServer(s)
	return s
}

func (s *Server) started() *Server {
	s.t.Cleanup(s.server.Close)
	s.Issuer = s.server.URL
	s.Addr = s.server.Listener.Addr().String()
	return s
}

// CABundle is the authority of the provider's certificate in PEM, or "".
func (s *Server) CABundle() string {
	if s.server.Certificate() == nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}))
}

// CloseConnections closes every connection there is.
func (s *Server) CloseConnections() { s.server.CloseClientConnections() }

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

// Count is how often a path was asked for.
func (s *Server) Count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paths[path]
}

// Requests are those of the token, revocation and push endpoints so far.
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
	case "/token", "/revoke", "/par":
		s.authenticated(w, r)
	case "/userinfo":
		s.userInfo(w, r)
	case "/end-session":
		s.endSession(w, r)
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
		"userinfo_endpoint":                              s.Issuer + "/userinfo",
		"revocation_endpoint":                            s.Issuer + "/revoke",
		"end_session_endpoint":                           s.Issuer + "/end-session",
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	}
	b := s.current()
	if b.PAR || b.RequirePAR {
		document["pushed_authorization_request_endpoint"] = s.Issuer + "/par"
		document["require_pushed_authorization_requests"] = b.RequirePAR
	}
	if b.DPoP {
		document["dpop_signing_alg_values_supported"] = []string{"ES256", "EdDSA", "PS256"}
	}
	if b.Metadata != nil {
		b.Metadata(document)
	}
	WriteJSON(w, http.StatusOK, document)
}

func (s *Server) publishKeys(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	WriteJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: s.key.Public(), KeyID: s.keyID, Use: "sig"},
	}})
}

// next makes the number of the next code or token.
func (s *Server) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return s.serial
}

// spend says whether a jti is seen for the first time.
func (s *Server) spend(jti string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if jti == "" || s.used[jti] {
		return false
	}
	s.used[jti] = true
	return true
}

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
