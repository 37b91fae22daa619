package store

import (
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

type losses struct{ atomic.Int32 }

func (l *losses) Changed(string)     {}
func (l *losses) Lost(time.Duration) { l.Add(1) }

// plug is a connection to nowhere.
func plug() (net.Conn, error) {
	here, there := net.Pipe()
	return here, there.Close() // reads and writes fail
}

func watchedGeneration(single bool) (*generation, *losses) {
	l, w := newLink(slog.New(slog.DiscardHandler), nil), new(losses)
	l.watch(w)
	return &generation{link: l, single: single}, w
}

func dialed(t *testing.T, g *generation, to peer) net.Conn {
	t.Helper()
	conn, err := g.dial(to, plug)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Within a generation, an answer over another connection than the last one can
// only be seen once everything is doubted: the two may not have told the same.
func TestFurtherConnectionCastsDoubt(t *testing.T) {
	g, w := watchedGeneration(false)
	dialed(t, g, sentinel)
	dialed(t, g, server)
	if n := w.Load(); n != 0 {
		t.Errorf("the first connection cast doubt %d times", n)
	}
	dialed(t, g, sentinel)
	dialed(t, g, server)
	if n := w.Load(); n != 1 {
		t.Errorf("a further connection to a server cast doubt %d times", n)
	}
}

func TestWhatEndsAGeneration(t *testing.T) {
	read := func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }
	write := func(c net.Conn) { _, _ = c.Write(make([]byte, 1)) }
	closing := func(c net.Conn) { _ = c.Close() }
	for name, row := range map[string]struct {
		single       bool
		to           peer
		does         func(net.Conn)
		lost, doubts bool
	}{
		"a server cannot be read":                        {false, server, read, true, true},
		"a server cannot be written to":                  {false, server, write, true, true},
		"one of several connections is given up":         {false, server, closing, false, true},
		"the only connection is given up":                {true, server, closing, true, true},
		"a Sentinel cannot be read":                      {false, sentinel, read, false, false},
		"a Sentinel cannot be written to":                {false, sentinel, write, false, false},
		"a connection to a Sentinel is needed no longer": {false, sentinel, closing, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			g, w := watchedGeneration(row.single)
			conn := dialed(t, g, row.to)
			row.does(conn)
			if g.isLost() != row.lost || (w.Load() > 0) != row.doubts {
				t.Errorf("ended: %t, doubts: %d", g.isLost(), w.Load())
			}
			if _, err := g.dial(server, plug); errors.Is(err, errLost) != row.lost {
				t.Errorf("the next connection: %v", err)
			}
		})
	}
}

// A client that reconnects for weeks holds no more than what is open.
func TestClosedConnectionsAreForgotten(t *testing.T) {
	g, _ := watchedGeneration(false)
	for range 100 {
		_ = dialed(t, g, sentinel).Close()
		_ = dialed(t, g, server).Close()
	}
	if n := len(g.conns); n != 0 {
		t.Errorf("it holds %d connections", n)
	}
}
