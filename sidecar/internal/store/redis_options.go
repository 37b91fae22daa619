package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
	"github.com/redis/rueidis"
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
	// keepAlive is how often an idle connection is asked whether it is alive.
	keepAlive = 10 * time.Second
)

// RedisOptions say how to reach a Redis or Valkey server.
type RedisOptions struct {
	// Address is host:port, or the path of a unix socket, which begins with a
	// slash.
	Address string
	// Username is the ACL user; empty is the server's default user.
	Username string
	// Password is asked for at every connection, so that it may be rotated. Nil,
	// or an empty answer together with an empty Username, sends none.
	Password func() secret.String
	// TLS encrypts the connection, with TLS 1.2 or newer, and verifies the server
	// for the address's host.
	TLS bool
	// RootCAs are the authorities TLS trusts. Nil is the system's.
	RootCAs *x509.CertPool
	// Timeout bounds every call, connecting included. Zero is DefaultTimeout.
	Timeout time.Duration
	// Logger is told when the server is lost and found. Nil is silence.
	Logger *slog.Logger
}

func (o RedisOptions) withDefaults() (RedisOptions, error) {
	if !o.unix() {
		if host, port, err := net.SplitHostPort(o.Address); err != nil || host == "" || port == "" {
			return o, errors.New("the session store's address must be host:port, for example valkey.cache.svc:6379")
		}
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

func (o RedisOptions) unix() bool { return strings.HasPrefix(o.Address, "/") }

// client connects. Every connection of the client belongs to g.
func (o RedisOptions) client(g *generation) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{o.Address},
		DialCtxFn: func(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return g.dial(func() (net.Conn, error) { return o.dial(ctx, address, dialer) })
		},
		Dialer:           net.Dialer{Timeout: o.Timeout, KeepAlive: keepAlive},
		ConnWriteTimeout: o.Timeout,
		AuthCredentialsFn: func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			credentials := rueidis.AuthCredentials{Username: o.Username}
			if o.Password != nil {
				credentials.Password = o.Password().Reveal()
			}
			return credentials, nil
		},
		// Only a pipelined connection lets a caller give up without breaking it for
		// the others.
		AlwaysPipelining:    true,
		PipelineMultiplex:   oneConn,
		RingScaleEachConn:   ringScale,
		ReadBufferEachConn:  bufferSize,
		WriteBufferEachConn: bufferSize,
		DisableCache:        true,
		// What may be sent twice is decided by who knows what it does.
		DisableRetry: true,
		ClientName:   "bff-sidecar",
	})
}

func (o RedisOptions) dial(ctx context.Context, address string, dialer *net.Dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if strings.HasPrefix(address, "/") {
		return dialer.DialContext(ctx, "unix", address)
	}
	if !o.TLS {
		return dialer.DialContext(ctx, "tcp", address)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	secure := tls.Dialer{NetDialer: dialer, Config: &tls.Config{ServerName: host, RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}}
	return secure.DialContext(ctx, "tcp", address)
}
