package as

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/proof"
)

// Options make a Server. The zero value is a provider on http and a loopback
// address, with no client.
type Options struct {
	// Authority issues a certificate for the provider, which then speaks https.
	Authority *pki.Authority
	// Host is the name in the issuer. Default: 127.0.0.1. With another name the
	// issuer has no port if Authority is set, and whoever calls needs to know
	// Address.
	Host string
	// Path of the issuer, such as /realms/shop.
	Path string
	// Client is the one registered client.
	Client Client
	// ClientAuthorities are trusted to issue certificates for tls_client_auth.
	ClientAuthorities *pki.Authority
	// Leaks learns every secret. Default: a set of its own.
	Leaks *leak.Set
}

// Server is a provider.
type Server struct {
	// Issuer is its identifier.
	Issuer string
	// Address is host:port to dial; AliasAddress that of the listener which asks
	// for a client certificate ("" without TLS).
	Address, AliasAddress string
	// Leaks knows every secret the provider minted or was sent.
	Leaks *leak.Set

	options  Options
	random   string // in paths, so that nobody can know them but from metadata
	endpoint map[string]Endpoint
	proofs   proof.Checker

	mu         sync.Mutex
	behaviour  Behaviour
	client     Client
	keys       []signingKey
	published  []signingKey // keys in the JWKS; signing uses keys[0]
	requests   []*Request
	violations []string
	faults     map[Endpoint][]fault
	holds      map[Endpoint]*hold
	usedJTI    map[string]bool
	pushed     map[string]*authorization
	tickets    map[string]*authorization // waiting for a person's click
	codes      map[string]*code
	access     map[string]*AccessToken
	refresh    map[string]*refreshToken
	idTokens   map[string]bool
	nonces     []string // DPoP nonces issued, the last is in force
	logins     int
}

// Start starts a provider that ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Leaks == nil {
		o.Leaks = &leak.Set{}
	}
	s := &Server{
		Leaks: o.Leaks, options: o, random: token(6), client: o.Client,
		faults: map[Endpoint][]fault{}, holds: map[Endpoint]*hold{}, usedJTI: map[string]bool{},
		pushed: map[string]*authorization{}, tickets: map[string]*authorization{}, codes: map[string]*code{},
		access: map[string]*AccessToken{}, refresh: map[string]*refreshToken{}, idTokens: map[string]bool{},
	}
	s.Leaks.Add("client secret", o.Client.Secret, leak.Nowhere)
	s.keys = []signingKey{newSigningKey(s.client.idTokenAlgorithm())}
	s.published = slices.Clone(s.keys)

	listener := listen(t)
	s.Address = listener.Addr().String()
	scheme, authority := "http", s.Address
	if o.Authority != nil {
		scheme = "https"
	}
	if o.Host != "127.0.0.1" {
		_, port, _ := net.SplitHostPort(s.Address)
		authority = net.JoinHostPort(o.Host, port)
		if o.Authority != nil {
			authority = o.Host
		}
	}
	s.Issuer = scheme + "://" + authority + o.Path
	s.endpoint = s.paths()
	s.serve(t, listener, tls.NoClientCert)
	if o.Authority != nil {
		alias := listen(t)
		s.AliasAddress = alias.Addr().String()
		s.serve(t, alias, tls.RequestClientCert)
	}
	return s
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func (s *Server) serve(t testing.TB, listener net.Listener, clientCertificates tls.ClientAuthType) {
	t.Helper()
	server := &http.Server{Handler: http.HandlerFunc(s.handle), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	if a := s.options.Authority; a != nil {
		names := []tls.Certificate{a.Issue(t, "127.0.0.1").TLS}
		if s.options.Host != "127.0.0.1" {
			names = append(names, a.Issue(t, s.options.Host).TLS)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: names, ClientAuth: clientCertificates, MinVersion: tls.VersionTLS12})
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // ends when it is closed
	t.Cleanup(func() {
		s.releaseAll()
		_ = server.Close()
		serving.Wait()
	})
}

// Violations are all deviations from the specifications that requests showed.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// violated writes down a deviation. The lock must not be held.
func (s *Server) violated(at Endpoint, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, fmt.Sprintf("%s: "+format, append([]any{at}, args...)...))
}

// now is the provider's time.
func (s *Server) now() time.Time {
	return time.Now().Add(s.current().ClockOffset)
}
