package logout

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
)

// maxForm bounds the body of a back-channel call. A logout token is far smaller.
const maxForm = 32 << 10

// malformed says what is wrong with a back-channel call, to the provider and to
// the metrics.
type malformed struct {
	say    string
	reason flow.Reason
}

// logoutTokenIn finds the logout token of a back-channel call (OpenID Connect
// Back-Channel Logout section 2.5).
func logoutTokenIn(w http.ResponseWriter, r *http.Request) (string, *malformed) {
	body, err := flow.Form(w, r, maxForm)
	switch {
	case errors.Is(err, flow.ErrNotForm):
		return "", &malformed{"Send the logout token as application/x-www-form-urlencoded, not encoded any further.", flow.ReasonBody}
	case err != nil:
		return "", &malformed{"The body must arrive within " + flow.FormTime.String() + " and have at most " + strconv.Itoa(maxForm) + " bytes.", flow.ReasonBody}
	}
	return parseLogoutForm(body)
}

// parseLogoutForm finds the one logout_token in a form. Other parameters are
// ignored (BCL-01).
func parseLogoutForm(body string) (string, *malformed) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return "", &malformed{"The body is not a form.", flow.ReasonParameters}
	}
	if tokens := form["logout_token"]; len(tokens) == 1 && tokens[0] != "" {
		return tokens[0], nil
	}
	return "", &malformed{"The body must have the parameter logout_token once.", flow.ReasonParameters}
}

// oauthError is the body of an error answer to the provider (OpenID Connect
// Back-Channel Logout section 2.8, RFC 6749 section 5.2).
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// refuseProvider answers the provider, which reads no problem+json.
func (h *Handler) refuseProvider(w http.ResponseWriter, r *http.Request, status int, say string, reason flow.Reason, err error) {
	h.refuser.Record(r, flow.Refusal{Flow: flow.BackChannel, Reason: reason, Err: err})
	answer := oauthError{"invalid_request", say}
	if status == http.StatusServiceUnavailable {
		answer.Error = "temporarily_unavailable"
		w.Header().Set("Retry-After", "5")
	}
	flow.WriteJSON(w, status, answer)
}
