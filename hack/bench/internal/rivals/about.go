package rivals

import (
	"context"
	"slices"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/machine"
	"github.com/bff-operator/bff-operator/hack/bench/internal/prepare"
	"github.com/bff-operator/bff-operator/hack/bench/internal/subjects"
	"github.com/bff-operator/bff-operator/hack/bench/internal/table"
)

// method is what every report says.
var method = []string{
	"The call: GET with 12 header fields as a page's script sends them and a session cookie between two others, over HTTP/1.1 connections that stay open; the answer is 1 KiB of JSON.",
	"Subjects with sessions are logged in to by the authorization code flow with PKCE at one OpenID provider. Before the run each has proved that the upstream gets `Authorization: Bearer` with an access token that the provider takes, and that a call without a cookie is refused.",
	"The upstream refuses calls to subjects with sessions that bring no Authorization. Every call of every window was answered with 2xx, and the upstream's own count says that it arrived there once; otherwise there would be no report.",
	"Everything runs on this machine over loopback: load, proxies, upstream, Redis. Compare figures of one report with each other, not with those of another machine.",
	"CPU is user and system time of the subject's processes, by the kernel's count (steps of 10 ms), over the requests that were answered. RSS adds up the processes of a subject, so that what they share counts more than once.",
	"Figures are medians, with the smallest and the largest in parentheses. In each round all subjects take turns, backwards in every second round, each after a second of warm-up.",
	"Kind to others: no access logs, connections that stay open, pools of 512 connections to the upstream where that can be set.",
}

// needs are what Debian's packages bring.
func (s settings) needs() []prepare.Need {
	needs := []prepare.Need{{What: "nginx", Package: "nginx"}, {What: "redis-server", Package: "redis-server"}, {What: "wrk", Package: "wrk"}}
	if slices.Contains(s.subjects, subjects.HAProxy) {
		needs = append(needs, prepare.Need{What: "haproxy", Package: "haproxy"})
	}
	if slices.Contains(s.subjects, subjects.ApacheShm) || slices.Contains(s.subjects, subjects.ApacheRedis) {
		needs = append(needs, prepare.Need{What: "apache2", Package: "apache2"},
			prepare.Need{What: subjects.ApacheModules + "/mod_auth_openidc.so", Package: "libapache2-mod-auth-openidc"})
	}
	return needs
}

// prepare installs and builds what the subjects need.
func (s settings) prepare(ctx context.Context, dir string, say say) (p subjects.Programs, err error) {
	say("install and build what is missing")
	if err := prepare.Packages(ctx, s.needs()); err != nil {
		return p, err
	}
	p.Sidecars = s.builds
	if slices.Contains(s.subjects, subjects.Sidecar) && len(s.builds) == 0 {
		path, err := prepare.Sidecar(ctx, dir)
		if err != nil {
			return p, err
		}
		p.Sidecars = builds{{Name: subjects.Sidecar, Path: path}}
	}
	if slices.Contains(s.subjects, subjects.ReverseProxy) {
		if p.ReverseProxy, err = prepare.ReverseProxy(ctx, dir); err != nil {
			return p, err
		}
	}
	if slices.Contains(s.subjects, subjects.OAuth2Proxy) || slices.Contains(s.subjects, subjects.OAuth2Logs) {
		p.OAuth2Proxy, err = prepare.OAuth2Proxy(ctx)
	}
	return p, err
}

func (s settings) about(ctx context.Context, p subjects.Programs) table.About {
	versions := map[string]string{
		"nginx": machine.Version(ctx, "nginx", "-v"), "redis": machine.Version(ctx, "redis-server", "--version"),
		"wrk": machine.Version(ctx, "wrk", "-v"),
	}
	for _, need := range s.needs() {
		switch need.Package {
		case "haproxy":
			versions["haproxy"] = machine.Version(ctx, "haproxy", "-v")
		case "apache2":
			versions["apache"] = machine.Version(ctx, "apache2", "-v")
		case "libapache2-mod-auth-openidc":
			versions["mod_auth_openidc"] = machine.Version(ctx, "dpkg-query", "-W", need.Package)
		}
	}
	if p.OAuth2Proxy != "" {
		versions["oauth2-proxy"] = prepare.OAuth2Version
	}
	return table.About{
		Date: time.Now(), Machine: machine.Read(), Versions: versions, Method: slices.Clone(method), Rounds: s.rounds, Window: s.duration,
	}
}
