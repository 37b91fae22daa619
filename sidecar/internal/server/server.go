package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
	"github.com/bff-operator/bff-operator/sidecar/internal/upstream"
)

// Options make a Server. The zero value of each but Metrics means its default.
type Options struct {
	// Version is shown in the status.
	Version string
	// Metrics counts. Required.
	Metrics *telemetry.Metrics
	// Logger is told what happens. Default: nothing is logged.
	Logger *slog.Logger
	// Clock tells the time. Default: time.Now.
	Clock func() time.Time
	// Random is where cookies, states and nonces come from. Default: crypto/rand.
	Random io.Reader
}

// Server answers browsers. It is safe for concurrent use.
type Server struct {
	Options
	audit       telemetry.Audit
	started     time.Time
	routes      *upstream.Client // of all routes with nothing of their own
	application *upstream.Client
	nonces      dpop.Nonces // of upstreams
	current     atomic.Pointer[generation]
	draining    atomic.Bool
	leaving     context.Context // ends when streams of session events are to go elsewhere
	leave       func()          // ends it
}

// New makes a server for a configuration.
func New(snapshot *config.Snapshot, o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	leaving, leave := context.WithCancel(context.Background())
	s := &Server{
		Options: o, audit: telemetry.NewAudit(o.Logger), started: o.Clock(),
		routes: proxy.NewTransport(proxy.Peer{}), application: proxy.NewApplicationTransport(),
		leaving: leaving, leave: leave,
	}
	first, err := s.build(snapshot, nil)
	if err != nil {
		return nil, err
	}
	s.current.Store(first)
	o.Metrics.ClockOffset(func() (time.Duration, bool) { return s.current.Load().parts.provider.client.ClockOffset() })
	return s, nil
}

// Apply puts another configuration in force. If that fails the one before it
// stays. It must not be called from two goroutines at once.
func (s *Server) Apply(snapshot *config.Snapshot) error {
	old := s.current.Load()
	next, err := s.build(snapshot, old)
	if err != nil {
		return fmt.Errorf("apply configuration: %w", err)
	}
	s.current.Store(next)
	if old.streams != next.streams {
		old.streams.end() // who listens asks again, and hears of what is in force now
	}
	old.release() // closes what only it used, once its requests have ended
	return nil
}

// Close waits for what goes on after answers were sent (refreshes, revocations),
// but not longer than ctx lets it, and gives everything back. No request may
// come any more.
func (s *Server) Close(ctx context.Context) {
	g := s.current.Load()
	s.drainSessions(ctx, g.parts.sessions.sessions)
	s.shutDownLogout(ctx, g.logout)
	g.release()
	s.routes.CloseIdleConnections()
	s.application.CloseIdleConnections()
}

// Drain makes the sidecar leave service without breaking anything: it is not
// ready any more and asks every client to close its connection after the
// answer, so that the next request goes elsewhere. It keeps serving; only
// streams of session events end, and pages listen elsewhere.
func (s *Server) Drain() {
	if s.draining.CompareAndSwap(false, true) {
		s.Metrics.Draining()
		s.leave()
		s.Logger.Info("draining: not ready any more, still serving")
	}
}

// Handler answers browsers.
func (s *Server) Handler() http.Handler {
	return problem.Identify(patiently(http.HandlerFunc(s.serve)))
}

// acquire returns the generation in force, which stays whole until it is
// released.
func (s *Server) acquire() *generation {
	for {
		if g := s.current.Load(); g.retain() {
			return g
		}
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	g := s.acquire()
	defer g.release()
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	where := g.dispatch(r)
	where.requests.Serve(w, r, func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered(w, r)
		where.serve(w, r)
	})
}

// recovered turns a defect into a problem, if nothing was answered yet, and
// else into a broken connection, so that nobody takes half an answer for a
// whole one.
func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	// What was thrown may hold anything; where it was thrown helps more.
	s.Logger.ErrorContext(r.Context(), "panic while answering a request", slog.String("requestID", problem.RequestIDOf(w)),
		slog.String("type", fmt.Sprintf("%T", v)), slog.String("stack", string(debug.Stack())))
	if answered, ok := w.(interface{ Status() int }); !ok || answered.Status() != 0 {
		panic(http.ErrAbortHandler)
	}
	problem.Internal.Write(w, r, "This is a defect of the sidecar. Its log has more under this request's identifier.")
}
