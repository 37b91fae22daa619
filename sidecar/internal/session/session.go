// Package session is a login as the sidecar keeps it: the cookie that names
// it, the sealed record that holds its tokens, how long it lives, and how its
// tokens are renewed.
//
// The browser has 256 random bits and nothing else. The store has, under the
// hash of those bits, a record that only the bits together with the namespace's
// key ring open:
//
//	store key   bff:{<policy uid>}:s:<base64url(SHA-256(cookie value))>
//	record      AES-256-GCM, key = HKDF-SHA256(cookie bits || ring key)
//	metadata    AES-256-GCM, key = HKDF-SHA256(ring key); never a token
//
// Opened sessions stay in a bounded cache. The store says when one of them has
// changed, so that the usual request costs no round trip and a logout is still
// seen by every replica at once.
package session

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Session is one login. It is a snapshot: nothing changes it once it was handed
// out, and nobody may write to its Claims or to the map of its Tokens.
type Session struct {
	// Issuer and Subject say who logged in, where.
	Issuer, Subject string
	// ProviderSID is the provider's own name for its session, the sid claim. It may
	// be empty.
	ProviderSID string
	// ACR is the authentication context class the provider says it has met, and
	// AuthTime when the user has last shown who they are (OpenID Connect Core section
	// 2). Both may be zero.
	ACR      string
	AuthTime time.Time
	// Network is the client's network at the login. It is the zero Prefix when the
	// session is not bound to one.
	Network netip.Prefix
	// ID is a random public handle. It appears as sid in the logout URL, gives
	// access to nothing and says nothing of the cookie.
	ID string
	// Claims are the ID token's claims that the browser may see. After Find their
	// numbers are json.Number, so that no digit is lost.
	Claims map[string]any
	// Tokens are never for the browser: no JSON encoder writes them.
	Tokens token.Set `json:"-"`
	// CreatedAt is the login. ExpiresAt is the end of the session's life, used or
	// not: the lifetime it was created with, or today's if that is shorter.
	CreatedAt, ExpiresAt time.Time
	// IdleExpiresAt is when the session ends if it is not used again, as far as this
	// process knows: another replica may have seen a later use. Never after
	// ExpiresAt.
	IdleExpiresAt time.Time

	// authorizations belong to Tokens: see withTokens.
	authorizations authorizations

	handle  handle
	version uint64 // in the store
	size    int    // about what it takes in memory, in bytes
	// obtainedAt is when the refresh token was asked for. The access tokens know it
	// of themselves.
	obtainedAt time.Time
	ends       time.Time // the end it was created with
	idles      time.Time // the idle end the store told, which may be after ends
}

// within is the session with its ends as today's lifetime has them: s itself if
// they are those it has.
func (s *Session) within(lifetime time.Duration) *Session {
	ends := earlier(s.ends, s.CreatedAt.Add(lifetime))
	idles := earlier(ends, s.idles)
	if ends.Equal(s.ExpiresAt) && idles.Equal(s.IdleExpiresAt) {
		return s
	}
	limited := *s
	limited.ExpiresAt, limited.IdleExpiresAt = ends, idles
	return &limited
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// String keeps tokens, claims and the cookie's bits out of everything that
// prints a session.
func (s Session) String() string { return "session" }

// GoString is String, for %#v.
func (s Session) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Errors of Sessions. They are wrapped with what was attempted; no error has a
// cookie, key, handle or token in its text.
var (
	// ErrNone says that there is no such session: there never was, it was ended, or
	// its life is over. A cookie value that cannot be ours is this too. ReasonOf
	// says why, if that is known.
	ErrNone = errors.New("there is no such session")
	// ErrUnavailable says that the store cannot be reached. The session may well be
	// there: answer 503 with Retry-After, and clear no cookie.
	ErrUnavailable = errors.New("sessions are unavailable")
	// ErrUnreadable says that there is a record and that it cannot be opened: its
	// key left the ring, or it is damaged. Nothing was deleted, since a ring that
	// comes back opens it again: answer 503, and clear no cookie.
	ErrUnreadable = errors.New("the session's record cannot be opened")
	// ErrEnded says that the session's tokens cannot be renewed any more, and that
	// the session was therefore removed. The user has to log in again. ReasonOf says
	// why.
	ErrEnded = errors.New("the session has ended")
	// ErrRefreshFailed says that an expired access token could not be renewed just
	// now. It says nothing about the session, which stays.
	ErrRefreshFailed = errors.New("the access token could not be renewed")
	// ErrTarget says that the provider gives no access token for the resource or
	// scopes of a route. The session stays, and so do its other tokens.
	ErrTarget = errors.New("there is no access token for this target")
	// ErrTooLarge says that what is to be stored is larger than MaxRecordSize.
	ErrTooLarge = errors.New("the session is too large")
)
