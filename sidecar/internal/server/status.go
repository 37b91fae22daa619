package server

import (
	"context"
	"errors"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/admin"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
)

// statusTimeout bounds how long a status waits for what is outside.
const statusTimeout = time.Second

var errDraining = errors.New("the pod is about to end")

// checks are what readiness rests on. That there is a server at all means that
// there is a configuration.
func (s *Server) checks() []admin.Check {
	checks := []admin.Check{{Name: "configuration"}, {Name: "draining"}}
	if s.draining.Load() {
		checks[1].Err = errDraining
	}
	return checks
}

func (s *Server) status(ctx context.Context, report config.Report) admin.Status {
	g := s.acquire()
	defer g.release()
	policy := g.snapshot.Policy
	status := admin.Status{
		Version: s.Version, StartedAt: s.started.UTC(), Draining: s.draining.Load(),
		Policy:        admin.PolicyStatus{Name: policy.Name, Namespace: policy.Namespace, UID: string(policy.UID), Generation: policy.Generation},
		Configuration: admin.Configuration{Hash: g.snapshot.Hash, LoadedAt: report.Time.UTC()},
		Store:         admin.Dependency{Type: string(policy.Spec.Session.Store.Type)},
	}
	if report.Err != nil {
		status.Configuration.Error = report.Err.Error()
	}

	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	pinged := make(chan error, 1)
	go func() { pinged <- g.parts.sessions.store.Ping(ctx) }()
	// A failed discovery is not repeated at once, so asking for the status again
	// and again is no way to bother the provider.
	if err := g.parts.provider.client.Discover(ctx); err != nil {
		status.Provider.Error = string(provider.ReasonOf(err))
	} else {
		status.Provider.Ready = true
	}
	if offset, ok := g.parts.provider.client.ClockOffset(); ok {
		status.Provider.ClockOffset = offset.Round(time.Millisecond).String()
	}
	if err := <-pinged; err != nil {
		status.Store.Error = "unavailable"
	} else {
		status.Store.Ready = true
	}
	return status
}
