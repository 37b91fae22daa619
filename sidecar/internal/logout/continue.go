package logout

import (
	"context"
	"errors"
	"net/http"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/page"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Continue goes on with a logout at the provider: GET logout/continue, by the
// navigation that follows Logout. Its page posts the ID token to the provider's
// end_session_endpoint (OpenID Connect RP-Initiated Logout section 2), so that
// it never stands in a URL. A second call, or one without a logout before it,
// leads home (RPL-07).
func (h *Handler) Continue(w http.ResponseWriter, r *http.Request) {
	if !flow.Allowed(w, r, http.MethodGet) {
		return
	}
	w.Header().Add("Vary", "Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest")
	if !flow.IsNavigation(r.Header) {
		h.refuser.Refuse(w, r, flow.Refusal{Flow: flow.Continue, Reason: flow.ReasonNotNavigation, Kind: problem.NotNavigation,
			Detail: "Let the browser go to this address, for example by location.assign(). It cannot be fetched or framed."})
		return
	}
	tickets := r.CookiesNamed(ticketCookieName)
	if len(tickets) != 1 {
		h.leave(w, flow.ReasonTicket, h.home)
		return
	}
	idToken, err := h.sessions.Take(r.Context(), tickets[0].Value)
	if err != nil && !errors.Is(err, session.ErrNone) {
		h.refuser.Refuse(w, r, flow.Unavailable(flow.Continue, err, h.continuePath()))
		return
	}
	http.SetCookie(w, expiredTicketCookie())
	if err != nil {
		h.leave(w, flow.ReasonTicket, h.home)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if !straightToBrowser(r.Header) {
		h.leave(w, flow.OK, h.withoutHint(ctx))
		return
	}
	end, ok := h.provider.EndSession(ctx, string(idToken), h.home)
	if !ok {
		h.leave(w, flow.OK, h.home)
		return
	}
	h.refuser.Observer.Finished(flow.Continue, flow.OK)
	page.Write(w, http.StatusOK, page.Page{
		Title: "Signing out",
		Text:  "You are signed out of this site. Continue to sign out at your identity provider as well.",
		Form:  &page.Form{Action: end.URL, Fields: end.Form, Button: "Continue"},
	})
}

func (h *Handler) leave(w http.ResponseWriter, reason flow.Reason, target string) {
	h.refuser.Observer.Finished(flow.Continue, reason)
	flow.SeeOther(w, target)
}

// straightToBrowser says whether the answer goes to the browser and not through
// a service worker of the application, which could read it. A request that a
// service worker passes on has no destination any more (Fetch Standard, new
// Request), and one the browser makes ahead for it says so. The application can
// still have the browser make a request of its own and read along, if it sets up
// a race of both (Service Worker Static Routing); that cannot be told from here.
func straightToBrowser(h http.Header) bool {
	_, ahead := h["Service-Worker-Navigation-Preload"]
	return h.Get("Sec-Fetch-Dest") == "document" && !ahead
}
