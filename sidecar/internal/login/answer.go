package login

import (
	"net/url"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
)

// answer is an authorization response (RFC 6749 sections 4.1.2 and 4.1.2.1).
type answer struct {
	state string // "" unless it is there once and may be one of ours
	code  string
	// failed says that the provider sent an error; code and failed exclude each
	// other.
	failed bool
	reason flow.Reason // of failed

	hasISS bool
	iss    string
}

// stateSize is the length of a state: 32 random bytes in base64url.
const stateSize = 43

// errorReasons are the errors that are told apart (RFC 6749 section 4.1.2.1,
// OpenID Connect Core section 3.1.2.6, OpenID Connect Core Unmet Authentication
// Requirements section 2).
var errorReasons = map[string]flow.Reason{
	"access_denied":                     flow.ReasonAccessDenied,
	"login_required":                    ReasonLoginRequired,
	"interaction_required":              flow.ReasonInteraction,
	"consent_required":                  ReasonConsentRequired,
	"account_selection_required":        ReasonAccountSelectionRequired,
	"unmet_authentication_requirements": ReasonUnmetAuthentication,
	"server_error":                      ReasonProviderFailed,
	"temporarily_unavailable":           ReasonProviderFailed,
}

// needsUser says whether the provider has to ask the user something, which is
// the usual answer to a silent login (OIDC-14).
func (a answer) needsUser() bool {
	switch a.reason {
	case ReasonLoginRequired, flow.ReasonInteraction, ReasonConsentRequired, ReasonAccountSelectionRequired:
		return true
	}
	return false
}

// parseAnswer reads an authorization response. With a reason, only state may be
// used, to find out which transaction is over. Parameters it does not know are
// ignored, whatever they are (OA-04); none it knows may stand there twice
// (OA-03).
func parseAnswer(encoded string) (answer, flow.Reason) {
	parameters, err := url.ParseQuery(encoded)
	if err != nil {
		return answer{}, flow.ReasonParameters
	}
	var a answer
	if states := parameters["state"]; len(states) == 1 && isToken(states[0], stateSize) {
		a.state = states[0]
	}
	for _, name := range []string{"state", "code", "iss", "error", "error_description", "error_uri"} {
		if len(parameters[name]) > 1 {
			return a, flow.ReasonParameters
		}
	}
	// Tokens never come this way (SEC-11).
	if parameters.Has("access_token") || parameters.Has("id_token") || parameters.Has("code") && parameters.Has("error") {
		return a, flow.ReasonParameters
	}
	if parameters.Get("state") == "" {
		return a, flow.ReasonStateMissing
	}
	a.code = parameters.Get("code")
	if a.failed = parameters.Has("error"); a.failed {
		a.reason = flow.ReasonProviderError
		if reason, ok := errorReasons[parameters.Get("error")]; ok {
			a.reason = reason
		}
	}
	a.hasISS, a.iss = parameters.Has("iss"), parameters.Get("iss")
	return a, ""
}

// checkISS applies RFC 9207 section 2.4: a wrong issuer is never accepted, and
// none only if the provider does not promise one. One that was not promised is
// accepted when it is right (ISS-06).
func checkISS(a answer, issuer string, promised bool) flow.Reason {
	switch {
	case a.hasISS && a.iss != issuer:
		return flow.ReasonISSMismatch
	case !a.hasISS && promised:
		return flow.ReasonISSMissing
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
