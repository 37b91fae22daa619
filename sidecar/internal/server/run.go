package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bff-operator/bff-operator/sidecar/internal/admin"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

const (
	// maxRequestHeader bounds a request's header. Browsers send a few KiB; pending
	// logins and an application's cookies add some more (COOK-11).
	maxRequestHeader = 64 << 10
	// readHeaderTimeout bounds the wait for a request's header, from its first
	// byte.
	readHeaderTimeout = 10 * time.Second
	// clientIdleTimeout is longer than load balancers keep idle connections (600 s
	// at most), so that none sends a request into a connection we just closed.
	clientIdleTimeout = 620 * time.Second
	// endTimeout is what requests in flight get once the process is told to end.
	// Draining has taken the pod out of service long before.
	endTimeout = 2 * time.Second
	// closeTimeout is what renewed tokens get to reach the store.
	closeTimeout = 3 * time.Second
)

// RunOptions say where to listen and what to serve. All of them are required.
type RunOptions struct {
	Source  *config.Source
	Traffic net.Listener
	Admin   net.Listener
	Options
}

// Run serves until ctx ends, then gives requests in flight a moment and returns
// nil, or returns earlier with the reason it could not go on. It closes the
// listeners.
func Run(ctx context.Context, o RunOptions) error {
	s, err := New(o.Source.Current(), o.Options)
	if err != nil {
		o.Traffic.Close()
		o.Admin.Close()
		return err
	}
	s.reloaded(o.Source, o.Source.Report())
	traffic := httpServer(s.Handler(), s.Logger, clientIdleTimeout)
	fast := s.newLane()
	traffic.ConnState = fast.ConnState
	adminServer := httpServer(patiently(s.adminHandler(o.Source)), s.Logger, time.Minute)

	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(traffic, fast.Listen(o.Traffic)) })
	group.Go(func() error {
		fast.Run(serving)
		return nil
	})
	group.Go(func() error { return serve(adminServer, o.Admin) })
	group.Go(func() error {
		o.Source.Run(serving, s.Apply, func(r config.Report) { s.reloaded(o.Source, r) })
		return nil
	})
	group.Go(func() error {
		<-serving.Done()
		s.leave()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		shutDown(end, traffic)
		fast.Shutdown(end)
		shutDown(end, adminServer)
		return nil
	})
	s.Logger.Info("serving", slog.String("version", s.Version), slog.String("traffic", o.Traffic.Addr().String()),
		slog.String("admin", o.Admin.Addr().String()), slog.String("publicURL", s.current.Load().snapshot.Origin()))
	s.warmUp(serving)
	err = group.Wait()

	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	s.Close(end)
	return err
}

// warmUp asks the provider for its metadata, so that the first login need not
// wait and a wrong issuer shows in the log. Nothing depends on the outcome.
func (s *Server) warmUp(ctx context.Context) {
	client := s.current.Load().parts.provider.client
	go func() { _ = client.Discover(ctx) }() // it logs what goes wrong
}

func httpServer(handler http.Handler, logger *slog.Logger, idle time.Duration) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler: handler, Protocols: protocols, MaxHeaderBytes: maxRequestHeader,
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idle,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

func serve(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

func shutDown(ctx context.Context, server *http.Server) {
	if server.Shutdown(ctx) != nil {
		_ = server.Close() // time is up: cut what is left
	}
}

// reloaded reports a reading of the configuration.
func (s *Server) reloaded(source *config.Source, r config.Report) {
	policy := source.Current().Policy
	s.Metrics.Reloaded(r.Err == nil, r.Time, policy.Generation)
	if r.Err != nil {
		s.Logger.Error("configuration could not be used; the one before stays in force", slog.Any("error", r.Err))
		return
	}
	s.Logger.Info("configuration in force", slog.String("policy", policy.Namespace+"/"+policy.Name),
		slog.Int64("generation", policy.Generation), slog.String("hash", source.Current().Hash))
}

func (s *Server) adminHandler(source *config.Source) http.Handler {
	return admin.New(admin.Options{
		Checks:  s.checks,
		Status:  func(r *http.Request) admin.Status { return s.status(r.Context(), source.Report()) },
		Metrics: s.Metrics.Handler(),
		Drain:   s.Drain,
	})
}

func (s *Server) sessionEnded(ctx context.Context) {
	s.Metrics.SessionsEnded(1, string(session.EndRefused))
	s.audit.Write(ctx, telemetry.EventSessionEnded, string(session.EndRefused))
}
