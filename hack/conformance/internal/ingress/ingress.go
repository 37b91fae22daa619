// Package ingress ends TLS in front of sidecars, as an ingress controller does,
// and serves the pages of other sites. It is what a real browser talks to.
package ingress

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
)

// Options make a Server. All of them are required.
type Options struct {
	Authority *pki.Authority
	// Hosts it has certificates for.
	Hosts []string
	// Backend is host:port of the sidecar for a host, "" if Pages serves it.
	Backend func(host string) string
	// Pages serves the other hosts.
	Pages http.Handler
}

// Server listens on one port for all of its hosts.
type Server struct {
	// Address is host:port.
	Address string

	options Options
	pages   chan net.Conn
	done    chan struct{}
	address net.Addr
}

// Start starts a server that ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	for _, host := range o.Hosts {
		config.Certificates = append(config.Certificates, o.Authority.Issue(t, host).TLS)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: listener.Addr().String(), options: o, pages: make(chan net.Conn), done: make(chan struct{}), address: listener.Addr()}
	web := &http.Server{Handler: o.Pages, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	var running sync.WaitGroup
	running.Go(func() { _ = web.Serve(s) }) // ends when it is closed
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(conn.(*tls.Conn)) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		close(s.done)
		_ = web.Close()
		running.Wait()
	})
	return s
}

func (s *Server) serve(conn *tls.Conn) {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // a connection that is gone fails below
	if conn.Handshake() != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetDeadline(time.Time{})
	backend := s.options.Backend(conn.ConnectionState().ServerName)
	if backend == "" {
		select {
		case s.pages <- conn:
		case <-s.done:
			_ = conn.Close()
		}
		return
	}
	defer conn.Close()
	to, err := net.DialTimeout("tcp", backend, 5*time.Second)
	if err != nil {
		return
	}
	defer to.Close()
	ended := make(chan struct{}, 2)
	pipe := func(dst, src net.Conn) { _, _ = io.Copy(dst, src); ended <- struct{}{} } // until either side goes
	go pipe(to, conn)
	go pipe(conn, to)
	select {
	case <-ended:
	case <-s.done:
	}
}

// Accept, Close and Addr make it the listener of its own pages.
func (s *Server) Accept() (net.Conn, error) {
	select {
	case conn := <-s.pages:
		return conn, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; the server ends with the test.
func (s *Server) Close() error { return nil }

// Addr implements net.Listener.
func (s *Server) Addr() net.Addr { return s.address }
