package store

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// generation is one rueidis client and the connections it opened. It ends as a
// whole when one of them closes, and a client of an ended generation can open
// no more.
type generation struct {
	client rueidis.Client // set by adopt
	link   *link
	served atomic.Bool // it has answered a call

	mu    sync.Mutex
	lost  bool
	conns []*generationConn
}

// generationConn tells its generation when it is closed. rueidis closes a
// connection when it breaks, so that is how a break is noticed.
type generationConn struct {
	net.Conn
	generation *generation
}

func (c *generationConn) Close() error {
	c.generation.lose(errLost)
	return nil
}

func (g *generation) dial(dial func() (net.Conn, error)) (net.Conn, error) {
	if g.isLost() {
		return nil, errLost
	}
	raw, err := dial()
	if err != nil {
		return nil, clean{err} // it names the address and the reason
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost {
		_ = raw.Close()
		return nil, errLost
	}
	conn := &generationConn{Conn: raw, generation: g}
	g.conns = append(g.conns, conn)
	return conn, nil
}

// adopt gives the generation its client. It fails, and closes the client, when
// the generation has ended meanwhile.
func (g *generation) adopt(client rueidis.Client) error {
	g.mu.Lock()
	g.client = client
	gone := g.lost
	g.mu.Unlock()
	if gone {
		client.Close()
		return errLost
	}
	return nil
}

// lose ends the generation: its connections close at once, which fails every
// call under way.
func (g *generation) lose(cause error) {
	g.mu.Lock()
	if g.lost {
		g.mu.Unlock()
		return
	}
	g.lost = true
	conns, client := g.conns, g.client
	g.conns = nil
	g.mu.Unlock()

	for _, c := range conns {
		_ = c.Conn.Close()
	}
	g.link.drop(g, cause)
	if client != nil {
		// Close waits for calls under way, one of which may be ours.
		go client.Close()
	}
}

// serves notes that the generation has answered a call.
func (g *generation) serves() {
	if !g.served.Load() {
		g.served.Store(true)
	}
}

func (g *generation) isLost() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lost
}
