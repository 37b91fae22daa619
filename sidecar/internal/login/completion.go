package login

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// logIn redeems a code and makes the session.
func (h *Handler) logIn(r *http.Request, code string, t transaction) (cookieValue string, f flow.Refusal) {
	ctx := r.Context()
	request, err := exchangeOf(code, t)
	if err != nil {
		return "", flow.Refusal{Reason: flow.ReasonTransactionInvalid, Err: err, Kind: problem.LoginFailed, Detail: sayStartAgain}
	}
	login, err := h.provider.Exchange(ctx, request)
	if err != nil {
		return "", notExchanged(err)
	}
	another := t.isAnother(userOf(login.Issuer, login.Subject))
	// The old session ends before there is a new one: nobody has two (GAP-03), and a
	// user's other sessions do not have to make room for one that is replaced.
	if err := h.endReplaced(r, t.Previous); err != nil {
		// It may live on, so its provider must not be told anything of this grant: at
		// some, revoking one takes the user's others along.
		return "", flow.Unavailable(flow.Callback, err, "")
	}
	if another {
		// Somebody else at the same browser, or an attack. It is neither the session
		// that was to be stepped up, which has ended, nor a login that anybody asked
		// for, so it is refused (STEP-08).
		h.discard(ctx, login.Tokens)
		return "", flow.Refusal{Reason: ReasonOtherUser, Kind: problem.LoginFailed, Detail: sayOtherUser}
	}
	claims, tooLarge := shownClaims(login.Claims, h.claims)
	if len(tooLarge) > 0 {
		h.logger.LogAttrs(ctx, slog.LevelWarn, "claims left out of the session: too large",
			slog.String("requestID", problem.RequestID(ctx)), slog.String("claims", strings.Join(tooLarge, " ")))
	}
	cookieValue, err = h.sessions.Create(ctx, session.Session{
		Issuer: login.Issuer, Subject: login.Subject, ProviderSID: login.SID, ACR: login.ACR, AuthTime: login.AuthTime,
		Claims: claims, Tokens: login.Tokens, Network: h.network(r),
	})
	if err != nil {
		h.discard(ctx, login.Tokens)
		return "", flow.Unavailable(flow.Callback, err, "")
	}
	return cookieValue, flow.Refusal{}
}

// exchangeOf is what the provider is asked, and what its answer has to fulfil
// beside what the policy demands of every login.
func exchangeOf(code string, t transaction) (provider.ExchangeRequest, error) {
	request := provider.ExchangeRequest{Code: code, CodeVerifier: t.Verifier, Nonce: t.Nonce,
		ACRValues: t.ACRValues, StartedAt: time.Unix(t.Created, 0)}
	if t.MaxAge != nil {
		age := time.Duration(*t.MaxAge) * time.Second
		request.MaxAge = &age
	}
	if len(t.Key) > 0 {
		var err error
		if request.Key, err = dpop.ParseKey(t.Key); err != nil {
			return provider.ExchangeRequest{}, err
		}
	}
	return request, nil
}

// endReplaced ends the sessions that a new one takes the place of: the one the
// browser brought and the one the login began with, which are the same unless
// the browser held the cookie back. They are never taken over (GAP-03). Their
// refresh tokens are not revoked, since at some providers that would take the
// new session's along. It returns an error if one may still be there.
func (h *Handler) endReplaced(r *http.Request, previous string) error {
	brought, _ := session.CookieFrom(r)
	for i, value := range []string{brought, previous} {
		if value == "" || i == 1 && value == brought {
			continue
		}
		old, err := h.sessions.Find(r.Context(), value)
		switch {
		case err == nil:
			err = h.sessions.End(r.Context(), old, session.EndReplaced)
		case errors.Is(err, session.ErrNone):
			err = nil
		case errors.Is(err, session.ErrUnreadable):
			// It opens for nobody, and its cookie is about to be replaced.
			h.logger.LogAttrs(r.Context(), slog.LevelWarn, "replaced session not ended",
				slog.String("requestID", problem.RequestID(r.Context())), slog.Any("error", err))
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
