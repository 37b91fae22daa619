package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

// DefaultTimeout bounds one call to a server when RedisOptions do not.
const DefaultTimeout = 2 * time.Second

// What one connection costs. rueidis' own defaults are made for a large client:
// 1 MiB of buffers and a ring of 1024 slots for each of up to four connections,
// and a cache of 128 MiB. One pipelined connection serves a sidecar well, and a
// sidecar has 64 MiB for everything.
const (
	bufferSize = 32 << 10
	ringScale  = 8 // 2^8 commands under way
	oneConn    = -1
	// keepAlive is how often an idle connection is asked whether it is alive: see
	// SilenceBound.
	keepAlive = 5 * time.Second
	// unusedCache is the size of a cache in which nothing is ever put.
	unusedCache = 1 << 10
	clientName  = "bff-sidecar"
)

// SilenceBound is how long a network that swallows everything, and closes
// nothing, can go unnoticed with a time-out: an idle connection is asked whether
// it is alive within twice 5 seconds, and has the time-out to answer. Until then
// nobody is told of changes. Any call notices it within the time-out. With
// DefaultTimeout it is 12 seconds.
func SilenceBound(timeout time.Duration) time.Duration { return 2*keepAlive + timeout }

// RedisOptions say how to reach a Redis or Valkey server, or several.
type RedisOptions struct {
	// Topology of the servers. Empty is Standalone.
	Topology v1alpha1.RedisTopology
	// Addresses are host:port of the server, of Sentinels, or of some nodes of the
	// Cluster. A single server may be the path of a unix socket, which begins with a
	// slash.
	Addresses []string
	// Sentinel says what to ask Sentinels. Only with that topology.
	Sentinel Sentinel
	// Prefix begins the keys of all entries, with a hash tag and a colon at its end,
	// such as bff:{uid}:. A Watcher is told of keys that begin with it and
	// TrackedKind. Empty, it is told of keys that are no entries too.
	Prefix string
	// Username is the ACL user; empty is the server's default user.
	Username string
	// Password is asked for at every connection, so that it may be rotated. Nil,
	// or an empty answer together with an empty Username, sends none.
	Password func() secret.String
	// TLS encrypts every connection, to Sentinels too, with TLS 1.2 or newer, and
	// verifies the server for its address's host. The addresses of a Cluster's nodes,
	// and of the primary that Sentinels name, are those that they announce:
	// certificates need them as names, whether they are IP addresses or host names
	// (cluster-preferred-endpoint-type hostname, sentinel announce-hostnames yes).
	TLS bool
	// RootCAs are the authorities TLS trusts. Nil is the system's.
	RootCAs *x509.CertPool
	// ClientCertificate is asked for at every connection, and shown to the server.
	// Nil, or a nil answer, shows none.
	ClientCertificate func() (*tls.Certificate, error)
	// Timeout bounds every call, connecting included. Zero is DefaultTimeout.
	Timeout time.Duration
	// Logger is told when the server is lost and found. Nil is silence.
	Logger *slog.Logger
}

// Sentinel is what Sentinels are asked.
type Sentinel struct {
	// MasterName is the name they know the primary by.
	MasterName string
	// Username and Password are for the Sentinels themselves.
	Username string
	Password func() secret.String
}

