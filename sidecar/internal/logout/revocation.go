package logout

import (
	"context"
	"log/slog"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Revoke has the provider forget tokens that are of no use any more (RFC 7009),
// without making anybody wait. A provider that cannot do it now is asked again,
// not before the time it asked for (RFC 7009 section 2.2.1, REV-05). Of ctx it
// only takes the request's identifier.
func (h *Handler) Revoke(ctx context.Context, tokens token.Set) {
	if tokens.Refresh == "" && tokens.Access.Token == "" {
		return
	}
	id := slog.String("requestID", problem.RequestID(ctx))
	failed := func(reason flow.Reason, more ...slog.Attr) {
		h.refuser.Observer.Finished(flow.Revocation, reason)
		h.refuser.Logger.LogAttrs(context.Background(), slog.LevelWarn, "tokens not revoked",
			append(more, slog.String("reason", string(reason)), id)...)
	}
	var last error
	try := func(ctx context.Context) (again bool, pause time.Duration) {
		last = h.provider.Revoke(ctx, tokens)
		switch {
		case last == nil:
			h.refuser.Observer.Finished(flow.Revocation, flow.OK)
		case provider.ReasonOf(last) == provider.ReasonRevocationMissing:
			// Nothing was revoked, and nobody need be warned at every logout: what the
			// provider can do is logged with its metadata (REV-07).
			h.refuser.Observer.Finished(flow.Revocation, flow.ReasonOf(last))
		case provider.IsTemporary(last):
			return true, provider.RetryAfter(last)
		default:
			failed(flow.ReasonOf(last), slog.Any("error", last))
		}
		return false, 0
	}
	abandoned := func() {
		if last == nil { // it was never tried
			failed(flow.ReasonBusy)
			return
		}
		failed(flow.ReasonOf(last), slog.Any("error", last))
	}
	if !h.jobs.start(try, abandoned) {
		failed(flow.ReasonBusy)
	}
}
