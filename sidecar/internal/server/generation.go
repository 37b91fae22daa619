package server

import (
	"fmt"
	"net/http"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/login"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

// Values of the metrics' label route that are not a route's name. Those have no
// underscore.
const (
	labelApplication = "_application"
	labelNone        = "_none"
)

// generation is everything that answers requests under one snapshot. It is
// immutable. It is held by the server while it is in force and by every
// request that began with it.
type generation struct {
	*counted
	snapshot    *config.Snapshot
	table       *proxy.Table
	peers       peers
	parts       loginParts
	logout      *logoutPart
	streams     *streamsPart
	calls       *proxy.Calls
	application *proxy.Application
	endpoints   map[string]destination // by what follows the base path

	// Counters, by what they count.
	ofRoutes      map[string]*telemetry.Requests
	ofApplication *telemetry.Requests
	ofNothing     *telemetry.Requests
}

// build makes the generation of a snapshot. It takes over from the one in force
// what the change does not concern.
func (s *Server) build(snapshot *config.Snapshot, old *generation) (*generation, error) {
	peers := peersOf(snapshot, old)
	next, err := s.assemble(snapshot, old, peers)
	if err != nil {
		peers.release()
	}
	return next, err
}

func (s *Server) assemble(snapshot *config.Snapshot, old *generation, peers peers) (*generation, error) {
	spec := &snapshot.Policy.Spec
	table, err := proxy.NewTable(spec.Endpoints.BasePath, spec.Routes, func(r *v1alpha1.Route) http.RoundTripper {
		return s.transport(snapshot, peers, r)
	})
	if err != nil {
		return nil, fmt.Errorf("compile routes: %w", err)
	}
	g, err := gate.New(snapshot.Origin())
	if err != nil {
		return nil, fmt.Errorf("build gate: %w", err)
	}
	parts, err := s.loginParts(snapshot, old)
	if err != nil {
		return nil, err
	}

	common := proxy.Common{
		Sessions: parts.sessions.sessions, Gate: g, Binding: parts.sessions.binding, TrustedProxies: snapshot.TrustedProxies,
		Public: snapshot.PublicURL, LoginURL: spec.Endpoints.BasePath + "/login", Clock: s.Clock, Logger: s.Logger,
	}
	next := &generation{
		snapshot: snapshot, table: table, peers: peers, parts: parts,
		logout: s.newLogout(snapshot, parts, old), streams: s.newStreams(snapshot, parts.sessions, old),
		calls: proxy.NewCalls(proxy.CallsOptions{
			Common: common, Refresh: s.refresh(parts.provider.client), Nonces: &s.nonces,
			StepUp: spec.Login.AllowedParameters, Ended: s.sessionEnded,
		}),
		application: proxy.NewApplication(proxy.ApplicationOptions{
			Common: common, Transport: s.application, Address: snapshot.ApplicationAddress,
			RequireLogin: spec.Application.RequireLogin, ReturnTo: returnTo(spec.Endpoints.BasePath),
		}),
		ofRoutes:      make(map[string]*telemetry.Requests, len(spec.Routes)),
		ofApplication: s.Metrics.Requests(labelApplication),
		ofNothing:     s.Metrics.Requests(labelNone),
	}
	next.endpoints = s.endpoints(next, g, &common)
	for _, r := range spec.Routes {
		next.ofRoutes[r.Name] = s.Metrics.Requests(r.Name)
	}
	next.counted = newCounted(func() {
		if s.current.Load().logout != next.logout {
			s.retire(next.logout)
		}
		parts.sessions.release()
		peers.release()
	})
	return next, nil
}

// returnTo is where a login may come back to. What it would refuse is replaced
// by the home page: a browser that is sent to the login has to get there.
func returnTo(basePath string) func(string) string {
	return func(target string) string {
		path, err := login.ReturnTo(target, basePath)
		if err != nil {
			return "/"
		}
		return path
	}
}

// destination is what answers one request, and what counts it.
type destination struct {
	requests *telemetry.Requests
	serve    http.HandlerFunc
}

// dispatch reads the request's target once and decides by it alone. Neither
// Host nor any other header has a say (BFF-32).
func (g *generation) dispatch(r *http.Request) destination {
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		return destination{g.ofNothing, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
			problem.MethodNotAllowed.Write(w, r, "This method is never forwarded.")
		}}
	}
	path, err := proxy.ParseTarget(r.RequestURI, g.snapshot.PublicURL.Host)
	if err != nil {
		return g.badPath(err)
	}
	target, err := g.table.Find(path)
	if err != nil {
		return g.badPath(err)
	}
	switch target.Class {
	case proxy.ToEndpoint:
		if e, ok := g.endpoints[target.Endpoint]; ok {
			return e
		}
		return destination{g.ofNothing, func(w http.ResponseWriter, r *http.Request) {
			problem.NotFound.Write(w, r, "There is no such endpoint.")
		}}
	case proxy.ToRoute:
		return destination{g.ofRoutes[target.Route.Name], func(w http.ResponseWriter, r *http.Request) {
			g.calls.Serve(w, r, target.Route, path)
		}}
	default:
		return destination{g.ofApplication, func(w http.ResponseWriter, r *http.Request) {
			g.application.Serve(w, r, path)
		}}
	}
}

func (g *generation) badPath(err error) destination {
	return destination{g.ofNothing, func(w http.ResponseWriter, r *http.Request) {
		problem.BadPath.Write(w, r, err.Error())
	}}
}
