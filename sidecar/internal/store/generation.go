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

// generationConn tells its generation when it breaks.
type generationConn struct {
	net.Conn
	generation *generation
	closed     atomic.Bool
}

func (c *generationConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !c.closed.Load() {
		c.generation.lose(errLost)
	}
	return n, err
}

// Close is what rueidis does with a connection that it needs no more, as to a
// Sentinel it has asked or a node that left the Cluster. What that one would
// have told of changes is missed.
func (c *generationConn) Close() error {
	c.closed.Store(true)
	err := c.Conn.Close()
	c.generation.link.watcher().Lost()
	return err
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
		c.closed.Store(true)
		_ = c.Conn.Close()
	}
	// Before anybody can get another connection.
	g.link.watcher().Lost()
	g.link.drop(g, cause)
	if client != nil {
		// Close waits for calls under way, one of which may be ours.
		go client.Close()
	}
}

// invalidated is what the server tells: the keys that have changed, or nil when
// that may be any.
func (g *generation) invalidated(keys []rueidis.RedisMessage) {
	w := g.link.watcher()
	if keys == nil {
		w.Lost()
		return
	}
	for i := range keys {
		if key, err := keys[i].ToString(); err == nil {
			w.Changed(key)
		}
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
