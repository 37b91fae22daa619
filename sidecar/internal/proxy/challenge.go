package proxy

import (
	"strings"

	"github.com/bff-operator/bff-operator/sidecar/internal/challenge"
)

// withoutDPoP removes DPoP challenges from WWW-Authenticate: whoever answers
// them is us and not the browser (DPOP-19). A header that cannot be read and may
// hold one goes as a whole.
func withoutDPoP(values []string) []string {
	challenges, ok := challenge.Parse(values)
	if !ok {
		if strings.Contains(strings.ToLower(strings.Join(values, ",")), "dpop") {
			return nil
		}
		return values
	}
	kept := make([]string, 0, len(challenges))
	for _, c := range challenges {
		if !c.Is("DPoP") {
			kept = append(kept, c.Raw)
		}
	}
	if len(kept) == len(challenges) {
		return values
	}
	return kept
}

// refusesToken says whether a 401 is about the access token itself, so that
// another one could help (RFC 6750 section 3.1, invalid_token), and not about
// something else that the upstream checks. scheme is how the token was
// presented.
func refusesToken(values []string, scheme string) bool {
	challenges, ok := challenge.Parse(values)
	if !ok || len(values) == 0 {
		return true // it does not say
	}
	for _, c := range challenges {
		if !c.Is(scheme) {
			continue
		}
		if problem, _ := c.Get("error"); problem == "invalid_token" || !c.Has("error") {
			return true
		}
	}
	return false
}
