package logout

import (
	"io"
	"net/http"
	"net/url"
	"regexp"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// maxSID bounds a sid that is looked up. Providers' are far shorter.
const maxSID = 512

const framedPage = "<!doctype html>\n<title>Signed out</title>\n"

// isHost keeps out what would mean something else in a policy.
var isHost = regexp.MustCompile(`^[A-Za-z0-9.:[\]_-]+$`)

// framerPolicy lets pages of the issuer frame the answer, and nobody else
// (FCL-07).
func framerPolicy(issuer string) string {
	framer := "'none'"
	if u, err := url.Parse(issuer); err == nil && isHost.MatchString(u.Host) {
		framer = u.Scheme + "://" + u.Host
	}
	return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors " + framer
}

// FrontChannel ends the session that the provider names by iss and sid: GET
// frontchannel-logout, framed by a page of the provider (OpenID Connect
// Front-Channel Logout section 2). Browsers send no cookie of ours into another
// site's frame (FCL-06), so the session is found by its names and both are
// required: without them any page could log users out (FCL-04). For the same
// reason nothing is revoked at the provider (FCL-08).
func (h *Handler) FrontChannel(w http.ResponseWriter, r *http.Request) {
	if !h.frontChannel {
		h.refuser.Observer.Finished(flow.FrontChannel, flow.ReasonDisabled)
		problem.NotFound.Write(w, r, "Front-channel logout is not enabled.")
		return
	}
	if !flow.Allowed(w, r, http.MethodGet) {
		return
	}
	sid, reason := sidIn(r.URL.RawQuery, h.provider.Issuer())
	if reason != flow.OK {
		h.refuser.Refuse(w, r, flow.Refusal{Flow: flow.FrontChannel, Reason: reason, Kind: problem.BadRequest,
			Detail: "The parameters iss and sid must each stand there once, and iss must be the issuer. Nobody was logged out."})
		return
	}
	if _, err := h.sessions.EndBySID(r.Context(), h.provider.Issuer(), sid, session.EndFrontChannel); err != nil {
		h.refuser.Refuse(w, r, flow.Unavailable(flow.FrontChannel, err, ""))
		return
	}
	h.refuser.Observer.Finished(flow.FrontChannel, flow.OK)
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", h.framer)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, framedPage) // the browser has gone; there is nobody to tell
}

// sidIn finds the sid in a front-channel call that names the issuer.
func sidIn(rawQuery, issuer string) (string, flow.Reason) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil || len(query["iss"]) != 1 || len(query["sid"]) != 1 || len(query.Get("sid")) > maxSID || query.Get("sid") == "" {
		return "", flow.ReasonParameters
	}
	if query.Get("iss") != issuer {
		return "", flow.ReasonIssuer
	}
	return query.Get("sid"), flow.OK
}
