package server

import (
	"net/http"

	"github.com/bff-operator/bff-operator/sidecar/internal/lane"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
)

func (s *Server) newLane() *lane.Lane {
	return lane.New(lane.Options{
		Answer: s.quick, IdleTimeout: clientIdleTimeout, HeaderTimeout: readHeaderTimeout, StallTimeout: stallTimeout,
	})
}

// quick answers a call that has only to be forwarded, as serve would. All others
// it leaves alone: a sidecar that drains answers none, since only net/http's
// answers ask for the connection to be closed.
func (s *Server) quick(w http.ResponseWriter, r *http.Request) bool {
	if s.draining.Load() {
		return false
	}
	g := s.acquire()
	defer g.release()
	path, err := proxy.ParseTarget(r.RequestURI, g.snapshot.PublicURL.Host)
	if err != nil {
		return false
	}
	target, err := g.table.Find(path)
	if err != nil || target.Class != proxy.ToRoute {
		return false
	}
	return g.ofRoutes[target.Route.Name].ServeIf(w, r, func(w http.ResponseWriter, r *http.Request) bool {
		defer s.recovered(w, r)
		return g.calls.Quick(w, r, target.Route, path)
	})
}
