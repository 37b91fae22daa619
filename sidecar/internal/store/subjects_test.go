package store_test

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

// subject is a store and a way to make time pass for it. check, if there is one,
// is for when everything else was.
type subject struct {
	store.Store
	pass  func(t *testing.T, d time.Duration)
	check func(t *testing.T)
}

// The rights that the documentation of store.Redis names.
var (
	rights = []string{"+ping", "+client|tracking", "+eval", "+evalsha", "+hmget", "+hget", "+hset", "+hincrby", "+get", "+getex", "+set",
		"+getdel", "+del", "+exists", "+incr", "+pttl", "+pexpire", "+time", "+zadd", "+zrem", "+zrange", "+zremrangebyscore"}
	behindSentinels = []string{"+role"}
	onCluster       = []string{"+cluster|slots", "+asking"}
	ofSentinels     = []string{"+ping", "+client|tracking", "+sentinel|sentinels", "+sentinel|get-master-addr-by-name", "+subscribe", "+unsubscribe",
		"&+sentinel", "&+switch-master", "&+reboot", "&+slave", "&+sdown", "&-sdown"}
)

// allow makes a user with rights and nothing else.
func allow(t *testing.T, server *redistest.Server, user string, rights ...[]string) {
	t.Helper()
	server.Must(t, append([]string{"ACL", "SETUSER", user, "reset", "on", ">pass"}, slices.Concat(rights...)...)...)
}

// refusesNothing fails if a user was refused something.
func refusesNothing(t *testing.T, servers ...*redistest.Server) {
	t.Helper()
	for _, server := range servers {
		if n := server.Must(t, "ACL", "LOG"); n != "0" {
			t.Errorf("%s has refused %s things", server.TCP, n)
		}
	}
}

var ourKeys = []string{"~bff:*"}

// subjects are the stores that must keep the contract.
var subjects = map[string]func(t *testing.T) subject{
	"Memory": func(*testing.T) subject {
		var offset atomic.Int64
		start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		memory := store.NewMemory(func() time.Time { return start.Add(time.Duration(offset.Load())) }, 0)
		return subject{Store: memory, pass: func(_ *testing.T, d time.Duration) { offset.Add(int64(d)) }}
	},
	"Redis": func(t *testing.T) subject {
		server := redistest.Start(t)
		return subject{Store: newRedis(t, store.RedisOptions{Addresses: []string{server.Address}}), pass: passing(server)}
	},
	"Redis, with the rights its documentation names": func(t *testing.T) subject {
		server := redistest.Start(t)
		allow(t, server, "bff", ourKeys, rights)
		return subject{
			Store: newRedis(t, store.RedisOptions{Addresses: []string{server.Address}, Username: "bff", Password: password("pass"), Prefix: watchedPrefix}),
			pass:  passing(server),
			check: func(t *testing.T) {
				refusesNothing(t, server)
				stats := server.Must(t, "INFO", "commandstats")
				for _, right := range rights {
					if !strings.Contains(stats, "cmdstat_"+strings.TrimPrefix(right, "+")+":") {
						t.Errorf("nobody needs the right %s", right)
					}
				}
			},
		}
	},
	"Redis behind Sentinels, with rights and TLS": func(t *testing.T) subject {
		pki := newPKI(t)
		set := redistest.StartSentinel(t, "bff", "--tls-port", pki.server("--tls-replication", "yes")...)
		for _, server := range []*redistest.Server{set.Primary, set.Replica} {
			allow(t, server, "bff", ourKeys, rights, behindSentinels)
		}
		allow(t, set.Sentinel, "asker", ofSentinels)
		o := pki.client(store.RedisOptions{
			Topology: v1alpha1.RedisSentinel, Addresses: []string{set.Sentinel.TCP}, Username: "bff", Password: password("pass"), Prefix: watchedPrefix,
			Sentinel: store.Sentinel{MasterName: "bff", Username: "asker", Password: password("pass")},
		})
		return subject{Store: newRedis(t, o), pass: passing(set.Primary), check: func(t *testing.T) { refusesNothing(t, set.All()...) }}
	},
	"Redis Cluster, with rights and TLS": func(t *testing.T) subject {
		pki := newPKI(t)
		cluster := redistest.StartCluster(t, "--tls-port", pki.server("--tls-cluster", "yes", "--tls-replication", "yes")...)
		for _, node := range cluster.Nodes {
			allow(t, node, "bff", ourKeys, rights, onCluster)
		}
		o := pki.client(store.RedisOptions{
			Topology: v1alpha1.RedisCluster, Addresses: cluster.Addresses(), Username: "bff", Password: password("pass"), Prefix: watchedPrefix,
		})
		return subject{Store: newRedis(t, o), pass: passing(cluster.Owner(t, key)), check: func(t *testing.T) { refusesNothing(t, cluster.Nodes...) }}
	},
}

func passing(server *redistest.Server) func(*testing.T, time.Duration) {
	return func(t *testing.T, d time.Duration) { server.Pass(t, d) }
}

// pki is one certificate for all, in files and in memory.
type pki struct {
	dir         string
	certificate tls.Certificate
	roots       *x509.CertPool
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{dir: t.TempDir()}
	p.roots = writeCertificate(t, p.dir)
	var err error
	if p.certificate, err = tls.LoadX509KeyPair(p.file("cert.pem"), p.file("key.pem")); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pki) file(name string) string { return filepath.Join(p.dir, name) }

// server are the arguments of a server that wants a certificate of its clients.
func (p *pki) server(args ...string) []string {
	return append([]string{"--tls-auth-clients", "yes", "--tls-cert-file", p.file("cert.pem"),
		"--tls-key-file", p.file("key.pem"), "--tls-ca-cert-file", p.file("cert.pem")}, args...)
}

// client adds what a client of such a server needs.
func (p *pki) client(o store.RedisOptions) store.RedisOptions {
	o.TLS, o.RootCAs = true, p.roots
	o.ClientCertificate = func() (*tls.Certificate, error) { return &p.certificate, nil }
	return o
}
