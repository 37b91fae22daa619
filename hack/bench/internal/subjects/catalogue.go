package subjects

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/bff-operator/bff-operator/hack/bench/internal/process"
)

// Names of the subjects. Sidecar stands for all builds that are compared.
const (
	Upstream     = "upstream"
	NGINX        = "nginx"
	HAProxy      = "haproxy"
	ReverseProxy = "reverseproxy"
	Sidecar      = "sidecar"
	OAuth2Proxy  = "oauth2-proxy"
	OAuth2Logs   = "oauth2-proxy-logs"
	ApacheShm    = "apache-shm"
	ApacheRedis  = "apache-redis"
)

// Names are all, in the order of the table.
var Names = []string{Upstream, NGINX, HAProxy, ReverseProxy, Sidecar, OAuth2Proxy, OAuth2Logs, ApacheShm, ApacheRedis}

// Build is a bff-sidecar to compare.
type Build struct {
	Name, Path string
	// Under is a command that runs the sidecar, such as an emulator, nil for none.
	Under []string
	// Env is beside what the operator sets in a pod.
	Env []string
}

// Programs are the binaries that no package of the distribution brings.
type Programs struct {
	Sidecars                  []Build
	OAuth2Proxy, ReverseProxy string
}

// New makes the subjects that names mean. They are not started.
func New(names []string, programs Programs) ([]*Subject, error) {
	var all []*Subject
	for _, name := range names {
		if !slices.Contains(Names, name) {
			return nil, fmt.Errorf("there is no subject %q: choose from %v", name, Names)
		}
		if name == Sidecar {
			for _, build := range programs.Sidecars {
				all = append(all, ours(build))
			}
			continue
		}
		all = append(all, peer(name, programs))
	}
	for i, s := range all {
		if slices.ContainsFunc(all[:i], func(o *Subject) bool { return o.Name == s.Name }) {
			return nil, fmt.Errorf("two subjects are called %q", s.Name)
		}
		var err error
		if s.Address, err = process.FreeAddress(); err != nil {
			return nil, err
		}
		s.secret = rand.Text()
	}
	return all, nil
}

func peer(name string, programs Programs) *Subject {
	s := &Subject{Name: name}
	switch name {
	case Upstream:
		s.Title = "the upstream alone (nginx, 2 workers)"
	case NGINX:
		s.Title, s.start = "nginx proxy_pass, 1 worker, no authentication", startNGINX
	case HAProxy:
		s.Title, s.start = "haproxy, 1 thread, no authentication", startHAProxy
	case ReverseProxy:
		s.Title, s.start = "Go httputil.ReverseProxy, tuned Transport, no authentication", startReverseProxy(programs.ReverseProxy)
	case OAuth2Proxy:
		s.Title, s.start = "oauth2-proxy, Redis, request and auth logs off", startOAuth2Proxy(programs.OAuth2Proxy, false)
		s.login, s.callback = "/oauth2/start", "/oauth2/callback"
	case OAuth2Logs:
		s.Title, s.start = "oauth2-proxy, Redis, default logs", startOAuth2Proxy(programs.OAuth2Proxy, true)
		s.login, s.callback = "/oauth2/start", "/oauth2/callback"
	case ApacheShm:
		s.Title, s.start = "Apache + mod_auth_openidc, shm cache (one machine only)", startApache(false)
		s.login, s.callback = "/", "/callback"
	case ApacheRedis:
		s.Title, s.start = "Apache + mod_auth_openidc, Redis cache", startApache(true)
		s.login, s.callback = "/", "/callback"
	}
	return s
}
