package logout

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

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
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" || len(r.Header["Content-Type"]) != 1 || r.Header.Get("Content-Encoding") != "" {
		return "", &malformed{"Send the logout token as application/x-www-form-urlencoded, not encoded any further.", flow.ReasonBody}
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(backChannelTime)) // what cannot have one is no connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return "", &malformed{"The body must arrive within " + backChannelTime.String() + " and have at most " + strconv.Itoa(maxForm) + " bytes.", flow.ReasonBody}
	}
	_ = control.SetReadDeadline(time.Time{})
	return parseLogoutForm(string(body))
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
	body, err := json.Marshal(answer)
	if err != nil { // two strings always marshal
		http.Error(w, http.StatusText(status), status)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the provider has gone; there is nobody to tell
}
