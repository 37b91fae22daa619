package redistest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands on TCP before a Server and does to connections what networks do.
type Proxy struct {
	// Address is host:port of the proxy.
	Address string

	target   string
	listener net.Listener

	mu    sync.Mutex
	turn  *sync.Cond // mode changed
	mode  mode
	conns map[net.Conn]struct{}
	seen  int
}

type mode int

const (
	passing mode = iota
	cutting      // connections are closed as soon as they are made
	hanging      // connections are made, and no byte goes through
	closed
)

// NewProxy starts a proxy before a server. It ends with the test.
func NewProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: listener.Addr().String(), target: s.Address, listener: listener, conns: make(map[net.Conn]struct{})}
	p.turn = sync.NewCond(&p.mu)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.set(closed, true)
		serving.Wait()
	})
	return p
}

// Pass lets everything through again. What hung goes on.
func (p *Proxy) Pass() { p.set(passing, false) }

// Cut breaks all connections and every new one.
func (p *Proxy) Cut() { p.set(cutting, true) }

// Break breaks all connections; new ones pass.
func (p *Proxy) Break() { p.set(passing, true) }

// Hang holds back every byte from now on, on new connections too.
func (p *Proxy) Hang() { p.set(hanging, false) }

// Connections is how many connections were made so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *Proxy) set(m mode, breakAll bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	p.turn.Broadcast()
	if breakAll {
		for conn := range p.conns {
			_ = conn.Close()
		}
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("unix", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.seen++
	if p.mode == cutting || p.mode == closed {
		_ = client.Close()
	}
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	p.mu.Unlock()

	var pipes sync.WaitGroup
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		pipes.Go(func() {
			_, _ = io.Copy(gate{p, pair[1]}, pair[0])
			_ = client.Close()
			_ = server.Close()
		})
	}
	pipes.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
}

// gate writes when the proxy lets bytes through.
type gate struct {
	proxy *Proxy
	to    io.Writer
}

func (g gate) Write(b []byte) (int, error) {
	g.proxy.mu.Lock()
	for g.proxy.mode == hanging {
		g.proxy.turn.Wait()
	}
	g.proxy.mu.Unlock()
	return g.to.Write(b)
}
