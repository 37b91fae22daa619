package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/upstream"
)

// Time-outs of calls to what stands behind the sidecar. Bodies have none: they
// stream.
const (
	// dialTimeout bounds connecting, name resolution included.
	dialTimeout = 5 * time.Second
	// handshakeTimeout bounds a TLS handshake.
	handshakeTimeout = 5 * time.Second
	// headerTimeout bounds the wait for an answer's header once the request is
	// sent.
	headerTimeout = 60 * time.Second
	// idleTimeout closes a connection that was not used for this long.
	idleTimeout = 90 * time.Second
	// maxAnswerHeader bounds an answer's header, in bytes.
	maxAnswerHeader = 256 << 10
	// idlePerHost is how many idle connections are kept for each host. Go's
	// default is 2, which costs a busy proxy a new connection for most calls.
	idlePerHost = 256
	idleAtAll   = 512
)

// Peer says whom a transport trusts and who it is. The zero value trusts the
// usual certificate authorities and shows no certificate. Connections are never
// shared between peers that differ (MTLS-06).
type Peer struct {
	// RootCAs verify the upstream's certificate; nil is the system's.
	RootCAs *x509.CertPool
	// Certificate is shown to the upstream, if it asks for one (RFC 8705 section 3).
	Certificate *tls.Certificate
}

// NewTransport makes a transport of routes. It asks no HTTP proxy of the
// environment, since that would see the tokens, and it follows no redirect
// (BFF-34).
func NewTransport(p Peer) *upstream.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	transport := newTransport(dialer.DialContext)
	transport.TLSClientConfig.RootCAs = p.RootCAs
	if p.Certificate != nil {
		// Also to a server that names other authorities: a token may be bound to a
		// certificate that no authority has issued.
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return p.Certificate, nil
		}
	}
	return over(transport)
}

// NewApplicationTransport makes the transport of the application. A host named
// localhost is dialled as 127.0.0.1 and then as ::1: applications listen on
// either, and images have no /etc/hosts to ask.
func NewApplicationTransport() *upstream.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return over(newTransport(func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || host != "localhost" {
			return dialer.DialContext(ctx, network, address)
		}
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		if conn, err6 := dialer.DialContext(ctx, network, net.JoinHostPort("::1", port)); err6 == nil {
			return conn, nil
		}
		return nil, err
	}))
}

// over makes the client that sends plain requests itself and leaves the others,
// those over TLS among them, to a transport.
func over(transport *http.Transport) *upstream.Client {
	return upstream.New(upstream.Options{
		Fallback: transport, Dial: transport.DialContext,
		HeaderTimeout: transport.ResponseHeaderTimeout, IdleTimeout: transport.IdleConnTimeout,
		MaxIdlePerHost: transport.MaxIdleConnsPerHost, MaxIdle: transport.MaxIdleConns,
		MaxHeaderBytes: int(transport.MaxResponseHeaderBytes),
	})
}

func newTransport(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           idleAtAll,
		MaxIdleConnsPerHost:    idlePerHost,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // bodies pass as they are
	}
}

// again tries once more, a moment later, when nobody listens yet and nothing
// was sent: an application that is restarting in the same pod. Only requests
// without a body that are safe to repeat qualify.
type again struct {
	next  http.RoundTripper
	pause time.Duration
}

func (a again) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := a.next.RoundTrip(r)
	if err == nil || !errors.Is(err, syscall.ECONNREFUSED) || r.Body != nil && r.Body != http.NoBody || !idempotent(r.Method) {
		return response, err
	}
	timer := time.NewTimer(a.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return a.next.RoundTrip(r)
	case <-r.Context().Done():
		return nil, err
	}
}

// idempotent is RFC 9110 section 9.2.2.
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// buffers are shared by all copies of bodies.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { return new([bufferSize]byte) }}}
}

func (b *buffers) Get() []byte { return b.pool.Get().(*[bufferSize]byte)[:] }

func (b *buffers) Put(buffer []byte) {
	if len(buffer) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(buffer))
	}
}
