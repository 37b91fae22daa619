package store

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// generation is one rueidis client and the connections it opened. It ends as a
// whole when a connection to a server breaks, and a client of an ended generation
// can open no more.
//
// Whoever watches has to know that changes may have been missed before an answer
// can be seen that came over another connection than the last one. So Lost is
// called before a next generation can begin, and within a generation before it
// uses a further connection.
type generation struct {
	link *link
	// single says that the client has one connection, and so ends with it.
	single bool
	// entries begins the keys of entries. Nobody is told of others.
	entries string
	client  rueidis.Client // set by adopt
	served  atomic.Bool    // it has answered a call

	mu     sync.Mutex
	lost   bool
	dialed bool // a server
	conns  map[*generationConn]struct{}
}

// peer is what a connection leads to.
type peer int

const (
	server peer = iota
	// sentinel tells of servers. To lose it changes nothing about them: rueidis looks
	// for another one.
	sentinel
)

// generationConn tells its generation when it breaks.
type generationConn struct {
	net.Conn
	generation *generation
	peer       peer
	closed     atomic.Bool
	heard      atomic.Int64 // when it was read from last, as sinceStart
}

// started is what moments are counted from, so that setting the clock changes
// none.
var started = time.Now()

func sinceStart() int64 { return int64(time.Since(started)) }

func (c *generationConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(sinceStart())
	}
	return n, c.check(err)
}

// silence is for how long nothing was heard of the peer.
func (c *generationConn) silence() time.Duration {
	return time.Duration(sinceStart() - c.heard.Load())
}

func (c *generationConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.check(err)
}

func (c *generationConn) check(err error) error {
	if err != nil && c.peer == server && !c.closed.Load() {
		c.generation.lose(errLost)
	}
	return err
}

// Close is what rueidis does with a connection that it gives up: because it does
// not answer, because the node has left the Cluster, or because there is another
// primary. What it would have told of changes is missed.
func (c *generationConn) Close() error {
	g := c.generation
	if c.peer == server && g.single {
		g.lose(errLost)
		return nil
	}
	c.closed.Store(true)
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
	err := c.Conn.Close()
	if c.peer == server {
		g.link.watcher().Lost(c.silence())
	}
	return err
}

func (g *generation) dial(to peer, dial func() (net.Conn, error)) (net.Conn, error) {
	if g.isLost() {
		return nil, errLost
	}
	raw, err := dial()
	if err != nil {
		return nil, clean{err} // it names the address and the reason
	}
	conn := &generationConn{Conn: raw, generation: g, peer: to}
	conn.heard.Store(sinceStart())
	further, err := g.add(conn)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	if further {
		g.link.watcher().Lost(0)
	}
	return conn, nil
}

// add says whether there was a connection to a server before.
func (g *generation) add(c *generationConn) (further bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost {
		return false, errLost
	}
	if g.conns == nil {
		g.conns = make(map[*generationConn]struct{})
	}
	g.conns[c] = struct{}{}
	if c.peer != server {
		return false, nil
	}
	further, g.dialed = g.dialed, true
	return further, nil
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

	var silence time.Duration
	for c := range conns {
		c.closed.Store(true)
		_ = c.Conn.Close()
		if c.peer == server {
			silence = max(silence, c.silence())
		}
	}
	// Before anybody can get another connection.
	g.link.watcher().Lost(silence)
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
		// rueidis says so too when a connection has gone. Then lose has said it, or is
		// about to, and knows how long it was silent.
		if !g.isLost() {
			w.Lost(0)
		}
		return
	}
	for i := range keys {
		if key, err := keys[i].ToString(); err == nil && strings.HasPrefix(key, g.entries) {
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
