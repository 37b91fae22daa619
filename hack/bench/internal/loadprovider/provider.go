// Package loadprovider is an OpenID provider that costs little: it logs
// everybody in without a question, as another user each time, and keeps nothing
// of a login but its code. It checks what a provider has to check, so that only
// a right client gets tokens.
package loadprovider

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// SIDHeader is the field of the authorization answer that tells the load
	// generator the sid of the session that was begun.
	SIDHeader = "Bench-Sid"

	keyID    = "bench"
	maxCodes = 1 << 16
)

// Options make a provider. All of them are required.
type Options struct {
	ClientID, ClientSecret string
	RedirectURI            string
	// AccessTokenSize is the length of access tokens in bytes, from 64 on.
	AccessTokenSize int
	// AccessTokenLife is how long they live, in whole seconds.
	AccessTokenLife time.Duration
}

// Counts are what a provider has done so far.
type Counts struct {
	Authorized, Redeemed, Refreshed, Revoked, Refused int64
	// Connections are those that were opened, by browsers and clients.
	Connections int64
}

// Provider is a running provider.
type Provider struct {
	// Issuer is its identifier, Address host:port of it.
	Issuer, Address string

	options Options
	signer  jose.Signer
	public  jose.JSONWebKey
	macKey  []byte
	filler  string
	server  *http.Server
	stopped chan struct{}

	serial, connections                              atomic.Int64
	authorized, redeemed, refreshed, revoked, refuse atomic.Int64

	mu    sync.Mutex
	codes map[string]grant
}

// grant is what a code stands for.
type grant struct {
	user             int64
	authenticated    time.Time
	nonce, challenge string
}

// Start serves on a free port of loopback until Close.
func Start(ctx context.Context, o Options) (*Provider, error) {
	if o.AccessTokenSize < 64 || o.AccessTokenLife < time.Second {
		return nil, errors.New("access tokens have 64 bytes or more and live a second or longer")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the provider's key: %w", err)
	}
	// ES256, since signing with RSA costs twenty times as much and this process
	// shares the machine with what is measured.
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		return nil, fmt.Errorf("make the provider's signer: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the provider: %w", err)
	}
	p := &Provider{
		Address: listener.Addr().String(), Issuer: "http://" + listener.Addr().String(),
		options: o, signer: signer, public: jose.JSONWebKey{Key: &key.PublicKey, KeyID: keyID, Algorithm: string(jose.ES256), Use: "sig"},
		macKey: []byte(rand.Text()), filler: filler(o.AccessTokenSize), codes: map[string]grant{}, stopped: make(chan struct{}),
	}
	p.server = &http.Server{Handler: p.handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	p.server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.connections.Add(1)
		}
	}
	go func() { _ = p.server.Serve(listener); close(p.stopped) }() // it ends by Close
	return p, nil
}

// Close ends the provider at once.
func (p *Provider) Close() {
	_ = p.server.Close() // nothing is to be saved
	<-p.stopped
}

// Counts are what was done so far.
func (p *Provider) Counts() Counts {
	return Counts{p.authorized.Load(), p.redeemed.Load(), p.refreshed.Load(), p.revoked.Load(), p.refuse.Load(), p.connections.Load()}
}

func (p *Provider) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.public}})
	})
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("POST /revoke", p.revoke)
	mux.HandleFunc("GET /logout", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                         p.Issuer,
		"authorization_endpoint":                         p.Issuer + "/authorize",
		"token_endpoint":                                 p.Issuer + "/token",
		"revocation_endpoint":                            p.Issuer + "/revoke",
		"end_session_endpoint":                           p.Issuer + "/logout",
		"jwks_uri":                                       p.Issuer + "/keys",
		"response_types_supported":                       []string{"code"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic"},
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
	})
}

// authorize logs one more user in (RFC 6749 section 4.1.1, RFC 7636).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("client_id") != p.options.ClientID || query.Get("redirect_uri") != p.options.RedirectURI ||
		query.Get("response_type") != "code" || query.Get("code_challenge_method") != "S256" || query.Get("state") == "" {
		p.refused(w, "invalid_request")
		return
	}
	g := grant{user: p.serial.Add(1), authenticated: time.Now(), nonce: query.Get("nonce"), challenge: query.Get("code_challenge")}
	code := rand.Text()
	p.mu.Lock()
	full := len(p.codes) >= maxCodes
	if !full {
		p.codes[code] = g
	}
	p.mu.Unlock()
	if full {
		http.Error(w, "too many codes were never redeemed", http.StatusServiceUnavailable)
		return
	}
	p.authorized.Add(1)
	back := url.Values{"code": {code}, "state": {query.Get("state")}, "iss": {p.Issuer}}
	w.Header().Set("Location", p.options.RedirectURI+"?"+back.Encode())
	w.Header().Set(SIDHeader, sid(g.user))
	w.WriteHeader(http.StatusSeeOther)
}

func (p *Provider) refused(w http.ResponseWriter, code string) {
	p.refuse.Add(1)
	answer(w, http.StatusBadRequest, map[string]string{"error": code})
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // the caller has gone; there is nobody to tell
}
