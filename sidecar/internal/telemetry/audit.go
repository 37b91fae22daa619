package telemetry

import (
	"context"
	"log/slog"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

// Event is something that happened to a login and that an auditor asks for.
type Event string

// The events.
const (
	EventLogin              Event = "login"
	EventLoginFailed        Event = "login_failed"
	EventLogout             Event = "logout"
	EventLogoutFailed       Event = "logout_failed"
	EventBackChannel        Event = "backchannel_logout"
	EventBackChannelFailed  Event = "backchannel_logout_failed"
	EventFrontChannel       Event = "frontchannel_logout"
	EventFrontChannelFailed Event = "frontchannel_logout_failed"
	EventRefreshed          Event = "token_refreshed"
	EventRefreshError       Event = "token_refresh_failed"
	EventSessionEnded       Event = "session_ended"
	// EventSessionMoved: a session was used from another network than it is bound
	// to. The reason says what came of it.
	EventSessionMoved Event = "session_moved"
)

// Audit writes audit events: lines of the log with the attribute audit. They
// name the request and never the user: who it was, the provider's own log
// says.
type Audit struct{ logger *slog.Logger }

// NewAudit makes an audit log.
func NewAudit(logger *slog.Logger) Audit { return Audit{logger.With(slog.Bool("audit", true))} }

// Write writes one event. reason comes from a fixed list and may be empty.
func (a Audit) Write(ctx context.Context, event Event, reason string) {
	attributes := []slog.Attr{slog.String("event", string(event))}
	if id := problem.RequestID(ctx); id != "" {
		attributes = append(attributes, slog.String("requestID", id))
	}
	if reason != "" {
		attributes = append(attributes, slog.String("reason", reason))
	}
	a.logger.LogAttrs(ctx, slog.LevelInfo, "audit", attributes...)
}
