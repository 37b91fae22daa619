package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/page"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Callback takes the identity provider's answer at the redirect URI: by GET, or,
// if the response mode is form_post, by POST, and never by the other one. It
// makes a session and sends the browser on.
//
// The answer is a page that goes on by itself, and not a redirect: a redirect
// would still belong to the navigation that the provider's site began, on which
// a browser does not send the SameSite=Strict cookie that was just set (COOK-08),
// and some redirects would send a form on (SEC-27).
func (h *Handler) Callback(w http.ResponseWriter, r *http.Request) {
	method := http.MethodGet
	if h.formPost {
		method = http.MethodPost
	}
	if !flow.Allowed(w, r, method) {
		return
	}
	// A form that the provider's page posts is a navigation too: cross-site, and
	// with the Origin of that page or null.
	if !flow.IsNavigation(r.Header) {
		h.refuser.Refuse(w, r, flow.Refusal{Flow: flow.Callback, Reason: flow.ReasonNotNavigation,
			Kind: problem.NotNavigation, Detail: sayNotFetched})
		return
	}
	a, reason := h.answerOf(w, r)
	var t transaction
	if a.state != "" {
		name := transactionCookieName(a.state)
		// Whatever comes of it, this transaction is over (SEC-05).
		http.SetCookie(w, h.expiredTransactionCookie(name))
		if reason == "" {
			t, reason = h.transactionOf(r, name, a.state)
		}
	} else if reason == "" {
		reason = flow.ReasonTransactionMissing // that state is none of ours
	}
	f := h.finish(w, r, a, t, reason)
	if f.Reason != "" {
		f.Flow, f.Again = flow.Callback, h.loginURL(t.again())
		h.refuser.Refuse(w, r, f)
	}
}

// answerOf reads the answer from where it has to be.
func (h *Handler) answerOf(w http.ResponseWriter, r *http.Request) (answer, flow.Reason) {
	if !h.formPost {
		return parseAnswer(r.URL.RawQuery)
	}
	encoded, err := flow.Form(w, r, maxForm)
	if err != nil {
		return answer{}, flow.ReasonParameters
	}
	return parseAnswer(encoded)
}

// transactionOf opens the transaction a state belongs to.
func (h *Handler) transactionOf(r *http.Request, name, state string) (transaction, flow.Reason) {
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 { // of two, neither can be believed (COOK-06)
		return transaction{}, flow.ReasonTransactionMissing
	}
	t, err := h.sealer.open(name, cookies[0].Value)
	switch {
	case errors.Is(err, flow.ErrNoKeyRing):
		return transaction{}, flow.ReasonKeyRing
	case err != nil:
		return transaction{}, flow.ReasonTransactionInvalid
	case subtle.ConstantTimeCompare([]byte(t.State), []byte(state)) != 1:
		return transaction{}, flow.ReasonStateMismatch
	case t.expired(h.clock()):
		return t, flow.ReasonTransactionExpired
	}
	return t, ""
}

// finish ends a login: with an answer of its own, or a refusal.
func (h *Handler) finish(w http.ResponseWriter, r *http.Request, a answer, t transaction, reason flow.Reason) flow.Refusal {
	switch reason {
	case "":
	case flow.ReasonKeyRing:
		return flow.Unavailable(flow.Callback, flow.ErrNoKeyRing, "")
	default:
		return flow.Refusal{Reason: reason, Kind: problem.LoginFailed, Detail: sayStartAgain}
	}
	if f := h.checkAnswer(r.Context(), a); f.Reason != "" {
		return f
	}
	if t.Silent && a.needsUser() {
		// Nobody is logged in there, which is what the page wanted to know (OIDC-14). A
		// session that is here has nothing to do with it.
		h.observer.Finished(flow.Callback, a.reason)
		h.goOn(w, t, "Not signed in")
		return flow.Refusal{}
	}
	switch {
	case a.failed:
		return errorAnswer(a.reason)
	case a.code == "":
		return flow.Refusal{Reason: flow.ReasonCodeMissing, Kind: problem.LoginFailed, Detail: sayNoParty}
	}
	value, f := h.logIn(r, a.code, t)
	if f.Reason != "" {
		return f
	}
	http.SetCookie(w, session.Cookie(value))
	h.observer.Finished(flow.Callback, flow.OK)
	h.goOn(w, t, "Signed in")
	return flow.Refusal{}
}

// checkAnswer looks at who sent an answer. Errors are checked like codes: they
// too may come from somebody else (ISS-03).
func (h *Handler) checkAnswer(ctx context.Context, a answer) flow.Refusal {
	advertised, err := h.provider.Advertised(ctx)
	if err != nil {
		return flow.Unavailable(flow.Callback, err, "")
	}
	if reason := checkISS(a, h.provider.Issuer(), advertised.ResponseIssuer); reason != "" {
		return flow.Refusal{Reason: reason, Kind: problem.LoginFailed, Detail: sayNoParty}
	}
	return flow.Refusal{}
}

// goOn sends the browser where the page wanted it.
func (h *Handler) goOn(w http.ResponseWriter, t transaction, title string) {
	http.SetCookie(w, endedChain(t.Chain, h.clock()))
	page.Write(w, http.StatusOK, page.Page{Title: title, Text: "One moment.", Next: t.ReturnTo, Link: t.ReturnTo, LinkText: "Continue"})
}
