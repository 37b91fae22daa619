// Package token is what an authorization server hands a confidential client:
// the set of tokens of one grant.
package token

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

var (
	// ErrInvalidGrant says that the authorization server has refused a refresh
	// token for good (RFC 6749 section 5.2, invalid_grant). It is never used for a
	// failure that may pass: a time-out, 429 or 5xx says nothing about the grant.
	ErrInvalidGrant = errors.New("the refresh token is no longer valid")
	// ErrOtherUser says that a refresh came back with an ID token that does not
	// belong to the login: another issuer, subject, audience or authentication, or
	// no valid one at all (OpenID Connect Core section 12.2). Nothing of the answer
	// may be used and the session has to end.
	ErrOtherUser = errors.New("the refreshed ID token does not belong to this login")
	// ErrInvalidTarget says that the authorization server gives no token for the
	// resource or scopes of one route (RFC 8707 section 2, invalid_target; RFC 6749
	// section 5.2, invalid_scope). The grant is as good as before.
	ErrInvalidTarget = errors.New("there is no token for this resource")
)

// Target is what an access token is for. The zero value is what the login was
// for.
type Target struct {
	// Resource is a resource indicator (RFC 8707), or "".
	Resource string
	// Scopes narrow the token; nil is all that were granted.
	Scopes []string
}

// IsZero says whether the target is the login's own.
func (t Target) IsZero() bool { return t.Resource == "" && len(t.Scopes) == 0 }

// Key identifies the target among those of one grant.
func (t Target) Key() string {
	scopes := slices.Clone(t.Scopes)
	slices.Sort(scopes)
	return t.Resource + "\n" + strings.Join(scopes, " ")
}

// Type is how a token is presented (RFC 6749 section 7.1), in its usual
// spelling.
type Type string

// Types of access tokens.
const (
	Bearer Type = "Bearer" // RFC 6750
	DPoP   Type = "DPoP"   // RFC 9449
)

// Access is an access token.
type Access struct {
	// Token is the access token itself.
	Token string `json:"token"`
	// Type says how to present it. Empty is Bearer.
	Type Type `json:"type,omitempty"`
	// ObtainedAt is when it was asked for.
	ObtainedAt time.Time `json:"obtainedAt,omitzero"`
	// Expiry is when it expires. Zero means that the provider did not say (RFC 6749
	// section 5.1).
	Expiry time.Time `json:"expiry,omitzero"`
}

// ExpiresWithin says whether the token is known to expire within margin from
// now.
func (a Access) ExpiresWithin(now time.Time, margin time.Duration) bool {
	return !a.Expiry.IsZero() && !now.Add(margin).Before(a.Expiry)
}

// String never shows the token.
func (a Access) String() string { return "access token" }

// GoString is String, for %#v.
func (a Access) GoString() string { return a.String() }

// LogValue is String, for slog.
func (a Access) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Set is the tokens of one grant. It is a value: a refresh makes a new one, and
// nobody may write to its map. Its String, GoString and LogValue say which
// tokens it holds and nothing of them.
type Set struct {
	// Access is the access token of the login.
	Access Access `json:"access"`
	// Narrowed are access tokens for other targets, by Target.Key.
	Narrowed map[string]Access `json:"narrowed,omitempty"`
	// Refresh is the refresh token, empty when there is none.
	Refresh string `json:"refresh,omitempty"`
	// ID is the raw ID token, kept as the hint of an RP-initiated logout.
	ID string `json:"id,omitempty"`
	// Key is the private key that the access tokens are bound to (RFC 9449), as
	// package dpop writes it; nil when they are not.
	Key []byte `json:"key,omitempty"`
}

// For is the access token for a target.
func (s Set) For(t Target) (Access, bool) {
	if t.IsZero() {
		return s.Access, s.Access.Token != ""
	}
	a, ok := s.Narrowed[t.Key()]
	return a, ok
}

// With is the set with another access token for a target.
func (s Set) With(t Target, a Access) Set {
	if t.IsZero() {
		s.Access = a
		return s
	}
	narrowed := make(map[string]Access, len(s.Narrowed)+1)
	for key, value := range s.Narrowed {
		narrowed[key] = value
	}
	narrowed[t.Key()] = a
	s.Narrowed = narrowed
	return s
}

// WithKey is the set with another key. Access tokens that are bound to a former
// one are of no use without it, and are left out.
func (s Set) WithKey(key []byte) Set {
	if bytes.Equal(s.Key, key) {
		return s
	}
	s.Key = key
	if s.Access.Type == DPoP {
		s.Access = Access{}
	}
	s.Narrowed = maps.Clone(s.Narrowed)
	maps.DeleteFunc(s.Narrowed, func(_ string, a Access) bool { return a.Type == DPoP })
	return s
}

// String names the tokens that are there, never their values.
func (s Set) String() string {
	names := "tokens"
	for _, token := range []struct{ name, value string }{{"access", s.Access.Token}, {"refresh", s.Refresh}, {"id", s.ID}} {
		if token.value != "" {
			names += " " + token.name
		}
	}
	return names
}

// GoString is String, for %#v.
func (s Set) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s Set) LogValue() slog.Value { return slog.StringValue(s.String()) }
