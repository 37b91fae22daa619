package provider

import (
	"crypto/subtle"
	"encoding/json"
	"math"
	"slices"
	"time"
)

const (
	// leeway is how long after its expiry an ID token is still accepted, for
	// clocks that differ (OpenID Connect Core section 3.1.3.7, item 9).
	leeway = 30 * time.Second
	// maxAhead is how far in the future an ID token may be issued or become valid
	// (item 10).
	maxAhead = 5 * time.Minute
	// maxSubject is the greatest length of a subject (section 2).
	maxSubject = 255
)

// claims are the claims of an ID token that have a rule. A nil field is a claim
// that is not there.
type claims struct {
	issuer, subject, sid *string
	audience             []string
	authorizedParty      *string
	expiry, issuedAt     *float64
	notBefore            *float64
	nonce                *string

	all map[string]any
}

// parseClaims reads claims by their exact names, where encoding/json would
// take "SUB" for "sub", and by their exact types: exp as a string is no exp.
func parseClaims(payload []byte) (claims, bool) {
	var c claims
	if json.Unmarshal(payload, &c.all) != nil {
		return claims{}, false
	}
	ok := true
	c.issuer = claim[string](c.all, "iss", &ok)
	c.subject = claim[string](c.all, "sub", &ok)
	c.sid = claim[string](c.all, "sid", &ok)
	c.authorizedParty = claim[string](c.all, "azp", &ok)
	c.nonce = claim[string](c.all, "nonce", &ok)
	c.expiry = claim[float64](c.all, "exp", &ok)
	c.issuedAt = claim[float64](c.all, "iat", &ok)
	c.notBefore = claim[float64](c.all, "nbf", &ok)
	// One string or several (RFC 7519 section 4.1.3).
	switch audience := c.all["aud"].(type) {
	case nil:
	case string:
		c.audience = []string{audience}
	case []any:
		for _, one := range audience {
			name, isString := one.(string)
			ok = ok && isString
			c.audience = append(c.audience, name)
		}
	default:
		ok = false
	}
	return c, ok
}

// claim returns nil for a claim that is not there, and clears ok if it is there
// and not a T.
func claim[T any](all map[string]any, name string, ok *bool) *T {
	value, there := all[name]
	if !there {
		return nil
	}
	typed, isT := value.(T)
	if !isT {
		*ok = false
		return nil
	}
	return &typed
}

// expectation is what the claims of an ID token must agree with.
type expectation struct {
	issuer, clientID string
	nonce            *string // nil: any
	now              time.Time
}

// judge applies OpenID Connect Core section 3.1.3.7 to claims whose signature
// is good, and returns the reason to refuse them, or "" (IDT-02 to IDT-14).
func judge(c claims, want expectation) Reason {
	switch {
	case c.issuer == nil || *c.issuer != want.issuer:
		return ReasonIDTokenIssuer
	case c.subject == nil || !isSubject(*c.subject):
		return ReasonIDTokenSubject
	case !isFor(c.audience, want.clientID):
		return ReasonIDTokenAudience
	case c.authorizedParty != nil && *c.authorizedParty != want.clientID:
		return ReasonIDTokenAuthorizedParty
	case !isTime(c.expiry) || !isTime(c.issuedAt) || c.notBefore != nil && !isTime(c.notBefore):
		return ReasonIDTokenMalformed
	case !want.now.Before(at(c.expiry).Add(leeway)):
		return ReasonIDTokenExpired
	case at(c.issuedAt).After(want.now.Add(maxAhead)), c.notBefore != nil && at(c.notBefore).After(want.now.Add(maxAhead)):
		return ReasonIDTokenNotYet
	case want.nonce != nil && (c.nonce == nil || !equal(*c.nonce, *want.nonce)):
		return ReasonIDTokenNonce
	}
	return ""
}

// changed applies OpenID Connect Core section 12.2 to the claims of a refreshed
// ID token and those of the one before it (OIDC-11).
func changed(before, after claims) Reason {
	same := func(a, b *string) bool { return a != nil && b != nil && *a == *b }
	within := func(a, b []string) bool {
		return !slices.ContainsFunc(a, func(name string) bool { return !slices.Contains(b, name) })
	}
	switch {
	case !same(before.issuer, after.issuer), !same(before.subject, after.subject),
		!within(before.audience, after.audience), !within(after.audience, before.audience):
		return ReasonIDTokenChanged
	case after.nonce != nil && (before.nonce == nil || !equal(*after.nonce, *before.nonce)):
		return ReasonIDTokenNonce
	}
	return ""
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// isSubject accepts 1 to 255 ASCII characters (section 2).
func isSubject(s string) bool {
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= maxSubject
}

// isFor wants the client to be there and nobody else: this client trusts no
// other audience (section 3.1.3.7, item 3).
func isFor(audience []string, clientID string) bool {
	return len(audience) > 0 && !slices.ContainsFunc(audience, func(name string) bool { return name != clientID })
}

// isTime accepts a NumericDate (RFC 7519 section 2) before the year 10000.
func isTime(seconds *float64) bool {
	return seconds != nil && *seconds > 0 && *seconds < 253402300800
}

func at(seconds *float64) time.Time {
	whole, fraction := math.Modf(*seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second)))
}
