package idp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// storage implements op.Storage in bounded memory. One mutex guards all tables, because the rules that matter
// (a code works once, a refresh token is spent when its successor exists) span several of them.
type storage struct {
	clients map[string]*registration // immutable
	users   map[string]User          // by subject, immutable
	key     signingKey
	replay  func(ctx context.Context, clientID, subject string) // called without the mutex

	mu       sync.Mutex
	pending  *table[authorization] // waiting for a login, by id
	codes    *table[issuedCode]    // by digest of the code
	grants   *table[grant]         // by id
	access   *table[accessToken]   // by jti
	sessions *table[session]       // by sid
}

// issuedCode outlives its use, so that a second use is recognised.
type issuedCode struct {
	authorization authorization
	spent         bool
	grantID       string // what the code yielded; empty if it was presented but yielded nothing
}

func newStorage(c Config, key signingKey, now func() time.Time) *storage {
	s := &storage{
		clients:  map[string]*registration{},
		users:    map[string]User{},
		key:      key,
		replay:   func(context.Context, string, string) {},
		pending:  newTable[authorization](pendingLoginLifetime, c.MaxEntries, now),
		codes:    newTable[issuedCode](codeLifetime, c.MaxEntries, now),
		grants:   newTable[grant](c.GrantLifetime, c.MaxEntries, now),
		access:   newTable[accessToken](c.AccessTokenLifetime, c.MaxEntries, now),
		sessions: newTable[session](c.SessionLifetime, c.MaxEntries, now),
	}
	for _, client := range c.Clients {
		s.clients[client.ID] = &registration{client: client, secret: digestOf(client.Secret), idTokenLifetime: c.IDTokenLifetime}
	}
	for _, user := range c.Users {
		s.users[user.Subject] = user
	}
	return s
}

var (
	_ op.Storage                   = (*storage)(nil)
	_ op.CanSetUserinfoFromRequest = (*storage)(nil)
)

var (
	errUnknownClient  = errors.New("unknown client")
	errWrongSecret    = errors.New("wrong client secret")
	errUnknownRequest = errors.New("unknown or expired authorization request")
	errUnknownCode    = errors.New("unknown, expired or spent authorization code")
	errUnknownToken   = errors.New("unknown, expired or revoked token")
)

// Authorization requests and codes.

// CreateAuthRequest keeps a validated request until somebody logs in. The subject of an id_token_hint is not kept:
// the caller decides what it means.
func (s *storage) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	a := newAuthorization(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.add(a.id, a)
	return a, nil
}

// AuthRequestByID returns a request that waits for a login.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.pending.get(id)
	if !ok {
		return nil, errUnknownRequest
	}
	return a, nil
}

// completeLogin records who logged in for a request that waits.
func (s *storage) completeLogin(id string, who session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.pending.get(id)
	if !ok {
		return errUnknownRequest
	}
	a.session = who
	s.pending.set(id, a)
	return nil
}

// SaveAuthCode gives a completed request its code. The request no longer waits, so it gets one code at most.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.pending.get(id)
	if !ok || !a.Done() {
		return errUnknownRequest
	}
	s.pending.remove(id)
	d := digestOf(code)
	a.code = string(d[:])
	s.codes.add(a.code, issuedCode{authorization: a})
	return nil
}

// AuthRequestByCode spends the code. A code presented again revokes what it yielded (RFC 6749 section 4.1.2).
func (s *storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	d := digestOf(code)
	key := string(d[:])

	s.mu.Lock()
	c, ok := s.codes.get(key)
	replayed := ok && c.spent
	if replayed {
		s.grants.remove(c.grantID)
	} else if ok {
		c.spent = true
		s.codes.set(key, c)
	}
	s.mu.Unlock()

	if replayed {
		s.replay(ctx, c.authorization.clientID, c.authorization.GetSubject())
	}
	if !ok || replayed {
		return nil, errUnknownCode
	}
	return c.authorization, nil
}

// DeleteAuthRequest forgets a request that waits for a login.
func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.remove(id)
	return nil
}

// Clients and keys.

// GetClientByClientID returns the registration.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if r, ok := s.clients[id]; ok {
		return r, nil
	}
	return nil, errUnknownClient
}

// AuthorizeClientIDSecret compares the secret in constant time.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	r, ok := s.clients[id]
	if !ok {
		return errUnknownClient
	}
	if !r.secret.matches(secret) {
		return errWrongSecret
	}
	return nil
}

// SigningKey returns the key that signs tokens.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }

// SignatureAlgorithms returns RS256.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

// KeySet returns the public half of the signing key.
func (s *storage) KeySet(context.Context) ([]op.Key, error) { return []op.Key{publicKey{s.key}}, nil }

// Health always succeeds: the storage is memory.
func (s *storage) Health(context.Context) error { return nil }

// What this provider does not offer. The library's interface asks for it, no route reaches it.

var errNotOffered = errors.New("not offered by this provider")

// GetKeyByIDAndClientID would serve private_key_jwt.
func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotOffered
}

// ValidateJWTProfileScopes would serve the JWT bearer grant.
func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotOffered
}

// SetIntrospectionFromToken would serve token introspection.
func (s *storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotOffered
}

// Claims.

// SetUserinfoFromScopes is superseded by SetUserinfoFromRequest.
func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest fills the claims of an ID token.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	s.setClaims(info, request.GetSubject(), scopes)
	switch r := request.(type) {
	case authorization:
		info.AppendClaims("sid", r.session.sid)
	case *refreshRequest:
		info.AppendClaims("sid", r.session.sid)
	}
	return nil
}

// SetUserinfoFromToken fills a UserInfo response, for an access token that still lives.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, tokenID, subject, _ string) error {
	s.mu.Lock()
	token, ok := s.access.get(tokenID)
	var g grant
	if ok {
		g, ok = s.grants.get(token.grantID)
	}
	s.mu.Unlock()
	if !ok || g.session.subject != subject || !slices.Contains(token.scopes, oidc.ScopeOpenID) {
		return errUnknownToken
	}
	s.setClaims(info, subject, token.scopes)
	return nil
}

// GetPrivateClaimsFromScopes adds no claim to access tokens.
func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

// setClaims releases what the scopes allow (OpenID Connect Core section 5.4).
func (s *storage) setClaims(info *oidc.UserInfo, subject string, scopes []string) {
	info.Subject = subject
	user := s.users[subject]
	if slices.Contains(scopes, oidc.ScopeProfile) {
		for claim, value := range user.Claims {
			info.AppendClaims(claim, value)
		}
		info.Name = user.Name
		info.PreferredUsername = user.Username
	}
	if slices.Contains(scopes, oidc.ScopeEmail) && user.Email != "" {
		info.Email = user.Email
		info.EmailVerified = true
	}
}
