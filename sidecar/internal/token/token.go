// Package token is what an authorization server hands a confidential client:
// the set of tokens of one grant.
package token

import (
	"errors"
	"log/slog"
	"time"
)

// ErrInvalidGrant says that the authorization server has refused a refresh
// token for good (RFC 6749 section 5.2, invalid_grant). It is never used for a
// failure that may pass: a time-out, 429 or 5xx says nothing about the grant.
var ErrInvalidGrant = errors.New("the refresh token is no longer valid")

// Set is the tokens of one grant. It is a value: a refresh makes a new one.
// Its String, GoString and LogValue say which tokens it holds and nothing of
// them.
type Set struct {
	// Access is the access token.
	Access string `json:"access"`
	// AccessExpiry is when Access expires. Zero means that the provider did not
	// say (RFC 6749 section 5.1).
	AccessExpiry time.Time `json:"accessExpiry,omitzero"`
	// Refresh is the refresh token, empty when there is none.
	Refresh string `json:"refresh,omitempty"`
	// ID is the raw ID token, kept as the hint of an RP-initiated logout.
	ID string `json:"id,omitempty"`
}

// ExpiresWithin says whether the access token is known to expire within
// margin from now.
func (s Set) ExpiresWithin(now time.Time, margin time.Duration) bool {
	return !s.AccessExpiry.IsZero() && !now.Add(margin).Before(s.AccessExpiry)
}

// String names the tokens that are there, never their values.
func (s Set) String() string {
	names := "tokens"
	for _, token := range []struct{ name, value string }{{"access", s.Access}, {"refresh", s.Refresh}, {"id", s.ID}} {
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
