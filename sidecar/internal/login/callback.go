package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Sentences for people. They say what to do, not what was tried.
const (
	sayStartAgain = "This login has expired, was used already, or was started in another browser. Nobody was logged in. Start again."
	sayNoParty    = "The answer of the identity provider was not accepted. Nobody was logged in. Start again, and if that does not help, tell whoever runs this site."
	sayDenied     = "The login was cancelled, or the identity provider did not allow it. Nobody was logged in."
	sayNotFetched = "The identity provider sends browsers to this address. It cannot be fetched or framed."
)

// Callback takes the identity provider's answer: GET callback, the redirect URI.
// It makes a session and sends the browser on.
//
// The answer is a page that goes on by itself, and not a redirect: a redirect
// would still belong to the navigation that the provider's site began, on which
// a browser does not send the SameSite=Strict cookie that was just set (COOK-08).
func (h *Handler) Callback(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet) {
		return
	}
	if !isNavigation(r.Header) {
		h.refuse(w, r, refusal{flow: FlowCallback, reason: ReasonNotNavigation, kind: problem.NotNavigation, detail: sayNotFetched})
		return
	}
	a, reason := parseAnswer(r.URL.RawQuery)
	var t transaction
	if a.state != "" {
		name := transactionCookieName(a.state)
		// Whatever comes of it, this transaction is over (SEC-05).
		http.SetCookie(w, expiredTransactionCookie(name))
		if reason == "" {
			t, reason = h.transactionOf(r, name, a.state)
		}
	} else if reason == "" {
		reason = ReasonTransactionMissing // that state is none of ours
	}
	again := h.loginURL(t.ReturnTo)
	if reason == ReasonKeyRing {
		h.refuse(w, r, unavailable(FlowCallback, errNoKeyRing, again))
		return
	}
	if reason != "" {
		h.refuse(w, r, refusal{flow: FlowCallback, reason: reason, kind: problem.LoginFailed, detail: sayStartAgain, again: again})
		return
	}
	if f := h.checkAnswer(r.Context(), a); f.reason != "" {
		f.flow, f.again = FlowCallback, again
		h.refuse(w, r, f)
		return
	}
	value, f := h.logIn(r.Context(), a.code, t)
	if f.reason != "" {
		f.flow, f.again = FlowCallback, again
		h.refuse(w, r, f)
		return
	}
	h.endReplaced(r, t.Previous)
	http.SetCookie(w, session.Cookie(value))
	h.observer.Finished(FlowCallback, OK)
	writeBouncePage(w, t.ReturnTo)
}

// transactionOf opens the transaction a state belongs to.
func (h *Handler) transactionOf(r *http.Request, name, state string) (transaction, Reason) {
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 { // of two, neither can be believed (COOK-06)
		return transaction{}, ReasonTransactionMissing
	}
	t, err := h.sealer.open(name, cookies[0].Value)
	switch {
	case errors.Is(err, errNoKeyRing):
		return transaction{}, ReasonKeyRing
	case err != nil:
		return transaction{}, ReasonTransactionInvalid
	case subtle.ConstantTimeCompare([]byte(t.State), []byte(state)) != 1:
		return transaction{}, ReasonStateMismatch
	case t.expired(h.clock()):
		return transaction{ReturnTo: t.ReturnTo}, ReasonTransactionExpired
	}
	return t, ""
}

// checkAnswer looks at an answer whose state is good. Errors are checked like
// codes: they too may come from somebody else (ISS-03).
func (h *Handler) checkAnswer(ctx context.Context, a answer) refusal {
	promised, err := h.provider.SendsIssuer(ctx)
	if err != nil {
		return unavailable(FlowCallback, err, "")
	}
	f := refusal{kind: problem.LoginFailed, detail: sayNoParty}
	switch f.reason = checkISS(a, h.provider.Issuer(), promised); {
	case f.reason != "":
	case a.denied:
		f.reason, f.detail = ReasonAccessDenied, sayDenied
	case a.failed:
		f.reason = ReasonProviderError
	case a.code == "":
		f.reason = ReasonCodeMissing
	}
	return f
}

// logIn redeems a code and makes the session.
func (h *Handler) logIn(ctx context.Context, code string, t transaction) (cookieValue string, f refusal) {
	login, err := h.provider.Exchange(ctx, code, t.Verifier, t.Nonce)
	switch {
	case errors.Is(err, provider.ErrUnavailable):
		return "", unavailable(FlowCallback, err, "")
	case err != nil:
		return "", refusal{reason: reasonOf(err), err: err, kind: problem.LoginFailed, detail: sayNoParty}
	}
	cookieValue, err = h.sessions.Create(ctx, session.Session{
		Issuer: login.Issuer, Subject: login.Subject, ProviderSID: login.SID,
		Claims: shownClaims(login.Claims), Tokens: login.Tokens,
	})
	if err != nil {
		return "", unavailable(FlowCallback, err, "")
	}
	return cookieValue, refusal{}
}

// endReplaced ends the sessions that a new one takes the place of: the one the
// browser brought and the one the login began with, which are the same unless
// the browser held the cookie back. They are never taken over (GAP-03). Their
// refresh tokens are not revoked, since at some providers that would take the
// new session's along.
func (h *Handler) endReplaced(r *http.Request, previous string) {
	brought, _ := session.CookieFrom(r)
	for i, value := range []string{brought, previous} {
		if value == "" || i == 1 && value == brought {
			continue
		}
		old, err := h.sessions.Find(r.Context(), value)
		if err == nil {
			err = h.sessions.End(r.Context(), old)
		}
		if err != nil && !errors.Is(err, session.ErrNone) {
			// The new session is there and its cookie takes the old one's place: the old
			// session ends by itself when it is idle.
			h.logger.LogAttrs(r.Context(), slog.LevelWarn, "replaced session not ended",
				slog.String("requestID", problem.RequestID(r.Context())), slog.Any("error", err))
		}
	}
}
