package idp

import (
	"context"
	"log/slog"
)

// EventKind says which endpoint or rule an event comes from.
type EventKind string

const (
	// EventAuthorize is an authorization request.
	EventAuthorize EventKind = "authorize"
	// EventLogin is a password submitted on the login page.
	EventLogin EventKind = "login"
	// EventCodeExchange is a token request with an authorization code.
	EventCodeExchange EventKind = "code_exchange"
	// EventRefresh is a token request with a refresh token.
	EventRefresh EventKind = "refresh"
	// EventReplay is a spent code or refresh token presented again. Its grant was revoked. The token request that
	// presented it has an event of its own.
	EventReplay EventKind = "replay"
	// EventRevoke is a revocation request (RFC 7009).
	EventRevoke EventKind = "revoke"
	// EventUserInfo is a UserInfo request.
	EventUserInfo EventKind = "userinfo"
	// EventEndSession is an RP-initiated logout.
	EventEndSession EventKind = "end_session"
)

// Event is one thing that happened. It never carries a token, code, state, cookie or password.
type Event struct {
	Kind     EventKind
	ClientID string // empty when the client is unknown
	Subject  string // empty when the user is unknown
	Error    string // an OAuth error code such as invalid_grant; empty on success
}

func (p *Provider) emit(ctx context.Context, e Event) {
	level := slog.LevelInfo
	if e.Error != "" || e.Kind == EventReplay {
		level = slog.LevelWarn
	}
	p.config.Logger.LogAttrs(ctx, level, "identity provider",
		slog.String("event", string(e.Kind)), slog.String("client", e.ClientID),
		slog.String("subject", e.Subject), slog.String("error", e.Error))
	if p.config.Events != nil {
		p.config.Events(e)
	}
}
