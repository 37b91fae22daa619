package provider

import (
	"crypto/subtle"
	"encoding/json"
	"math"
	"slices"
	"time"
)

// maxSubject is the greatest length of a subject (OpenID Connect Core section
// 2).
const maxSubject = 255

// claims are the claims that have a rule. A nil field is a claim that is not
// there.
type claims struct {
	issuer, subject, sid *string
	audience             []string
	authorizedParty      *string
	expiry, issuedAt     *float64
	notBefore            *float64
	nonce                *string

	// These matter only where they are asked for, so that one of another type
	// counts as not there.
	id, acr  *string
	authTime *float64

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
	var ignored bool
	c.id = claim[string](c.all, "jti", &ignored)
	c.acr = claim[string](c.all, "acr", &ignored)
	c.authTime = claim[float64](c.all, "auth_time", &ignored)
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

// isFor wants the client to be there, and nobody else whom it does not trust
// (section 3.1.3.7, item 3).
func isFor(audience []string, clientID string, trusted []string) bool {
	stranger := func(name string) bool { return name != clientID && !slices.Contains(trusted, name) }
	return slices.Contains(audience, clientID) && !slices.ContainsFunc(audience, stranger)
}

// isTime accepts a NumericDate (RFC 7519 section 2) before the year 10000.
func isTime(seconds *float64) bool {
	return seconds != nil && *seconds > 0 && *seconds < 253402300800
}

func at(seconds *float64) time.Time {
	whole, fraction := math.Modf(*seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second)))
}
