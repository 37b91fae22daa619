package login

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

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
}

// Session tells a script who is logged in: GET session (RFC 10017 section
// 6.1.2.1). It does not count as using the session. Without one the answer is
// 200 too: being logged out is no error.
func (h *Handler) Session(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet) {
		return
	}
	w.Header().Add("Vary", "Cookie")
	value, ok := session.CookieFrom(r)
	if !ok {
		h.observer.Finished(FlowSession, ReasonNoSession)
		writeJSON(w, state{})
		return
	}
	sess, err := h.sessions.Find(r.Context(), value)
	switch {
	case errors.Is(err, session.ErrNone):
		// The cookie stays: another tab may have logged in while this request was under
		// way, and clearing would hit the new one.
		h.observer.Finished(FlowSession, ReasonNoSession)
		writeJSON(w, state{})
		return
	case err != nil:
		h.refuse(w, r, unavailable(FlowSession, err, ""))
		return
	}
	now := h.clock()
	h.observer.Finished(FlowSession, OK)
	writeJSON(w, state{
		Authenticated: true, Claims: sess.Claims,
		ExpiresIn: seconds(sess.ExpiresAt.Sub(now)), IdleExpiresIn: seconds(sess.IdleExpiresAt.Sub(now)),
		LogoutURL: h.basePath + "/logout?" + url.Values{"sid": {sess.ID}}.Encode(),
	})
}

// seconds rounds down: what is promised is there.
func seconds(d time.Duration) *int64 {
	s := max(int64(d/time.Second), 0)
	return &s
}

// writeJSON answers with a document that no cache keeps (GAP-08).
func writeJSON(w http.ResponseWriter, document any) {
	body, err := json.Marshal(document)
	if err != nil { // claims are strings, numbers and booleans
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the caller has gone; there is nobody to tell
}
