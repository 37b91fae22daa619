package logout

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// patience bounds how long a logout waits to find out how it goes on at the
// provider. The session is over by then.
const patience = 2 * time.Second

// loggedOut is the answer of Logout to a script.
type loggedOut struct {
	// LogoutURL is where the browser should go next: the rest of the logout, or this
	// site if there is none.
	LogoutURL string `json:"logoutURL"`
}

// Logout ends the session: POST logout by a script or a form of this origin, or
// GET logout?sid= by a navigation, with the sid that only this session's own
// pages know (GAP-05).
//
// The session ends here first. What the provider has to be told follows, and no
// failure there brings the session back (RPL-06, RPL-10). Without a session a
// logout succeeds all the same (RPL-07).
func (h *Handler) Logout(w http.ResponseWriter, r *http.Request) {
	if !flow.Allowed(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	byLink := r.Method == http.MethodGet
	if byLink && !flow.IsNavigation(r.Header) {
		h.refuser.Refuse(w, r, flow.Refusal{Flow: flow.Logout, Reason: flow.ReasonNotNavigation, Kind: problem.NotNavigation,
			Detail: "Use POST with the header X-CSRF: 1 to log out by script."})
		return
	}
	sess, err := h.sessionOf(r)
	if err != nil {
		h.refuser.Refuse(w, r, flow.Unavailable(flow.Logout, err, ""))
		return
	}
	if byLink && !maySignOut(r.URL.RawQuery, sess) {
		h.refuser.Refuse(w, r, flow.Refusal{Flow: flow.Logout, Reason: flow.ReasonSID, Kind: problem.BadRequest,
			Detail: "This link does not belong to the current session. Nobody was logged out. Use the site's own way to log out."})
		return
	}
	if sess != nil {
		if err := h.sessions.End(r.Context(), sess, session.EndLogout); err != nil {
			h.refuser.Refuse(w, r, flow.Unavailable(flow.Logout, err, ""))
			return
		}
		h.Revoke(r.Context(), sess.Tokens)
	}
	// Only a cookie that came is cleared. One that did not may belong to a session
	// that lives, on a navigation from another site.
	if len(r.CookiesNamed(session.CookieName)) > 0 {
		http.SetCookie(w, session.ExpiredCookie())
	}
	h.refuser.Observer.Finished(flow.Logout, flow.OK)

	target := h.home
	if sess != nil || !byLink { // a link that ended nothing leads nowhere else
		target = h.next(w, r, sess)
	}
	if byLink || flow.WantsPage(r.Header) {
		flow.SeeOther(w, target)
		return
	}
	flow.WriteJSON(w, http.StatusOK, loggedOut{LogoutURL: target})
}

// sessionOf finds the request's session, nil if there is none.
func (h *Handler) sessionOf(r *http.Request) (*session.Session, error) {
	value, ok := session.CookieFrom(r)
	if !ok {
		return nil, nil
	}
	sess, err := h.sessions.Find(r.Context(), value)
	if errors.Is(err, session.ErrNone) {
		return nil, nil
	}
	return sess, err
}

// maySignOut says whether a link may log out: it needs the session's own sid.
// Without a session there is nothing it could do wrong.
func maySignOut(rawQuery string, sess *session.Session) bool {
	query, err := url.ParseQuery(rawQuery)
	if err != nil || len(query["sid"]) != 1 {
		return false
	}
	return sess == nil || subtle.ConstantTimeCompare([]byte(query.Get("sid")), []byte(sess.ID)) == 1
}

// next is where a browser goes after it was logged out here: to Continue when
// the provider gets the ID token (RPL-02, RPL-04), else straight to the
// provider's own logout, or home if that is unknown (RPL-09, RPL-10).
func (h *Handler) next(w http.ResponseWriter, r *http.Request, sess *session.Session) string {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if h.hint && sess != nil && sess.Tokens.ID != "" {
		if _, ok := h.provider.EndSession(ctx, sess.Tokens.ID, h.home); !ok {
			return h.home
		}
		ticket, err := h.sessions.Park(ctx, []byte(sess.Tokens.ID), ticketTime)
		if err == nil {
			http.SetCookie(w, ticketCookie(ticket))
			return h.continuePath()
		}
		h.refuser.Logger.LogAttrs(ctx, slog.LevelWarn, "logout goes on without the ID token",
			slog.String("requestID", problem.RequestID(ctx)), slog.Any("error", err))
	}
	return h.withoutHint(ctx)
}

// withoutHint is the provider's own logout, where the user is asked, or home.
func (h *Handler) withoutHint(ctx context.Context) string {
	if target, ok := h.provider.EndSessionURL(ctx, h.home); ok {
		return target
	}
	return h.home
}