func (o RedisOptions) withDefaults() (RedisOptions, error) {
	if o.Topology == "" {
		o.Topology = v1alpha1.RedisStandalone
	}
	if len(o.Addresses) == 0 {
		return o, errors.New("the session store has no address: write host:port, for example valkey.cache.svc:6379")
	}
	for _, address := range o.Addresses {
		if o.Topology == v1alpha1.RedisStandalone && isUnix(address) {
			continue
		}
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return o, errors.New("the session store's address must be host:port, for example valkey.cache.svc:6379")
		}
	}
	if o.Topology == v1alpha1.RedisSentinel && o.Sentinel.MasterName == "" {
		return o, errors.New("the session store's Sentinels need the name of a primary to look for")
	}
	if o.Timeout < 0 {
		return o, fmt.Errorf("the session store's time-out is %s, it must not be negative", o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func isUnix(address string) bool { return strings.HasPrefix(address, "/") }

// client connects. Every connection of the client belongs to g, which is told
// of changes.
func (o RedisOptions) client(g *generation) (rueidis.Client, error) {
	if o.Prefix != "" {
		g.entries = o.Prefix + TrackedKind
	}
	dialer := net.Dialer{Timeout: o.Timeout, KeepAlive: keepAlive}
	// rueidis hands back one of these, which tells whom it dials. What TLS needs is
	// asked for at every connection, in dial.
	toServer, toSentinel := o.tlsConfig(), new(tls.Config)
	options := rueidis.ClientOption{
		InitAddress: slices.Clone(o.Addresses), // which it shuffles
		DialCtxFn: func(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
			to := server
			if config == toSentinel {
				to = sentinel
			}
			return g.dial(to, func() (net.Conn, error) { return o.dial(ctx, address, dialer) })
		},
		TLSConfig:         toServer, // also picks the port of a Cluster's node that has two
		Dialer:            dialer,
		ConnWriteTimeout:  o.Timeout,
		AuthCredentialsFn: o.credentials,
		// Only a pipelined connection lets a caller give up without breaking it for
		// the others.
		AlwaysPipelining:    true,
		PipelineMultiplex:   oneConn,
		RingScaleEachConn:   ringScale,
		ReadBufferEachConn:  bufferSize,
		WriteBufferEachConn: bufferSize,
		// The server tells of changes on the very connection that serves the calls, and
		// of what was read on it, not of all sessions (BCAST): with many sidecars that
		// few of them have read would keep the server busy with telling the others. It
		// is told of all that was read, not of what is asked for with each read (OPTIN):
		// nothing can be forgotten, refused, or be lost when a Cluster redirects. The
		// cache itself is the caller's, who keeps what is opened; rueidis' own is never
		// filled.
		ClientTrackingOptions: []string{},
		OnInvalidations:       g.invalidated,
		CacheSizeEachConn:     unusedCache,
		// What may be sent twice is decided by who knows what it does.
		DisableRetry: true,
		ClientName:   clientName,
		// Servers would log that the user has no right to it.
		ClientSetInfo: rueidis.DisableClientSetInfo,
	}
	switch o.Topology {
	case v1alpha1.RedisStandalone:
		options.ForceSingleClient = true
		g.single = true
	case v1alpha1.RedisSentinel:
		// rueidis would ask for the servers' credentials at the Sentinels too. Each
		// client is for one generation of connections, so these are as fresh.
		credentials, _ := o.credentials(rueidis.AuthCredentialsContext{})
		options.AuthCredentialsFn = nil
		options.Username, options.Password = credentials.Username, credentials.Password
		options.Sentinel = rueidis.SentinelOption{
			MasterSet: o.Sentinel.MasterName, Username: o.Sentinel.Username,
			ClientName: clientName, Dialer: dialer, TLSConfig: toSentinel,
		}
		if o.Sentinel.Password != nil {
			options.Sentinel.Password = o.Sentinel.Password().Reveal()
		}
	case v1alpha1.RedisCluster:
		options.ShuffleInit = true
	}
	client, err := rueidis.NewClient(options)
	if err != nil && o.Topology == v1alpha1.RedisSentinel {
		err = clean{fmt.Errorf("find the primary that the Sentinels call %q: %w", o.Sentinel.MasterName, redact(err))}
	}
	return client, err
}

func (o RedisOptions) credentials(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
	credentials := rueidis.AuthCredentials{Username: o.Username}
	if o.Password != nil {
		credentials.Password = o.Password().Reveal()
	}
	return credentials, nil
}

func (o RedisOptions) dial(ctx context.Context, address string, dialer *net.Dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if isUnix(address) {
		return dialer.DialContext(ctx, "unix", address)
	}
	if !o.TLS {
		return dialer.DialContext(ctx, "tcp", address)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := o.tlsConfig()
	config.ServerName = host
	secure := tls.Dialer{NetDialer: dialer, Config: config}
	return secure.DialContext(ctx, "tcp", address)
}

// tlsConfig is nil without TLS.
func (o RedisOptions) tlsConfig() *tls.Config {
	if !o.TLS {
		return nil
	}
	config := &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}
	if o.ClientCertificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate, err := o.ClientCertificate()
			if certificate == nil && err == nil {
				certificate = new(tls.Certificate) // none
			}
			return certificate, err
		}
	}
	return config
}
