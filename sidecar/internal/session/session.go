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
package session

import (
	"errors"
	"log/slog"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Session is one login. It is a snapshot: nothing changes it once it was handed
// out, and nobody may write to its Claims.
type Session struct {
	// Issuer and Subject say who logged in, where.
	Issuer, Subject string
	// ProviderSID is the provider's own name for its session, the sid claim. It may
	// be empty.
	ProviderSID string
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
	// IdleExpiresAt is when the session ends if it is not used again, as it was
	// when the session was found. Never after ExpiresAt.
	IdleExpiresAt time.Time

	handle     handle
	version    uint64    // in the store
	obtainedAt time.Time // when Tokens were issued
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
	// its life is over. A cookie value that cannot be ours is this too.
	ErrNone = errors.New("there is no such session")
	// ErrUnavailable says that the store cannot be reached. The session may well be
	// there: answer 503 with Retry-After, and clear no cookie.
	ErrUnavailable = errors.New("sessions are unavailable")
	// ErrUnreadable says that there is a record and that it cannot be opened: its
	// key left the ring, or it is damaged. Nothing was deleted, since a ring that
	// comes back opens it again: answer 503, and clear no cookie.
	ErrUnreadable = errors.New("the session's record cannot be opened")
	// ErrEnded says that the session's tokens cannot be renewed any more, and that
	// the session was therefore removed. The user has to log in again.
	ErrEnded = errors.New("the session has ended")
	// ErrRefreshFailed says that an expired access token could not be renewed just
	// now. It says nothing about the session, which stays.
	ErrRefreshFailed = errors.New("the access token could not be renewed")
	// ErrTooLarge says that tokens and claims together are larger than
	// MaxRecordSize.
	ErrTooLarge = errors.New("the session is too large")
)
