package logout

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

const (
	// maxVerifying bounds how many logout tokens are verified at the same time:
	// anybody may send some, and each costs a signature.
	maxVerifying = 16
	// backChannelTime bounds a call, from its header on.
	backChannelTime = 10 * time.Second
)

// errBusy says that too many logout tokens are being verified.
var errBusy = errors.New("too many logout tokens at once")

// BackChannel ends sessions on the provider's word: POST backchannel-logout with
// a logout token (OpenID Connect Back-Channel Logout sections 2.5 to 2.8). The
// token is the only proof; no cookie or header is needed, and none counts.
//
// A token with a sid ends the session of that name, whatever sub it has beside
// it; one with a sub alone ends all sessions of that user (BCL-12). The tokens of
// these sessions are not revoked (BCL-14): they are sealed under cookies that are
// not here, and the provider, which has ended its session, needs no word of it.
func (h *Handler) BackChannel(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), backChannelTime)
	defer cancel()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		h.refuseProvider(w, r, http.StatusMethodNotAllowed, "Use POST.", flow.ReasonMethod, nil)
		return
	}
	raw, refused := logoutTokenIn(w, r)
	if refused != nil {
		h.refuseProvider(w, r, http.StatusBadRequest, refused.say, refused.reason, nil)
		return
	}
	logoutToken, err := h.verify(ctx, raw)
	switch {
	case errors.Is(err, errBusy):
		h.refuseProvider(w, r, http.StatusServiceUnavailable, "Too many logout tokens at once. Send it again later.", flow.ReasonBusy, err)
		return
	case provider.IsTemporary(err):
		// The provider's keys cannot be had. That is not the token's fault: 400 would
		// tell the provider that it is wrong, and to leave it at that.
		h.refuseProvider(w, r, http.StatusServiceUnavailable, "The provider's keys cannot be reached. Send the logout token again later.", flow.ReasonOf(err), err)
		return
	case err != nil:
		h.refuseProvider(w, r, http.StatusBadRequest, "The logout token is not valid: "+string(flow.ReasonOf(err))+".", flow.ReasonOf(err), err)
		return
	}
	ending := &ending{Handler: h, token: logoutToken}
	if err := ending.attempt(ctx); err != nil {
		// The token is right and the store is not there. Few providers send a token
		// twice, so this process keeps trying.
		h.keepTrying(ctx, ending)
		h.refuseProvider(w, r, http.StatusServiceUnavailable, "Sessions cannot be reached. They end as soon as they can be.", flow.ReasonOf(err), err)
		return
	}
	h.refuser.Observer.Finished(flow.BackChannel, ending.reason)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// verify verifies a logout token, if not too many others are being verified.
func (h *Handler) verify(ctx context.Context, raw string) (provider.LogoutToken, error) {
	select {
	case h.verifying <- struct{}{}:
		defer func() { <-h.verifying }()
	default:
		return provider.LogoutToken{}, errBusy
	}
	return h.provider.VerifyLogoutToken(ctx, raw)
}

// ending ends the sessions that a logout token is about. It is for one goroutine
// at a time.
type ending struct {
	*Handler
	token  provider.LogoutToken
	marked bool        // the token is marked as seen, perhaps by this ending
	reason flow.Reason // how it ended
}

// attempt returns an error if it should be made again.
func (e *ending) attempt(ctx context.Context) error {
	e.reason = flow.OK
	if e.token.SID != "" {
		// The provider uses a sid once, so that a token sent twice finds nothing more to
		// end: its jti need not be remembered.
		_, err := e.sessions.EndBySID(ctx, e.token.Issuer, e.token.SID, session.EndBackChannel)
		return err
	}
	// Sent again, this one would end sessions that have begun since (BCL-09).
	first, err := e.sessions.Once(ctx, "logout token\n"+e.token.Issuer+"\n"+e.token.JTI, max(e.token.Expiry.Sub(e.clock()), time.Second))
	if !first && err == nil && !e.marked {
		e.reason = flow.ReasonReplayed
		return nil
	}
	e.marked = true // also with an error: the answer may have been lost, and not the mark
	if err != nil {
		return err
	}
	_, err = e.sessions.EndBySubject(ctx, e.token.Issuer, e.token.Subject, session.EndBackChannel)
	return err
}

// keepTrying ends the sessions later.
func (h *Handler) keepTrying(ctx context.Context, e *ending) {
	id := slog.String("requestID", problem.RequestID(ctx))
	failed := func(reason flow.Reason) {
		h.refuser.Observer.Finished(flow.BackChannel, reason)
		h.refuser.Logger.LogAttrs(context.Background(), slog.LevelError, "the provider's logout was not carried out",
			slog.String("reason", string(reason)), id)
	}
	var last error
	try := func(ctx context.Context) (again bool, pause time.Duration) {
		if last = e.attempt(ctx); last != nil {
			return true, 0
		}
		h.refuser.Observer.Finished(flow.BackChannel, e.reason)
		return false, 0
	}
	if !h.jobs.start(try, func() { failed(flow.ReasonOf(last)) }) {
		failed(flow.ReasonBusy)
	}
}
