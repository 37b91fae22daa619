package subjects

import (
	"context"
	"crypto/rand"
	"embed"
	"path/filepath"

	"github.com/bff-operator/bff-operator/hack/bench/internal/process"
	"github.com/bff-operator/bff-operator/hack/bench/internal/world"
)

//go:embed files
var files embed.FS

// settings are what the templates of configuration files say.
type settings struct {
	Dir, Name, Address, Upstream, Redis, Issuer string
	Secret, CookieSecret                        string
	Modules                                     string
	Logs, RedisCache                            bool
}

func (s *Subject) settings(w *world.World) settings {
	return settings{
		Dir: w.Dir, Name: s.Name, Address: s.Address, Upstream: w.Upstream, Redis: w.Redis, Issuer: w.Person.Issuer,
		Secret: s.secret, CookieSecret: (rand.Text() + rand.Text())[:32],
	}
}

// configure writes a configuration file and returns its path.
func (s *Subject) configure(w *world.World, template string, values settings) (string, error) {
	path := filepath.Join(w.Dir, s.Name+"-"+template)
	return path, world.Render(files, "files/"+template, path, values)
}

func startNGINX(_ context.Context, s *Subject, w *world.World) (*process.Process, error) {
	path, err := s.configure(w, "nginx.conf", s.settings(w))
	if err != nil {
		return nil, err
	}
	return process.Start(w.Dir, s.Name, nil, "nginx", "-p", w.Dir, "-e", filepath.Join(w.Dir, s.Name+"-error.log"), "-c", path)
}

func startHAProxy(_ context.Context, s *Subject, w *world.World) (*process.Process, error) {
	path, err := s.configure(w, "haproxy.cfg", s.settings(w))
	if err != nil {
		return nil, err
	}
	return process.Start(w.Dir, s.Name, nil, "haproxy", "-db", "-f", path)
}

func startReverseProxy(binary string) func(context.Context, *Subject, *world.World) (*process.Process, error) {
	return func(_ context.Context, s *Subject, w *world.World) (*process.Process, error) {
		return process.Start(w.Dir, s.Name, nil, binary, "-listen", s.Address, "-upstream", w.Upstream)
	}
}

func startOAuth2Proxy(binary string, logs bool) func(context.Context, *Subject, *world.World) (*process.Process, error) {
	return func(_ context.Context, s *Subject, w *world.World) (*process.Process, error) {
		values := s.settings(w)
		values.Logs = logs
		main, err := s.configure(w, "oauth2-proxy.cfg", values)
		if err != nil {
			return nil, err
		}
		alpha, err := s.configure(w, "oauth2-proxy.yaml", values)
		if err != nil {
			return nil, err
		}
		return process.Start(w.Dir, s.Name, nil, binary, "--config", main, "--alpha-config", alpha)
	}
}

// ApacheModules is where Debian keeps them.
const ApacheModules = "/usr/lib/apache2/modules"

func startApache(redis bool) func(context.Context, *Subject, *world.World) (*process.Process, error) {
	return func(_ context.Context, s *Subject, w *world.World) (*process.Process, error) {
		values := s.settings(w)
		values.Modules, values.RedisCache = ApacheModules, redis
		path, err := s.configure(w, "apache.conf", values)
		if err != nil {
			return nil, err
		}
		return process.Start(w.Dir, s.Name, nil, "apache2", "-f", path, "-DFOREGROUND")
	}
}
