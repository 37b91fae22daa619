package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

const (
	// metadataPatience bounds how long a logout waits to learn where the provider's
	// own logout is. The session is over by then.
	metadataPatience = 2 * time.Second
	// revocationTimeout bounds a revocation, maxRevocations how many are under way.
	revocationTimeout = 10 * time.Second
	maxRevocations    = 32
)

// loggedOut is the answer of Logout to a script.
type loggedOut struct {
	// LogoutURL is where the browser should go next: the provider's own logout, or
	// this site if it has none.
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
	if !allowed(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	byLink := r.Method == http.MethodGet
	if byLink && !isNavigation(r.Header) {
		h.refuse(w, r, refusal{flow: FlowLogout, reason: ReasonNotNavigation, kind: problem.NotNavigation,
			detail: "Use POST with the header X-CSRF: 1 to log out by script."})
		return
	}
	sess, err := h.sessionOf(r)
	if err != nil {
		h.refuse(w, r, unavailable(FlowLogout, err, ""))
		return
	}
	if byLink && !maySignOut(r.URL.RawQuery, sess) {
		h.refuse(w, r, refusal{flow: FlowLogout, reason: ReasonSID, kind: problem.BadRequest,
			detail: "This link does not belong to the current session. Nobody was logged out. Use the site's own way to log out."})
		return
	}
	if sess != nil {
		if err := h.sessions.End(r.Context(), sess); err != nil {
			h.refuse(w, r, unavailable(FlowLogout, err, ""))
			return
		}
		h.revoke(r.Context(), sess.Tokens.Refresh)
	}
	// Only a cookie that came is cleared. One that did not may belong to a session
	// that lives, on a navigation from another site.
	if len(r.CookiesNamed(session.CookieName)) > 0 {
		http.SetCookie(w, session.ExpiredCookie())
	}
	h.observer.Finished(FlowLogout, OK)

	target := h.home
	if sess != nil || !byLink { // a link that ended nothing leads nowhere else
		target = h.afterLogout(r.Context())
	}
	if byLink || wantsPage(r.Header) {
		seeOther(w, target)
		return
	}
	writeJSON(w, loggedOut{LogoutURL: target})
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

// afterLogout is where a browser goes after it was logged out here.
func (h *Handler) afterLogout(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, metadataPatience)
	defer cancel()
	if target, ok := h.provider.EndSessionURL(ctx, h.home); ok {
		return target
	}
	return h.home
}

// revoke has the provider forget a refresh token, without making anybody wait
// (REV-02, REV-05).
func (h *Handler) revoke(ctx context.Context, refreshToken string) {
	if refreshToken == "" {
		return
	}
	select {
	case h.revocations <- struct{}{}:
	default:
		h.observer.Finished(FlowRevocation, ReasonBusy)
		h.logger.LogAttrs(ctx, slog.LevelWarn, "refresh token not revoked",
			slog.String("reason", string(ReasonBusy)), slog.String("requestID", problem.RequestID(ctx)))
		return
	}
	h.background.Go(func() {
		defer func() { <-h.revocations }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revocationTimeout)
		defer cancel()
		if err := h.provider.Revoke(ctx, refreshToken); err != nil {
			h.observer.Finished(FlowRevocation, reasonOf(err))
			h.logger.LogAttrs(ctx, slog.LevelWarn, "refresh token not revoked",
				slog.String("reason", string(reasonOf(err))), slog.String("requestID", problem.RequestID(ctx)), slog.Any("error", err))
			return
		}
		h.observer.Finished(FlowRevocation, OK)
	})
}
