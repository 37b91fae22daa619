package session

import (
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const (
	// MaxRefreshMargin is how long before its expiry an access token is renewed at
	// the earliest. It is a tenth of the token's life when that is less: a token of a
	// minute is renewed 6 s ahead. Each replica and session has a time of its own
	// between that and half of it, so that what began together is not renewed
	// together.
	MaxRefreshMargin = 30 * time.Second
	marginShare      = 10
)

// need is what an access token asks for.
type need int

const (
	needNothing need = iota
	needSoon         // it is good, and should be renewed before it is not
	needNow
	needLogin // there is none that can be used, and nothing to get one with
)

// want is an access token that somebody wants.
type want struct {
	target token.Target
	// refused is an access token that an upstream has refused, whatever is known of
	// its expiry; empty if none was.
	refused string
}

// need says what must be done for a session's tokens to have it. late is from 0
// to 1: how late in the margin it is renewed.
func (w want) need(tokens token.Set, now time.Time, late float64) need {
	access, ok := accessFor(tokens, w.target)
	renewable := tokens.Refresh != ""
	switch {
	case !ok || access.ExpiresWithin(now, 0):
		if renewable {
			return needNow
		}
		return needLogin
	case !renewable:
		return needNothing
	case w.refused != "" && access.Token == w.refused:
		return needNow
	case access.ExpiresWithin(now, margin(access.Expiry.Sub(access.ObtainedAt), late)):
		return needSoon
	}
	return needNothing
}

// margin is how long before its expiry an access token of this life is renewed.
func margin(life time.Duration, late float64) time.Duration {
	longest := max(0, min(MaxRefreshMargin, life/marginShare))
	return longest - time.Duration(late*float64(longest/2))
}

// usable says whether there is an access token that has not expired.
func usable(tokens token.Set, target token.Target, now time.Time) bool {
	access, ok := accessFor(tokens, target)
	return ok && !access.ExpiresWithin(now, 0)
}
