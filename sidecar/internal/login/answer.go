package login

import "net/url"

// answer is an authorization response (RFC 6749 sections 4.1.2 and 4.1.2.1).
type answer struct {
	state string // "" unless it is there once and may be one of ours
	code  string
	// failed says that the provider sent an error; code and failed exclude each
	// other.
	failed bool
	denied bool // the error is access_denied

	hasISS bool
	iss    string
}

// stateSize is the length of a state: 32 random bytes in base64url.
const stateSize = 43

// parseAnswer reads an authorization response. With a reason, only state may be
// used, to find out which transaction is over. Parameters it does not know are
// ignored, whatever they are (OA-04); none it knows may stand there twice
// (OA-03).
func parseAnswer(rawQuery string) (answer, Reason) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return answer{}, ReasonParameters
	}
	var a answer
	if states := query["state"]; len(states) == 1 && isToken(states[0], stateSize) {
		a.state = states[0]
	}
	for _, name := range []string{"state", "code", "iss", "error", "error_description", "error_uri"} {
		if len(query[name]) > 1 {
			return a, ReasonParameters
		}
	}
	// Tokens never come this way (SEC-11).
	if query.Has("access_token") || query.Has("id_token") || query.Has("code") && query.Has("error") {
		return a, ReasonParameters
	}
	if query.Get("state") == "" {
		return a, ReasonStateMissing
	}
	a.code = query.Get("code")
	a.failed, a.denied = query.Has("error"), query.Get("error") == "access_denied"
	a.hasISS, a.iss = query.Has("iss"), query.Get("iss")
	return a, ""
}

// checkISS applies RFC 9207 section 2.4: a wrong issuer is never accepted, and
// none only if the provider does not promise one. One that was not promised is
// accepted when it is right (ISS-06).
func checkISS(a answer, issuer string, promised bool) Reason {
	switch {
	case a.hasISS && a.iss != issuer:
		return ReasonISSMismatch
	case !a.hasISS && promised:
		return ReasonISSMissing
	}
	return ""
}

// isToken says whether s is size characters of base64url.
func isToken(s string, size int) bool {
	if len(s) != size {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
