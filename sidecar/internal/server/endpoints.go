package server

import (
	"net/http"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/login"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

func (s *Server) newLogin(snapshot *config.Snapshot, parts loginParts) *login.Handler {
	return login.New(login.Options{
		Provider: parts.provider.client, Sessions: parts.sessions.sessions,
		Ring:      func() *keyring.Ring { return s.inForce(snapshot).Ring },
		PublicURL: snapshot.PublicURL, BasePath: snapshot.Policy.Spec.Endpoints.BasePath,
		Clock: s.Clock, Logger: s.Logger, Observer: observer{s.Metrics},
	})
}

// endpoints are found by what follows the base path. Those that browsers
// navigate to come from anywhere and look after themselves; the others must
// show that our own page calls.
func (s *Server) endpoints(h *login.Handler, g *gate.Gate) map[string]destination {
	submit := g.Require(gate.Submit, http.HandlerFunc(h.Logout))
	logout := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // a link, which must know the session's sid
			h.Logout(w, r)
			return
		}
		submit.ServeHTTP(w, r)
	}
	counted := func(label string, serve http.HandlerFunc) destination {
		return destination{s.Metrics.Requests(label), serve}
	}
	return map[string]destination{
		"/login":    counted("_login", h.Login),
		"/callback": counted("_callback", s.audited(h.Callback, telemetry.EventLogin, telemetry.EventLoginFailed)),
		"/session":  counted("_session", g.Require(gate.Fetch, http.HandlerFunc(h.Session)).ServeHTTP),
		"/logout":   counted("_logout", s.audited(logout, telemetry.EventLogout, telemetry.EventLogoutFailed)),
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

// observer counts how login flows end.
type observer struct{ metrics *telemetry.Metrics }

// Finished implements login.Observer.
func (o observer) Finished(flow login.Flow, reason login.Reason) {
	failure := string(reason)
	if reason == login.OK {
		failure = ""
	}
	switch flow {
	case login.FlowLogin:
		if failure != "" { // the others are not over
			o.metrics.Login(failure)
		}
	case login.FlowCallback:
		o.metrics.Login(failure)
	case login.FlowLogout:
		o.metrics.Logout(failure)
	case login.FlowRevocation:
		o.metrics.Revocation(failure)
	case login.FlowSession: // a question, and no event
	}
}
