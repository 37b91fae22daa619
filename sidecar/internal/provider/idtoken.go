package provider

import (
	"slices"
	"strings"
	"time"
)

// expectation is what the claims of an ID token must agree with.
type expectation struct {
	issuer, clientID string
	trusted          []string // audiences that may stand beside the client
	nonce            *string  // nil: any
	now              time.Time
	skew             time.Duration // how far the clocks may differ
	authentication   authentication
}

// authentication is how the user must have been authenticated.
type authentication struct {
	// acrValues are lists of which each that is not empty must hold the acr.
	acrValues [][]string
	// maxAge is how long before startedAt it may have happened at most; nil: any.
	maxAge    *time.Duration
	startedAt time.Time
}

// judge applies OpenID Connect Core section 3.1.3.7 to claims whose signature
// is good, and returns the reason to refuse them, or "" (IDT-02 to IDT-14).
func judge(c claims, want expectation) Reason {
	switch {
	case c.issuer == nil || *c.issuer != want.issuer:
		return ReasonIDTokenIssuer
	case c.subject == nil || !isSubject(*c.subject):
		return ReasonIDTokenSubject
	case !isFor(c.audience, want.clientID, want.trusted):
		return ReasonIDTokenAudience
	case c.authorizedParty != nil && *c.authorizedParty != want.clientID:
		return ReasonIDTokenAuthorizedParty
	case !isTime(c.expiry) || !isTime(c.issuedAt) || c.notBefore != nil && !isTime(c.notBefore):
		return ReasonIDTokenMalformed
	case !want.now.Before(at(c.expiry).Add(want.skew)):
		return ReasonIDTokenExpired
	case isAhead(c.issuedAt, want), c.notBefore != nil && isAhead(c.notBefore, want):
		return ReasonIDTokenNotYet
	case want.nonce != nil && (c.nonce == nil || !equal(*c.nonce, *want.nonce)):
		return ReasonIDTokenNonce
	}
	return judgeAuthentication(c, want)
}

// judgeAuthentication applies items 12 and 13 (IDT-12, IDT-13).
func judgeAuthentication(c claims, want expectation) Reason {
	for _, values := range want.authentication.acrValues {
		if len(values) > 0 && (c.acr == nil || !slices.Contains(values, *c.acr)) {
			return ReasonACR
		}
	}
	maxAge, startedAt := want.authentication.maxAge, want.authentication.startedAt
	switch {
	case maxAge == nil:
		return ""
	case !isTime(c.authTime), isAhead(c.authTime, want),
		at(c.authTime).Add(*maxAge).Add(want.skew).Before(startedAt):
		return ReasonAuthTime
	}
	return ""
}

func isAhead(seconds *float64, want expectation) bool {
	return at(seconds).After(want.now.Add(want.skew))
}

// isIDTokenType says whether a JWT's type is one an ID token may have. Most have
// "JWT" or none; those with a type of their own are something else (RFC 8725
// section 3.11), such as a logout token (BCL-21).
func isIDTokenType(typ string) bool { return !strings.HasSuffix(typ, "+jwt") }

// changed applies section 12.2 to the claims of a refreshed ID token and those
// of the one before it (OIDC-11). What holds for every ID token has been checked
// already.
func changed(before, after claims) Reason {
	same := func(a, b *string) bool { return a != nil && b != nil && *a == *b }
	within := func(a, b []string) bool {
		return !slices.ContainsFunc(a, func(name string) bool { return !slices.Contains(b, name) })
	}
	switch {
	case !same(before.issuer, after.issuer), !same(before.subject, after.subject),
		!within(before.audience, after.audience), !within(after.audience, before.audience):
		return ReasonIDTokenChanged
	case before.issuedAt != nil && after.issuedAt != nil && *after.issuedAt < *before.issuedAt:
		return ReasonIDTokenChanged
	case after.nonce != nil && (before.nonce == nil || !equal(*after.nonce, *before.nonce)):
		return ReasonIDTokenNonce
	case after.authTime != nil && before.authTime != nil && *after.authTime != *before.authTime:
		return ReasonAuthTimeChanged
	}
	return ""
}
