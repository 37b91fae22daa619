package login

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Login sends the browser to the identity provider: GET login?returnTo=/path.
// It is for navigations, since a script could not follow it anywhere.
func (h *Handler) Login(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet) {
		return
	}
	if !isNavigation(r.Header) {
		h.refuse(w, r, refusal{flow: FlowLogin, reason: ReasonNotNavigation, kind: problem.NotNavigation,
			detail: "Let the browser go to this address, for example by location.assign(). It cannot be fetched or framed."})
		return
	}
	returnTo, err := returnToOf(r.URL.RawQuery, h.basePath)
	if err != nil {
		h.refuse(w, r, refusal{flow: FlowLogin, reason: ReasonReturnTo, kind: problem.BadReturnTo, again: h.loginURL(""),
			detail: "The parameter returnTo must stand there once, and be a path of this site, such as /orders?page=2."})
		return
	}

	t := transaction{
		State: random(), Nonce: random(), Verifier: random(),
		ReturnTo: returnTo, Created: h.clock().Unix(),
	}
	t.Previous, _ = session.CookieFrom(r)
	target, err := h.provider.AuthorizationURL(r.Context(), provider.AuthorizationRequest{
		State: t.State, Nonce: t.Nonce, CodeVerifier: t.Verifier})
	if err != nil {
		h.refuse(w, r, unavailable(FlowLogin, err, h.loginURL(returnTo)))
		return
	}
	name := transactionCookieName(t.State)
	value, err := h.sealer.seal(name, t)
	if err != nil {
		h.refuse(w, r, unavailable(FlowLogin, err, h.loginURL(returnTo)))
		return
	}
	for _, old := range evict(h.sealer.pendingIn(r), len(name)+len(value), h.clock()) {
		http.SetCookie(w, expiredTransactionCookie(old))
	}
	http.SetCookie(w, transactionCookie(name, value))
	h.observer.Finished(FlowLogin, OK)
	seeOther(w, target)
}

// returnToOf finds returnTo in a query.
func returnToOf(rawQuery, basePath string) (string, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil || len(query["returnTo"]) > 1 {
		return "", ErrReturnTo
	}
	return ReturnTo(query.Get("returnTo"), basePath)
}

// random is 256 random bits in base64url: a state, a nonce, or a code verifier
// (RFC 7636 section 4.1).
func random() string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// seeOther redirects without a body, which would repeat what is in the URL.
func seeOther(w http.ResponseWriter, target string) {
	h := w.Header()
	h.Set("Location", target)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusSeeOther)
}
