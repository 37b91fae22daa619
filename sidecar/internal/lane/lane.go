// Package lane is a fast lane in front of net/http's server. It lies in a
// connection's Read: where the server waits for a request, the lane reads ahead,
// and a request of the narrow grammar of package http1 it may answer itself, in
// the same goroutine. Every other byte the server gets as it came, and it never
// learns of the requests that it did not get.
//
// Where a request ends is what two servers must not see differently (RFC 9112
// section 11.2). So the server is given exactly one request at a time, and the
// lane reads ahead again only once the server has said that it waits for the
// next. When the lane cannot tell where a request ends, the connection is the
// server's for good.
package lane

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options make a Lane. All of them are required.
type Options struct {
	// Answer answers a request whole and returns true, or does nothing at all and
	// returns false. It runs in the connection's goroutine. The request and its
	// header are used again when it has returned; its context ends when the client
	// goes away and is an upstream.Canceler. A panic goes on to the server.
	Answer func(w http.ResponseWriter, r *http.Request) bool
	// IdleTimeout closes a connection without a request for this long.
	IdleTimeout time.Duration
	// HeaderTimeout bounds the time in which a request arrives that has begun to.
	HeaderTimeout time.Duration
	// StallTimeout bounds each write of an answer.
	StallTimeout time.Duration
}

// Lane is the fast lane of one server. It is safe for concurrent use.
type Lane struct {
	options Options

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// New makes a Lane.
func New(o Options) *Lane { return &Lane{options: o, conns: map[*conn]struct{}{}} }

// Listen has the lane in all connections of a listener. The server that they
// are given to must have ConnState as its hook of that name.
func (l *Lane) Listen(listener net.Listener) net.Listener { return laneListener{listener, l} }

type laneListener struct {
	net.Listener
	lane *Lane
}

// Accept implements net.Listener.
func (l laneListener) Accept() (net.Conn, error) {
	socket, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := socket.(*net.TCPConn)
	if !ok {
		return socket, nil // no lane
	}
	c := newConn(l.lane, tcp)
	l.lane.mu.Lock()
	l.lane.conns[c] = struct{}{}
	l.lane.mu.Unlock()
	return c, nil
}

// ConnState is told by the server what becomes of its connections.
func (l *Lane) ConnState(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateNew, http.StateIdle:
		c.waiting = true // in the server's goroutine of this connection, or before it starts
	case http.StateHijacked:
		c.through = true
		l.forget(c)
	case http.StateClosed:
		l.forget(c)
	}
}

func (l *Lane) forget(c *conn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
}

func (l *Lane) each(f func(*conn)) {
	l.mu.Lock()
	all := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

// lookAfter is how often it is looked whether clients are still there. Answers
// that take less are over before anybody looks.
const lookAfter = time.Second

// Run looks after the clients of answers that take long, until ctx ends.
func (l *Lane) Run(ctx context.Context) {
	ticker := time.NewTicker(lookAfter)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.each((*conn).look)
		}
	}
}

// Shutdown waits until no answer of the lane's is under way, after the server
// has shut down. If ctx ends before that, it breaks them off.
func (l *Lane) Shutdown(ctx context.Context) {
	const pause = 10 * time.Millisecond
	for {
		busy := 0
		l.each(func(c *conn) {
			if c.finishing() {
				busy++
			}
		})
		if busy == 0 {
			return
		}
		select {
		case <-ctx.Done():
			l.each((*conn).breakOff)
			return
		case <-time.After(pause):
		}
	}
}
