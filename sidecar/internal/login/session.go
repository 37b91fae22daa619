package login

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// state is the answer of Session.
type state struct {
	// Authenticated says whether there is a session.
	Authenticated bool `json:"authenticated"`
	// Claims are those of the ID token that a page may see.
	Claims map[string]any `json:"claims,omitempty"`
	// ExpiresIn is how many seconds the session has left at most, IdleExpiresIn how
	// many if it is not used.
	ExpiresIn     *int64 `json:"expiresIn,omitempty"`
	IdleExpiresIn *int64 `json:"idleExpiresIn,omitempty"`
	// LogoutURL is where a navigation ends the session.
	LogoutURL string `json:"logoutURL,omitempty"`
	// ACR is how the user proved who they are, as the provider named it, and
	// AuthTime when, in Unix seconds (OpenID Connect Core section 2). They are there
	// if the provider said so.
	ACR      string `json:"acr,omitempty"`
	AuthTime int64  `json:"authTime,omitempty"`
}

// Session tells a script who is logged in: GET session (RFC 10017 section
// 6.1.2.1). It does not count as using the session. Without one the answer is
// 200 too: being logged out is no error.
func (h *Handler) Session(w http.ResponseWriter, r *http.Request) {
	if !flow.Allowed(w, r, http.MethodGet) {
		return
	}
	w.Header().Add("Vary", "Cookie")
	value, ok := session.CookieFrom(r)
	if !ok {
		h.observer.Finished(flow.Session, flow.ReasonNoSession)
		flow.WriteJSON(w, http.StatusOK, state{})
		return
	}
	sess, err := h.sessions.Find(r.Context(), value)
	switch {
	case errors.Is(err, session.ErrNone):
		// The cookie stays: another tab may have logged in while this request was under
		// way, and clearing would hit the new one.
		h.observer.Finished(flow.Session, flow.ReasonNoSession)
		flow.WriteJSON(w, http.StatusOK, state{})
		return
	case err != nil:
		h.refuser.Refuse(w, r, flow.Unavailable(flow.Session, err, ""))
		return
	}
	now := h.clock()
	h.observer.Finished(flow.Session, flow.OK)
	// The policy may have shortened the list since the login.
	claims, _ := shownClaims(sess.Claims, h.claims)
	answer := state{
		Authenticated: true, Claims: claims, ACR: sess.ACR,
		ExpiresIn: seconds(sess.ExpiresAt.Sub(now)), IdleExpiresIn: seconds(sess.IdleExpiresAt.Sub(now)),
		LogoutURL: h.basePath + "/logout?" + url.Values{"sid": {sess.ID}}.Encode(),
	}
	if !sess.AuthTime.IsZero() {
		answer.AuthTime = sess.AuthTime.Unix()
	}
	flow.WriteJSON(w, http.StatusOK, answer)
}

// seconds rounds down: what is promised is there.
func seconds(d time.Duration) *int64 {
	s := max(int64(d/time.Second), 0)
	return &s
}
