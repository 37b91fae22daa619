package server

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/events"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/login"
	"github.com/bff-operator/bff-operator/sidecar/internal/logout"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

func (s *Server) newLogin(snapshot *config.Snapshot, parts loginParts) *login.Handler {
	spec := &snapshot.Policy.Spec
	return login.New(login.Options{
		Provider: parts.provider.client, Sessions: parts.sessions.sessions,
		Ring:      func() *keyring.Ring { return s.inForce(snapshot).Ring },
		PublicURL: snapshot.PublicURL, BasePath: spec.Endpoints.BasePath,
		Login: spec.Login, ResponseMode: spec.Provider.ResponseMode, Claims: spec.Session.Claims,
		Network: networkOf(snapshot), Discard: s.discard(spec.Provider.IssuerURL),
		Clock: s.Clock, Logger: s.Logger, Observer: observer{s.Metrics},
	})
}

// logoutPart is the logouts, and what they still have to tell the provider.
type logoutPart struct {
	*logout.Handler
	key   string
	parts loginParts
}

// newLogout makes the logouts of a snapshot, or takes those of the generation in
// force if nothing of theirs has changed.
func (s *Server) newLogout(snapshot *config.Snapshot, parts loginParts, old *generation) *logoutPart {
	spec := &snapshot.Policy.Spec
	key := keyOf(spec.PublicURL, spec.Endpoints.BasePath, spec.Logout)
	if old != nil && old.logout.key == key && old.logout.parts == parts {
		return old.logout
	}
	return &logoutPart{key: key, parts: parts, Handler: logout.New(logout.Options{
		Provider: parts.provider.client, Sessions: parts.sessions.sessions,
		PublicURL: snapshot.PublicURL, BasePath: spec.Endpoints.BasePath,
		IDTokenHint: spec.Logout.IDTokenHint, FrontChannel: spec.Logout.FrontChannel,
		Clock: s.Clock, Logger: s.Logger, Observer: observer{s.Metrics},
	})}
}

// retire has logouts that are no longer in force come to an end.
func (s *Server) retire(l *logoutPart) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		s.shutDownLogout(ctx, l)
	}()
}

func (s *Server) shutDownLogout(ctx context.Context, l *logoutPart) {
	if err := l.Shutdown(ctx); err != nil {
		s.Logger.WarnContext(ctx, "refresh tokens were not revoked in time", slog.Any("error", err))
	}
}

// streamsPart is the streams of session events.
type streamsPart struct {
	*events.Handler
	basePath string
	of       *sessionsPart
	end      func() // all of them
}

// newStreams makes the streams of a snapshot, or takes those of the generation
// in force, whose bounds hold on, if they are of the same sessions.
func (s *Server) newStreams(snapshot *config.Snapshot, of *sessionsPart, old *generation) *streamsPart {
	basePath := snapshot.Policy.Spec.Endpoints.BasePath
	if old != nil && old.streams.of == of && old.streams.basePath == basePath {
		return old.streams
	}
	ctx, end := context.WithCancel(s.leaving)
	return &streamsPart{basePath: basePath, of: of, end: end, Handler: events.New(events.Options{
		Sessions: of.sessions, BasePath: basePath, Draining: ctx.Done(),
		Clock: s.Clock, Logger: s.Logger, Observer: observer{s.Metrics},
	})}
}

// endpoints are found by what follows the base path. Those that browsers
// navigate to come from anywhere and look after themselves, and so do those
// that the provider calls: they believe a signed token, or a name that only the
// provider knows. The others must show that our own page calls.
func (s *Server) endpoints(of *generation, g *gate.Gate, common *proxy.Common) map[string]destination {
	in := s.newLogin(of.snapshot, of.parts)
	out := of.logout

	submit := g.Require(gate.Submit, http.HandlerFunc(out.Logout))
	leave := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // a link, which must know the session's sid
			out.Logout(w, r)
			return
		}
		submit.ServeHTTP(w, r)
	}
	counted := func(label string, serve http.HandlerFunc) destination {
		return destination{s.Metrics.Requests(label), serve}
	}
	return map[string]destination{
		"/login":           counted("_login", in.Login),
		"/callback":        counted("_callback", s.audited(in.Callback, telemetry.EventLogin, telemetry.EventLoginFailed)),
		"/session":         counted("_session", g.Require(gate.Fetch, common.Bound(http.HandlerFunc(in.Session))).ServeHTTP),
		"/events":          counted("_events", g.Require(gate.Call, common.Bound(of.streams)).ServeHTTP),
		"/logout":          counted("_logout", s.audited(leave, telemetry.EventLogout, telemetry.EventLogoutFailed)),
		"/logout/continue": counted("_logout_continue", out.Continue),
		"/backchannel-logout": counted("_backchannel_logout",
			s.audited(out.BackChannel, telemetry.EventBackChannel, telemetry.EventBackChannelFailed)),
		"/frontchannel-logout": counted("_frontchannel_logout",
			s.audited(out.FrontChannel, telemetry.EventFrontChannel, telemetry.EventFrontChannelFailed)),
	}
}

// audited writes an audit event for every request, by how it was answered. Why
// one failed stands in the log under the same request identifier.
func (s *Server) audited(next http.HandlerFunc, done, failed telemetry.Event) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		next(w, r)
		event := failed
		if answered, ok := w.(interface{ Status() int }); ok && answered.Status() < http.StatusBadRequest {
			event = done
		}
		s.audit.Write(r.Context(), event, "")
	}
}

// observer counts how flows end.
type observer struct{ metrics *telemetry.Metrics }

// Finished implements flow.Observer.
func (o observer) Finished(f flow.Flow, reason flow.Reason) {
	failure := string(reason)
	if reason == flow.OK {
		failure = ""
	}
	switch f {
	case flow.Login:
		if failure != "" { // the others are not over
			o.metrics.Login(failure)
		}
	case flow.Callback:
		o.metrics.Login(failure)
	case flow.Logout, flow.BackChannel, flow.FrontChannel, flow.Continue:
		o.metrics.Logout(string(f), failure)
	case flow.Revocation:
		o.metrics.Revocation(failure)
	case flow.Events:
		o.metrics.EventStream(failure)
	case flow.Session: // a question, and no event
	}
}
