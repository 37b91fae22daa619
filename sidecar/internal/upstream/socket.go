package upstream

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// stage is how far an exchange has come.
type stage uint8

const (
	quiet   stage = iota // nothing should have been sent by anybody
	ready                // nothing was: the request can be sent
	sending              // the request is on its way, the socket is full
	waiting              // the request is sent
	reading              // the answer has begun
)

// reader is what the buffer reads from: the connection. The first read of an
// exchange sends the request.
type reader conn

// errHeader says that an answer's header is larger than allowed.
var errHeader = errors.New("the answer's header is too large")

func (r *reader) Read(p []byte) (int, error) {
	c := (*conn)(r)
	if c.err != nil {
		return 0, c.err
	}
	if !c.inHead && c.timed {
		c.timed = false
		if err := c.socket.SetReadDeadline(time.Time{}); err != nil {
			c.err = err
			return 0, err
		}
	}
	if c.inHead {
		if c.headLeft <= 0 {
			return 0, errHeader
		}
		p = p[:min(len(p), c.headLeft)]
	}
	n, err := c.receive(p)
	c.got += n
	if c.inHead {
		c.headLeft -= n
		if c.recording {
			c.record = append(c.record, p[:n]...)
		}
	}
	if err != nil {
		c.err = err
	}
	return n, err
}

func (c *conn) receive(p []byte) (int, error) {
	if c.stage == reading {
		return c.socket.Read(p)
	}
	if c.raw == nil {
		c.stage = sending
		return c.finish(p)
	}
	c.call = call{into: p}
	err := c.raw.Read(c.step)
	n, failure := c.call.n, c.call.err
	c.call = call{}
	switch e, ok := errors.AsType[*net.OpError](err); {
	case ok:
		e.Op = "read"
		return 0, e
	case err != nil:
		return 0, err
	case c.stage == sending:
		return c.finish(p)
	}
	return n, failure
}

// call is what exchange is given and what it gives back.
type call struct {
	into []byte // where the first bytes of the answer go
	n    int
	err  error
}

// finish sends what is left, and waits for the answer.
func (c *conn) finish(p []byte) (int, error) {
	n, err := c.socket.Write(c.out[c.sent:])
	c.sent += n
	c.stage = reading
	if err != nil {
		// See refused. This does not wait: the connection is broken, or the deadline
		// over.
		c.doubtful = true
		if n, _ := c.socket.Read(p); n > 0 {
			return n, nil
		}
		return 0, err
	}
	return c.socket.Read(p)
}

// exchange does as much of an exchange as can be done without waiting. It is
// called whenever there may be something to read, and is true when it need not
// be called again.
//
// The poller tells of what arrives from before the first call on. So the request
// can be sent within it, and no read has to fail first to make it look. The read
// that does fail is the one that makes sure that the connection is still open, and
// that there is nothing in it: bytes that nobody has asked for would be taken for
// the answer to this request.
func (c *conn) exchange(fd uintptr) (done bool) {
	if c.stage == quiet {
		if n, err := again(syscall.Read, fd, c.call.into); err != syscall.EAGAIN {
			c.noisy(n, err)
			return true
		}
		c.stage = ready
	}
	if c.stage == ready {
		for c.sent < len(c.out) {
			n, err := again(syscall.Write, fd, c.out[c.sent:])
			if err == syscall.EAGAIN {
				c.stage = sending
				return true
			}
			if err != nil {
				return c.refused(fd, err)
			}
			c.sent += n
		}
		c.stage = waiting
		return false
	}
	n, err := again(syscall.Read, fd, c.call.into)
	if err == syscall.EAGAIN {
		return false
	}
	c.stage, c.call.n = reading, n
	if n == 0 {
		c.call.err = c.failed("read", err)
	}
	return true
}

// noisy is called when there is something on a connection before anything was
// sent: its end, or n bytes. From a server that has just accepted it, they are an
// answer to whoever comes.
func (c *conn) noisy(n int, err error) {
	switch {
	case n == 0:
		c.call.err = c.failed("read", err)
	case c.reused:
		c.call.err = errUnasked
	default:
		c.call.n, c.doubtful = n, true
	}
	c.stage, c.stale = reading, c.reused
}

// refused is called when the request could not be sent, or not all of it. There
// may be an answer all the same, that says why.
func (c *conn) refused(fd uintptr, err error) (done bool) {
	c.stage, c.doubtful = reading, true
	if c.call.n, _ = again(syscall.Read, fd, c.call.into); c.call.n == 0 {
		c.call.err = c.failed("write", err)
	}
	return true
}

// errUnasked says that a server has sent something before it was asked.
var errUnasked = errors.New("there were bytes on an idle connection")

// again makes a system call again until no signal interrupts it. The length is
// never negative.
func again(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(int(fd), p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// failed makes an error of a system call, as package net has it.
func (c *conn) failed(operation string, err error) error {
	if err == nil {
		return io.EOF
	}
	return &net.OpError{Op: operation, Net: "tcp", Source: c.socket.LocalAddr(), Addr: c.socket.RemoteAddr(), Err: os.NewSyscallError(operation, err)}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
