package upstream

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/http1"
)

// conn is a connection, with all that is needed for one request at a time. It
// belongs to whom it was given: RoundTrip, then the answer's body, then the
// pool. Only abort is called by others.
type conn struct {
	client *Client
	host   string
	socket net.Conn
	raw    syscall.RawConn // nil if the socket has none; then it is used only once
	step   func(fd uintptr) bool
	abort  func()

	// For one request at a time.
	out       []byte // what is to be sent
	call      call
	sent      int   // bytes sent
	got       int   // bytes received
	err       error // of the network
	stage     stage
	reused    bool // whether it has served a request before
	stale     bool // whether it turned out to be unusable before anything was sent
	doubtful  bool // whether it must not be kept
	timed     bool // whether there is a deadline for reading
	headLeft  int  // bytes that the header may still have, if inHead
	inHead    bool
	record    []byte // the header as it was read, if recording
	recording bool

	ctx     context.Context
	stop    func() bool // ends the watch for the context's end
	aborted atomic.Bool

	buffer *bufio.Reader
	head   http1.Head
	answer *answer // nil if net/http has made it
	content
	answers []answer // to come

	idleSince time.Time
}

// bufferSize holds most headers, and most small answers as a whole.
const bufferSize = 4 << 10

func newConn(client *Client, host string, socket net.Conn) *conn {
	c := &conn{client: client, host: host, socket: socket}
	if s, ok := socket.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	c.step = c.exchange
	c.abort = func() {
		c.aborted.Store(true)
		c.socket.Close()
	}
	c.buffer = bufio.NewReaderSize((*reader)(c), bufferSize)
	return c
}

// roundTrip sends a request and reads the header of its answer. After an error
// the connection is closed.
func (c *conn) roundTrip(r *http.Request, out []byte) (*http.Response, error) {
	c.out, c.sent, c.got, c.stage = out, 0, 0, quiet
	c.inHead, c.headLeft = true, c.client.options.MaxHeaderBytes
	c.watch(r.Context())
	c.timed = true
	err := c.socket.SetDeadline(time.Now().Add(c.client.options.HeaderTimeout))
	var answer *http.Response
	if err == nil {
		answer, err = c.readAnswer(r)
	}
	c.out = nil
	if err != nil {
		c.unwatch()
		c.socket.Close()
		return nil, err
	}
	c.inHead = false
	return answer, nil
}

// lost says whether a connection that had been kept broke before anything of an
// answer came.
func (c *conn) lost() bool {
	return c.reused && c.got == 0 && c.err != nil && !isTimeout(c.err)
}

// watch makes the context's end close the connection.
func (c *conn) watch(ctx context.Context) {
	c.ctx = ctx
	if canceler, ok := ctx.(Canceler); ok {
		canceler.OnCancel(c.abort)
	} else if ctx.Done() != nil {
		c.stop = context.AfterFunc(ctx, c.abort)
	}
}

// unwatch ends that. It says whether the context has not ended, so that abort
// is not called and will not be.
func (c *conn) unwatch() bool {
	if canceler, ok := c.ctx.(Canceler); ok {
		canceler.OnCancel(nil)
	} else if c.stop != nil && !c.stop() {
		c.aborted.Store(true) // or is about to be
	}
	c.stop = nil
	return !c.aborted.Load()
}

// cause is why a read failed: the context's end comes before the network's
// errors that it leads to.
func (c *conn) cause(err error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return err
}

// release ends a request. whole says that all of the answer has been read.
func (c *conn) release(whole bool) {
	keep := c.unwatch() && whole && c.raw != nil && c.keepable()
	c.ctx = nil
	c.head.Forget()
	if c.answer != nil {
		c.answer.forget()
		c.answer = nil
	}
	c.content = content{}
	c.record = nil
	if !keep {
		c.socket.Close()
		return
	}
	c.reused = true
	c.client.pool.put(c.host, c)
}

// keepable says whether a connection whose answer has been read can serve another
// request: nobody wants it closed, and nothing has come that was not asked for.
func (c *conn) keepable() bool {
	return !c.doubtful && c.err == nil && c.buffer.Buffered() == 0
}
