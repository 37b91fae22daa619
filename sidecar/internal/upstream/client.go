// Package upstream is an HTTP/1.1 client for a proxy. A request is written and
// its answer read in the caller's own goroutine, over connections that are kept,
// with one system call to write and two to read.
//
// It takes the usual request and answer itself, and leaves the rest to net/http:
// an unusual request to another http.RoundTripper, an unusual answer to
// http.ReadResponse. It is never more lenient than net/http. A connection about
// whose state there is any doubt is closed and never used again (RFC 9112
// section 11).
package upstream

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options make a Client. All of them are required.
type Options struct {
	// Fallback takes the requests that are not plain: https, protocol upgrades,
	// bodies that are large or of unknown length, and those with trailers.
	Fallback http.RoundTripper
	// Dial connects. It is asked for network "tcp" and an address with a port.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// HeaderTimeout bounds the time in which a request is sent and the header of
	// its answer arrives. Bodies of answers have no time-out.
	HeaderTimeout time.Duration
	// IdleTimeout closes a connection that was not used for this long.
	IdleTimeout time.Duration
	// MaxIdlePerHost and MaxIdle bound the idle connections to one host and to all.
	MaxIdlePerHost, MaxIdle int
	// MaxHeaderBytes bounds an answer's header, with those of the interim answers
	// before it.
	MaxHeaderBytes int
}

// Client is an http.RoundTripper.
type Client struct {
	options Options
	pool    pool
}

// New makes a Client.
func New(o Options) *Client {
	return &Client{options: o, pool: pool{
		hosts: map[string]*host{}, timeout: o.IdleTimeout, maxPerHost: o.MaxIdlePerHost, max: o.MaxIdle,
	}}
}

// CloseIdleConnections closes the connections that are not in use, those of the
// Fallback included.
func (c *Client) CloseIdleConnections() {
	c.pool.clear()
	if fallback, ok := c.options.Fallback.(interface{ CloseIdleConnections() }); ok {
		fallback.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper, with one thing more to mind: the
// Response and its Header are valid until its Body is closed. The Header lies in
// memory that is used again after that. The Body is never nil and has to be
// closed also if it is empty. It may be closed at any time, from any goroutine
// and more than once.
//
// A request is sent once more, on a new connection, if a connection that had
// been kept turns out to be dead before anything of an answer has come, and the
// request is one that net/http would repeat: its method is safe or it has an
// Idempotency-Key, and its body is none or can be had again (RFC 9110 section
// 9.2.2).
//
// The error is the context's cause if the context has ended, a *net.OpError if
// the network failed, and one that satisfies net.Error's Timeout when
// HeaderTimeout has passed.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	if !plain(r) {
		return c.fallback(r)
	}
	out := outgoings.Get().(*outgoing)
	defer out.release()
	if err := out.write(r); err == errNotPlain {
		return c.fallback(r)
	} else if err != nil {
		return nil, err
	}
	ctx := r.Context()
	for renew := false; ; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		conn, err := c.connect(ctx, r.URL.Host, renew)
		if err != nil {
			return nil, err
		}
		answer, err := conn.roundTrip(r, out.bytes)
		if err == nil {
			return answer, nil
		}
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case conn.stale:
			// Nothing was sent: another kept one may be alive.
		case conn.lost() && (conn.sent == 0 || repeatable(r)) && r.Body != Unrepeatable:
			renew = true
		default:
			return nil, err
		}
	}
}

// fallback has somebody else send a request. Who uses a context again uses the
// request again, too, and net/http may still be at it when it has an answer.
func (c *Client) fallback(r *http.Request) (*http.Response, error) {
	if _, again := r.Context().(Canceler); again {
		r = r.Clone(r.Context())
	}
	return c.options.Fallback.RoundTrip(r)
}

// connect takes a connection that was kept, unless a new one is wanted, or makes
// one.
func (c *Client) connect(ctx context.Context, host string, renew bool) (*conn, error) {
	if !renew {
		if kept := c.pool.get(host); kept != nil {
			return kept, nil
		}
	}
	leave, err := c.pool.enter(ctx, host, c.options.HeaderTimeout)
	if err != nil {
		return nil, err
	}
	defer leave()
	if !renew {
		// One may have come back in the meantime.
		if kept := c.pool.get(host); kept != nil {
			return kept, nil
		}
	}
	socket, err := c.options.Dial(ctx, "tcp", address(host))
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return newConn(c, host, socket), nil
}

// address adds the port of http to a host that names none.
func address(host string) string {
	if hasPort(host) {
		return host
	}
	return net.JoinHostPort(unbracketed(host), "80")
}

// outgoings are buffers for requests.
var outgoings = sync.Pool{New: func() any { return new(outgoing) }}
