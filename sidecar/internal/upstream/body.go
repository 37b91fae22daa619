package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// content is what is left of an answer's body.
type content struct {
	left    int64     // bytes, if source is nil
	source  io.Reader // of a body whose length is not known
	trailer bool      // whether a trailer follows the source's end
	ended   error     // io.EOF when all of it was read, or why not
}

// body is an answer's body. It serves one answer and never another, and so can
// be closed late and twice without harm to the request that has the connection
// by then.
type body struct {
	c     *conn
	state atomic.Uint32
}

// The states of a body.
const (
	open uint32 = iota
	busy
	leaving // closed while it was busy
	closed
)

// sizedBody is a body of known length.
type sizedBody struct{ body }

// answer is what RoundTrip returns. It is never used for another request, so
// that who still has it when its body is closed has nothing of anybody else's.
type answer struct {
	response http.Response
	body     sizedBody
}

// answersAtOnce is how many are allocated in one piece.
const answersAtOnce = 16

func (c *conn) newAnswer() *answer {
	if len(c.answers) == 0 {
		c.answers = make([]answer, answersAtOnce)
	}
	a := &c.answers[0]
	c.answers = c.answers[1:]
	a.body.c = c
	return a
}

// forget lets go of what an answer refers to, except its body.
func (a *answer) forget() {
	r := &a.response
	r.Status, r.Proto, r.Header, r.Trailer, r.Request = "", "", nil, nil, nil
}

var errConcurrent = errors.New("the body is being read by another goroutine")

// begin takes the body for a read.
func (b *body) begin() error {
	if b.state.CompareAndSwap(open, busy) {
		return nil
	}
	if b.state.Load() == busy {
		return errConcurrent
	}
	return http.ErrBodyReadAfterClose
}

// end gives it back. It says whether the body was closed in the meantime.
func (b *body) end() bool {
	if b.state.CompareAndSwap(busy, open) {
		return false
	}
	b.state.Store(closed)
	b.c.release(false)
	return true
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if err := b.begin(); err != nil {
		return 0, err
	}
	n, err := b.c.read(p)
	if b.end() {
		err = http.ErrBodyReadAfterClose
	}
	return n, err
}

// Close gives the connection back. In the middle of a Read it makes that return.
func (b *body) Close() error {
	for {
		switch b.state.Load() {
		case open:
			if b.state.CompareAndSwap(open, closed) {
				b.c.release(b.c.drain())
				return nil
			}
		case busy:
			// The reader is woken, and releases the connection, which is not kept.
			if b.state.CompareAndSwap(busy, leaving) {
				b.c.socket.Close()
				return nil
			}
		default:
			return nil
		}
	}
}

// read reads on, and remembers the end.
func (c *conn) read(p []byte) (int, error) {
	if c.ended != nil {
		return 0, c.ended
	}
	n, err := c.readOn(p)
	if err != nil {
		if err != io.EOF {
			err = c.cause(err)
		}
		c.ended = err
	}
	return n, err
}

func (c *conn) readOn(p []byte) (int, error) {
	if c.source == nil {
		p = p[:min(int64(len(p)), c.left)]
		n, err := 0, error(nil)
		if c.left > 0 {
			n, err = c.buffer.Read(p)
			c.left -= int64(n)
		}
		if c.left == 0 {
			return n, io.EOF
		}
		return n, early(err)
	}
	n, err := c.source.Read(p)
	switch {
	case err == io.EOF && c.trailer:
		if failure := c.readTrailer(); failure != nil {
			err = failure
		}
	case err != nil && err != io.EOF && c.err != nil:
		err = early(c.err) // of the network
	}
	return n, err
}

// What is read of a body that nobody wants, so that its connection can be kept.
const (
	maxDrained = 4 << 10 // bytes
	drainTime  = 20 * time.Millisecond
)

// drain reads the little that may be left of a body. It says whether nothing is.
func (c *conn) drain() bool {
	most := int64(c.buffer.Buffered() + maxDrained)
	switch {
	case c.ended != nil:
		return c.ended == io.EOF
	case c.doubtful || c.err != nil || c.aborted.Load():
		return false
	case c.source == nil && c.left <= int64(c.buffer.Buffered()):
		_, _ = c.buffer.Discard(int(c.left)) // it is there
		return true
	case c.source == nil && c.left > most:
		return false
	}
	c.timed = false
	if c.socket.SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return false
	}
	buffer := copyBuffers.Get().(*copyBuffer)
	defer copyBuffers.Put(buffer)
	for most > 0 {
		n, err := c.read(buffer[:most])
		if err != nil {
			return err == io.EOF
		}
		most -= int64(n)
	}
	return false
}
