package idp

import (
	"context"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The half of op.Storage that issues, rotates and revokes tokens.

// CreateAccessToken starts a grant without a refresh token: the client did not ask for offline_access.
func (s *storage) CreateAccessToken(_ context.Context, request op.TokenRequest) (string, time.Time, error) {
	a, ok := authorizationOf(request)
	if !ok {
		return "", time.Time{}, errNotOffered
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.startGrant(a)
	id, expires := s.issueAccess(g, a.scopes)
	return id, expires, nil
}

// CreateAccessAndRefreshTokens starts a grant (after a code) or rotates its refresh token (after a refresh token).
// The old token is spent in the same step that makes the new one, so of two concurrent refreshes one at most succeeds
// and the other counts as reuse.
func (s *storage) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, spent string) (string, string, time.Time, error) {
	if a, ok := authorizationOf(request); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		g := s.startGrant(a)
		var refresh string
		refresh, g.refresh = newHandle(g.id)
		s.grants.set(g.id, g)
		id, expires := s.issueAccess(g, a.scopes)
		return id, refresh, expires, nil
	}

	r, ok := refreshRequestOf(request)
	if !ok {
		return "", "", time.Time{}, errNotOffered
	}
	s.mu.Lock()
	g, replayed, err := s.redeem(spent)
	var id, refresh string
	var expires time.Time
	if err == nil {
		refresh, g.refresh = newHandle(g.id)
		s.grants.set(g.id, g)
		id, expires = s.issueAccess(g, r.current)
	}
	s.mu.Unlock()
	if replayed {
		s.replay(ctx, g.clientID, g.session.subject)
	}
	if err != nil {
		return "", "", time.Time{}, oidc.ErrInvalidGrant().WithParent(err)
	}
	return id, refresh, expires, nil
}

// TokenRequestByRefreshToken looks the grant up and leaves the token unspent, because the library has checks to make
// before it rotates.
func (s *storage) TokenRequestByRefreshToken(ctx context.Context, token string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	g, replayed, err := s.redeem(token)
	s.mu.Unlock()
	if replayed {
		s.replay(ctx, g.clientID, g.session.subject)
	}
	if err != nil {
		return nil, err
	}
	return &refreshRequest{grant: g, current: g.scopes}, nil
}

// GetRefreshTokenInfo returns the user and the token itself, which is its own name here.
func (s *storage) GetRefreshTokenInfo(_ context.Context, _, token string) (userID, tokenID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, _, ok := splitHandle(token); ok {
		if g, ok := s.grants.get(id); ok {
			return g.session.subject, token, nil
		}
	}
	return "", "", op.ErrInvalidRefreshToken
}

// RevokeToken revokes the grant behind a refresh token, or a single access token by its jti (RFC 7009 section 2.1).
// An unknown token is a success. A token of another client is refused.
func (s *storage) RevokeToken(_ context.Context, token, _, clientID string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, _, ok := splitHandle(token); ok {
		if g, ok := s.grants.get(id); ok {
			if g.clientID != clientID {
				return oidc.ErrInvalidGrant().WithDescription("the token was issued to another client")
			}
			s.grants.remove(id)
		}
		return nil
	}
	if a, ok := s.access.get(token); ok {
		if g, ok := s.grants.get(a.grantID); ok && g.clientID != clientID {
			return oidc.ErrInvalidGrant().WithDescription("the token was issued to another client")
		}
		s.access.remove(token)
	}
	return nil
}

// TerminateSession revokes what the user granted the client.
func (s *storage) TerminateSession(_ context.Context, userID, clientID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants.removeFunc(func(g grant) bool { return g.session.subject == userID && g.clientID == clientID })
	return nil
}

// startGrant, issueAccess and redeem want the mutex held.

func (s *storage) startGrant(a authorization) grant {
	g := grant{id: RefreshTokenPrefix + newSecret(), clientID: a.clientID, session: a.session, scopes: a.scopes}
	s.grants.add(g.id, g)
	if c, ok := s.codes.get(a.code); ok {
		c.grantID = g.id
		s.codes.set(a.code, c)
	}
	return g
}

func (s *storage) issueAccess(g grant, scopes []string) (jti string, expires time.Time) {
	jti = newSecret()
	expires = s.access.add(jti, accessToken{grantID: g.id, scopes: scopes})
	return jti, expires
}

// redeem finds the grant of a refresh token. A token of a live grant that is not the current one is a spent one: the
// grant is revoked (RFC 9700 section 4.14.2).
func (s *storage) redeem(token string) (g grant, replayed bool, err error) {
	id, secret, ok := splitHandle(token)
	if !ok {
		return grant{}, false, errUnknownToken
	}
	g, ok = s.grants.get(id)
	if !ok || g.refresh == (digest{}) {
		return grant{}, false, errUnknownToken
	}
	if !g.refresh.matches(secret) {
		s.grants.remove(id)
		return g, true, errUnknownToken
	}
	return g, false, nil
}

// forAPI is a token request whose access token is for an API. The library uses one audience for both tokens; ID tokens
// are for the client, access tokens are not.
type (
	authorizationForAPI struct {
		authorization
		audience []string
	}
	refreshForAPI struct {
		*refreshRequest
		audience []string
	}
)

func (a authorizationForAPI) GetAudience() []string { return a.audience }
func (r refreshForAPI) GetAudience() []string       { return r.audience }

func authorizationOf(request op.TokenRequest) (authorization, bool) {
	a, ok := request.(authorizationForAPI)
	return a.authorization, ok
}

func refreshRequestOf(request op.TokenRequest) (*refreshRequest, bool) {
	r, ok := request.(refreshForAPI)
	return r.refreshRequest, ok
}
