package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// stallTimeout is how long a browser may neither send nor take a byte in the
// middle of a body. A body as a whole may take as long as it likes.
const stallTimeout = 60 * time.Second

// steady puts a request's body and its answer under the stall time-out, so that
// a browser that is silent does not hold connections for ever.
func steady(p *passage, w http.ResponseWriter, r *http.Request, stall time.Duration) {
	if r.Body != nil && r.Body != http.NoBody {
		p.body.ReadCloser, p.body.controller, p.body.stall = r.Body, http.NewResponseController(w), stall
		r.Body = &p.body
	}
	p.to = steadyWriter{ResponseWriter: w, stall: stall}
}

// steadyBody is a body whose reads have a deadline each.
type steadyBody struct {
	io.ReadCloser
	controller *http.ResponseController
	stall      time.Duration
	expired    atomic.Bool
}

func (b *steadyBody) Read(p []byte) (int, error) {
	// A connection that knows no deadlines has none.
	_ = b.controller.SetReadDeadline(time.Now().Add(b.stall))
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.expired.Store(true)
	} else if err != nil {
		// The body is over. The server goes on reading, to notice when the browser
		// leaves, and that must not expire.
		_ = b.controller.SetReadDeadline(time.Time{})
	}
	return n, err
}

func (b *steadyBody) stalled() bool { return b.expired.Load() }

// steadyWriter is an answer whose writes have a deadline each.
type steadyWriter struct {
	http.ResponseWriter
	stall time.Duration
	armed bool
}

func (w *steadyWriter) Write(p []byte) (int, error) {
	w.arm()
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, for what gets from one socket to the other
// without our seeing it.
func (w *steadyWriter) ReadFrom(from io.Reader) (int64, error) {
	w.arm()
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(from)
	}
	return io.Copy(struct{ io.Writer }{w}, from)
}

// FlushError implements what http.ResponseController flushes with.
func (w *steadyWriter) FlushError() error {
	w.arm()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *steadyWriter) arm() {
	w.armed = true
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.stall))
}

// done takes the deadline away again: what comes next on the connection is not
// ours.
func (w *steadyWriter) done() {
	if w.armed {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Time{})
	}
}

// Unwrap serves http.ResponseController: deadlines.
func (w *steadyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w *steadyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetWriteDeadline(time.Now().Add(w.stall)) // for what is written through the buffer
	return steadyConn{conn, w.stall}, buffered, nil
}

// steadyConn is a socket whose writes have a deadline each. It may be silent for
// as long as it likes.
type steadyConn struct {
	net.Conn
	stall time.Duration
}

func (c steadyConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// CloseWrite passes on that the other side has nothing more to say. The browser
// may finish what it is saying.
func (c steadyConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported // ReverseProxy then closes both
	}
	if err := c.SetReadDeadline(time.Now().Add(c.stall)); err != nil {
		return err
	}
	return half.CloseWrite()
}
