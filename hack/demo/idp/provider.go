package idp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// Where the endpoints are, below the issuer. Clients read them from the discovery document.
const (
	pathDiscovery  = "/.well-known/openid-configuration"
	pathAuthorize  = "/authorize"
	pathLogin      = "/login"
	pathToken      = "/token"
	pathRevoke     = "/revoke"
	pathUserInfo   = "/userinfo"
	pathKeys       = "/keys"
	pathEndSession = "/end-session"
)

// maxBody bounds request bodies and is far more than any request here needs.
const maxBody = 64 << 10

// Provider is an OpenID Provider. It is an http.Handler that serves every endpoint below the issuer, and safe for
// concurrent use.
type Provider struct {
	config  Config
	storage *storage
	op      *op.Provider // validation and token making; its own routes are not used
	brake   *brake
	users   map[string]credentials
	now     func() time.Time
	handler http.Handler
}

// New makes a provider with a fresh signing key. It returns every mistake in the configuration at once.
func New(config Config) (*Provider, error) {
	return newProvider(config, time.Now)
}

func newProvider(config Config, now func() time.Time) (*Provider, error) {
	config, err := config.complete()
	if err != nil {
		return nil, fmt.Errorf("configure identity provider: %w", err)
	}
	key, err := newSigningKey()
	if err != nil {
		return nil, err
	}
	p := &Provider{
		config:  config,
		storage: newStorage(config, key, now),
		brake:   newBrake(now),
		users:   hashPasswords(config.Users),
		now:     now,
	}
	p.storage.replay = func(ctx context.Context, clientID, subject string) {
		p.emit(ctx, Event{Kind: EventReplay, ClientID: clientID, Subject: subject})
	}

	opConfig := &op.Config{CodeMethodS256: true, AuthMethodPost: true, GrantTypeRefreshToken: true}
	rand.Read(opConfig.CryptoKey[:])
	options := []op.Option{op.WithCORSOptions(nil)}
	if strings.HasPrefix(config.Issuer, "http://") { // complete has seen to it that it is this machine
		options = append(options, op.WithAllowInsecure())
	}
	p.op, err = op.NewProvider(opConfig, p.storage, op.StaticIssuer(config.Issuer), options...)
	if err != nil {
		return nil, fmt.Errorf("configure identity provider: %w", err)
	}
	p.handler = p.routes()
	return p, nil
}

// Issuer returns the provider's identity.
func (p *Provider) Issuer() string { return p.config.Issuer }

// LogOut ends the user's sessions and revokes every grant, as an administrator would. Access tokens that are out stay
// valid at APIs until they expire; the next refresh fails with invalid_grant.
func (p *Provider) LogOut(subject string) { p.storage.endSubject(subject) }

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathDiscovery, p.discovery)
	mux.HandleFunc("GET "+pathKeys, func(w http.ResponseWriter, r *http.Request) { op.Keys(w, r, p.storage) })
	mux.HandleFunc("GET "+pathAuthorize, p.authorize)
	mux.HandleFunc("POST "+pathAuthorize, p.authorize)
	mux.HandleFunc("GET "+pathLogin, p.loginPage)
	mux.HandleFunc("POST "+pathLogin, sameOrigin(p.login))
	mux.HandleFunc("POST "+pathToken, p.token)
	mux.HandleFunc("POST "+pathRevoke, p.revoke)
	mux.HandleFunc("GET "+pathUserInfo, p.userInfo)
	mux.HandleFunc("POST "+pathUserInfo, p.userInfo)
	mux.HandleFunc("GET "+pathEndSession, p.endSession)
	mux.HandleFunc("POST "+pathEndSession, p.endSession)
	mux.HandleFunc("POST "+pathConfirm, sameOrigin(p.confirmEndSession))
	mux.HandleFunc("GET /{$}", p.index)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		// same-origin, not no-referrer: the latter turns Origin into "null" on form posts.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		// The issuer is the configured one, whatever host the request names.
		mux.ServeHTTP(w, r.WithContext(op.ContextWithIssuer(r.Context(), p.config.Issuer)))
	})
}

// sameOrigin refuses form posts from other sites (login CSRF).
func sameOrigin(next http.HandlerFunc) http.HandlerFunc {
	return http.NewCrossOriginProtection().Handler(next).ServeHTTP
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone; there is nobody to tell
}
