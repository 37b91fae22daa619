package upstream

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxPiece is how much is handed to a writer at once, in bytes: it may have a
// deadline for each.
const maxPiece = 256 << 10

type copyBuffer [32 << 10]byte

var copyBuffers = sync.Pool{New: func() any { return new(copyBuffer) }}

// WriteTo implements io.WriterTo. To a writer that is an io.ReaderFrom it hands
// the connection itself, in pieces, so that the kernel can move the bytes
// without our seeing them.
func (b *sizedBody) WriteTo(w io.Writer) (int64, error) {
	if err := b.begin(); err != nil {
		return 0, err
	}
	n, err := b.c.writeTo(w)
	if b.end() {
		err = http.ErrBodyReadAfterClose
	}
	return n, err
}

func (c *conn) writeTo(w io.Writer) (written int64, err error) {
	if c.ended != nil {
		return 0, beforeEnd(c.ended)
	}
	if ready := min(int64(c.buffer.Buffered()), c.left); ready > 0 {
		p, _ := c.buffer.Peek(int(ready)) // it is there
		n, err := write(w, p)
		_, _ = c.buffer.Discard(n)
		c.left -= int64(n)
		written += int64(n)
		if err != nil {
			return written, c.cause(err)
		}
	}
	if c.left > 0 {
		into, takes := w.(io.ReaderFrom)
		socket, isTCP := c.socket.(*net.TCPConn)
		var n int64
		if takes && isTCP && c.err == nil {
			n, err = c.splice(into, socket)
		} else {
			n, err = c.copy(w)
		}
		written += n
	}
	if c.left == 0 && err == nil {
		c.ended = io.EOF
	}
	return written, err
}

// splice hands the connection to a writer.
func (c *conn) splice(into io.ReaderFrom, socket *net.TCPConn) (written int64, err error) {
	if c.timed {
		c.timed = false
		err = socket.SetReadDeadline(time.Time{})
	}
	limited := io.LimitedReader{R: socket}
	for c.left > 0 && err == nil {
		piece := min(c.left, maxPiece)
		limited.N = piece
		var n int64
		n, err = into.ReadFrom(&limited)
		written += n
		c.left -= piece - limited.N
		if err == nil && limited.N > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		// Whose error it is cannot be told, nor what was read and lost.
		c.doubtful = true
		c.ended = c.cause(err)
		err = c.ended
	}
	return written, err
}

// copy reads and writes.
func (c *conn) copy(w io.Writer) (written int64, err error) {
	buffer := copyBuffers.Get().(*copyBuffer)
	defer copyBuffers.Put(buffer)
	for {
		n, err := c.read(buffer[:])
		if n > 0 {
			m, err := write(w, buffer[:n])
			written += int64(m)
			if err != nil {
				return written, c.cause(err)
			}
		}
		if err != nil {
			return written, beforeEnd(err)
		}
	}
}

// write writes all of p, or says why not.
func write(w io.Writer, p []byte) (int, error) {
	n, err := w.Write(p)
	if n < len(p) && err == nil {
		err = io.ErrShortWrite
	}
	return max(n, 0), err
}

// beforeEnd is the error of an io.WriterTo for that of an io.Reader.
func beforeEnd(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
