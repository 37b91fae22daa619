package proxy

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/challenge"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

const (
	insufficientAuthentication = "insufficient_user_authentication"
	maxACRValues               = 8
	maxACRLength               = 256
)

// stepUp is the authentication that a resource server asks for (RFC 9470
// section 3).
type stepUp struct {
	acrValues []string
	maxAge    *time.Duration
}

// stepUpOf finds what an upstream asks for. It is not ok if it asks for nothing,
// or in a way that cannot be read or passed on (STEP-02).
func stepUpOf(values []string) (want stepUp, ok bool) {
	challenges, ok := challenge.Parse(values)
	if !ok {
		return stepUp{}, false
	}
	for _, c := range challenges {
		if problem, _ := c.Get("error"); problem == insufficientAuthentication && (c.Is("Bearer") || c.Is("DPoP")) {
			return readStepUp(c)
		}
	}
	return stepUp{}, false
}

func readStepUp(c challenge.Challenge) (want stepUp, ok bool) {
	if c.Has("acr_values") {
		value, _ := c.Get("acr_values")
		want.acrValues = strings.Fields(value)
		if n := len(want.acrValues); n == 0 || n > maxACRValues || slices.ContainsFunc(want.acrValues, notACR) {
			return stepUp{}, false
		}
	}
	if c.Has("max_age") {
		value, _ := c.Get("max_age")
		// 31 bits: 68 years, and no arithmetic on it overflows.
		seconds, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return stepUp{}, false
		}
		maxAge := time.Duration(seconds) * time.Second
		want.maxAge = &maxAge
	}
	return want, want.acrValues != nil || want.maxAge != nil
}

// notACR says whether an authentication context class could not be passed on.
func notACR(value string) bool {
	return len(value) > maxACRLength || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
}

// allowedBy says whether the policy lets everything that is asked for into a
// login. Half of it would not satisfy the upstream.
func (s stepUp) allowedBy(allowed []v1alpha1.LoginParameter) bool {
	return (s.acrValues == nil || slices.Contains(allowed, v1alpha1.ParameterACRValues)) &&
		(s.maxAge == nil || slices.Contains(allowed, v1alpha1.ParameterMaxAge))
}

// fulfilledBy says whether the session's login is what is asked for already.
// Logging in once more would then change nothing, and an upstream that asks
// all the same could keep the user logging in for ever (STEP-05, STEP-07).
func (s stepUp) fulfilledBy(sess *session.Session, now time.Time) bool {
	if s.acrValues != nil && !slices.Contains(s.acrValues, sess.ACR) {
		return false
	}
	return s.maxAge == nil || !sess.AuthTime.IsZero() && now.Sub(sess.AuthTime) <= *s.maxAge
}

// loginURL is where the step-up starts.
func (s stepUp) loginURL(login string) string {
	query := url.Values{}
	if s.acrValues != nil {
		query.Set(string(v1alpha1.ParameterACRValues), strings.Join(s.acrValues, " "))
	}
	if s.maxAge != nil {
		query.Set(string(v1alpha1.ParameterMaxAge), strconv.Itoa(int(*s.maxAge/time.Second)))
	}
	return login + "?" + query.Encode()
}
