package lane

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/http1"
)

const (
	// smallBuffer is what a connection has to read into. It grows up to largeBuffer
	// for a request that needs it, and a larger one the server reads by itself.
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

// conn is a connection with the lane in its Read. The fields down to x are the
// server's goroutine's alone.
type conn struct {
	*net.TCPConn
	lane *Lane

	buffer []byte // what was read, and neither answered nor given to the server
	room   []byte // what buffer lies in
	// owed is how much of a request that the server has is not given to it yet.
	owed int64
	// waiting is whether the server has said that it waits for a request.
	waiting bool
	// through is whether the connection is the server's for good.
	through bool
	served  bool // the lane has answered a request on it
	// last is the method of the request that the lane has answered last; empty if
	// the server had one after it.
	last string
	head http1.Head
	x    *exchange

	turn atomic.Uint64 // odd while an answer is under way
	seen uint64        // the turn when somebody last looked

	mu      sync.Mutex
	busy    bool // an answer is under way
	closing bool // Close was called meanwhile
}

func newConn(l *Lane, tcp *net.TCPConn) *conn {
	c := &conn{TCPConn: tcp, lane: l}
	c.x = newExchange(c)
	return c
}

// Read implements net.Conn for the server.
func (c *conn) Read(p []byte) (int, error) {
	switch {
	case c.through:
		return c.pass(p)
	case c.owed > 0:
		return c.give(p)
	case c.waiting:
		return c.serve(p)
	}
	return c.watch(p)
}

// WriteTo implements io.WriterTo, by Read: that of net.TCPConn knows nothing of
// what was read ahead.
func (c *conn) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{c}) }

// pass gives what is there, and then what comes.
func (c *conn) pass(p []byte) (int, error) {
	if len(c.buffer) > 0 {
		n := copy(p, c.buffer)
		c.take(n)
		return n, nil
	}
	c.room = nil
	return c.TCPConn.Read(p)
}

// give gives no more than what is owed.
func (c *conn) give(p []byte) (n int, err error) {
	p = p[:min(int64(len(p)), c.owed)]
	if len(c.buffer) > 0 {
		n = copy(p, c.buffer)
		c.take(n)
	} else {
		n, err = c.TCPConn.Read(p)
	}
	c.owed -= int64(n)
	return n, err
}

// owe makes a request the server's: n bytes, which begin here.
func (c *conn) owe(n int64, p []byte) (int, error) {
	c.owed, c.waiting, c.last = n, false, ""
	return c.give(p)
}

// leave makes the connection the server's for good.
func (c *conn) leave(p []byte) (int, error) {
	c.through = true
	return c.pass(p)
}

// watch is a Read of a server that has a whole request. It wants to know whether
// the client goes away. What comes of the next request meanwhile waits here; from
// a client that sends more than that the server takes everything.
func (c *conn) watch(p []byte) (int, error) {
	for len(c.buffer) < smallBuffer {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	return c.leave(p)
}

// fill reads what is there into the buffer, and makes room for it. It returns an
// error if there is nothing and never will be.
func (c *conn) fill() error {
	used := len(c.buffer)
	switch {
	case cap(c.buffer)-used > 0 && used > 0:
	case used == 0 && len(c.room) == smallBuffer:
		c.buffer = c.room[:0]
	default:
		c.room = make([]byte, max(smallBuffer, min(2*used, largeBuffer)))
		c.buffer = c.room[:copy(c.room, c.buffer)]
	}
	n, err := c.TCPConn.Read(c.buffer[used:cap(c.buffer)])
	c.buffer = c.buffer[:used+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (c *conn) take(n int) { c.buffer = c.buffer[n:] }

// serve answers requests until there is one for the server, and gives it that.
func (c *conn) serve(p []byte) (int, error) {
	for {
		end, err := c.await()
		if err != nil {
			if len(c.buffer) > 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
				if c.last != "" && isEndOfLine(c.buffer[0]) && !c.skipLines() {
					c.TCPConn.Close()
					return 0, net.ErrClosed
				}
				return c.leave(p) // it may make something of what there is
			}
			return 0, err
		}
		if c.last != "" && isEndOfLine(c.buffer[0]) {
			if !c.skipLines() {
				c.TCPConn.Close()
				return 0, net.ErrClosed
			}
			continue
		}
		if end < 0 || !c.head.Parse(c.buffer[:end]) {
			return c.leave(p)
		}
		length, ok := c.x.read(&c.head)
		if !ok {
			return c.leave(p)
		}
		size := int64(end) + length
		if size > largeBuffer {
			return c.owe(size, p)
		}
		if int64(len(c.buffer)) < size {
			if err := c.SetReadDeadline(time.Now().Add(c.lane.options.HeaderTimeout)); err != nil {
				return 0, err
			}
		}
		for int64(len(c.buffer)) < size {
			if err := c.fill(); err != nil {
				return c.leave(p)
			}
		}
		answered, err := c.answer(c.buffer[end:size])
		if err != nil {
			return 0, err
		}
		if !answered {
			return c.owe(size, p)
		}
		c.take(int(size))
		c.served, c.last = true, c.x.line.Method
	}
}

// skipLines leaves out line ends before a request as the server does: a few of
// them, and only after a POST, whose body some old clients end with one. It
// knows of requests that the server has not seen, and says false where the
// server would refuse what comes.
func (c *conn) skipLines() bool {
	const most = 4
	if c.last != http.MethodPost {
		return false
	}
	c.last = http.MethodGet // once
	n := 0
	for n < min(most, len(c.buffer)) && isEndOfLine(c.buffer[n]) {
		n++
	}
	c.take(n)
	return true
}

func isEndOfLine(b byte) bool { return b == '\r' || b == '\n' }

// await waits for a request's head and returns its length. It is negative if it
// is too long for the lane. A new connection has the server's deadline.
func (c *conn) await() (end int, err error) {
	if len(c.buffer) == 0 {
		if c.served {
			if err := c.SetReadDeadline(time.Now().Add(c.lane.options.IdleTimeout)); err != nil {
				return 0, err
			}
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	for first := true; ; first = false {
		if end := http1.End(c.buffer); end >= 0 {
			return end, nil
		}
		if len(c.buffer) >= largeBuffer {
			return -1, nil
		}
		if first {
			if err := c.SetReadDeadline(time.Now().Add(c.lane.options.HeaderTimeout)); err != nil {
				return 0, err
			}
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}

// answer has a request answered.
func (c *conn) answer(body []byte) (answered bool, err error) {
	if !c.begin() {
		return false, net.ErrClosed
	}
	returned := false // a panic goes on to the server, which reports it
	defer func() {
		if c.end() || c.x.broken || !returned {
			c.TCPConn.Close()
			answered, err = true, net.ErrClosed
		}
	}()
	c.x.reset(body)
	if answered = c.lane.options.Answer(c.x, c.x.request); answered {
		c.x.finish()
	}
	returned = true
	return answered, nil
}

var _ http.ResponseWriter = (*exchange)(nil)
