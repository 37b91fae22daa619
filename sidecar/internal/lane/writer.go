package lane

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/http1"
)

// maxHeld is how much of an answer is held back, so that header and body leave
// together.
const maxHeld = 8 << 10

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements http.ResponseWriter. Interim answers are not sent.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 || status < 200 {
		return
	}
	x.status = status
	h := x.header
	x.bare = x.request.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
	delete(h, "Transfer-Encoding") // it is the connection's, and so ours
	x.frame(status)
	if connection := h["Connection"]; len(connection) > 0 {
		x.broken = strings.EqualFold(connection[0], "close")
	}

	b := append(x.out, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	if h["Date"] == nil {
		b = append(b, *date()...) // RFC 9110 section 6.6.1
	}
	b = http1.AppendFields(b, h)
	if x.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	x.out = append(b, "\r\n"...)
}

// frame decides how the client finds the end of the body (RFC 9112 section 6.3).
func (x *exchange) frame(status int) {
	h := x.header
	if status == http.StatusNoContent {
		delete(h, "Content-Length")
		return
	}
	if values := h["Content-Length"]; len(values) > 0 {
		n, err := strconv.ParseUint(values[0], 10, 63)
		if len(values) == 1 && err == nil {
			x.left = int64(n)
			return
		}
		delete(h, "Content-Length")
	}
	x.chunked = !x.bare
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.bare || len(p) == 0 {
		return len(p), nil
	}
	if !x.chunked {
		if int64(len(p)) > x.left {
			x.broken = true
			return 0, http.ErrContentLength
		}
		x.left -= int64(len(p))
		return len(p), x.send(p)
	}
	x.out = strconv.AppendInt(x.out, int64(len(p)), 16)
	x.out = append(x.out, "\r\n"...)
	if err := x.send(p); err != nil {
		return 0, err
	}
	return len(p), x.send(endOfLine)
}

var endOfLine = []byte("\r\n")

// send holds p back, or writes it with what was held back.
func (x *exchange) send(p []byte) error {
	if len(x.out)+len(p) <= maxHeld {
		x.out = append(x.out, p...)
		return nil
	}
	if err := x.flush(); err != nil {
		return err
	}
	if len(p) <= maxHeld {
		x.out = append(x.out, p...)
		return nil
	}
	_, err := x.conn.TCPConn.Write(p)
	x.broken = x.broken || err != nil
	return err
}

// flush writes what was held back.
func (x *exchange) flush() error {
	if len(x.out) == 0 {
		return nil
	}
	err := x.conn.SetWriteDeadline(time.Now().Add(x.conn.lane.options.StallTimeout))
	if err == nil {
		_, err = x.conn.TCPConn.Write(x.out)
	}
	x.out = x.out[:0]
	x.broken = x.broken || err != nil
	return err
}

// FlushError implements what http.ResponseController flushes with.
func (x *exchange) FlushError() error {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	return x.flush()
}

// ReadFrom implements io.ReaderFrom. What is not in chunks the kernel may copy by
// itself.
func (x *exchange) ReadFrom(from io.Reader) (int64, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.bare || x.chunked {
		return io.Copy(struct{ io.Writer }{x}, from)
	}
	if err := x.flush(); err != nil {
		return 0, err
	}
	n, err := x.conn.TCPConn.ReadFrom(io.LimitReader(from, x.left))
	x.left -= n
	x.broken = x.broken || err != nil
	return n, err
}

// SetReadDeadline and SetWriteDeadline serve http.ResponseController.
func (x *exchange) SetReadDeadline(t time.Time) error { return x.conn.SetReadDeadline(t) }

// SetWriteDeadline is taken up by the next write.
func (x *exchange) SetWriteDeadline(t time.Time) error {
	if t.IsZero() || len(x.out) > 0 && x.left == 0 {
		return nil // flush sets one of its own
	}
	return x.conn.SetWriteDeadline(t)
}

// finish ends an answer. One that is shorter than it was announced ends the
// connection.
func (x *exchange) finish() {
	if x.status == 0 {
		if x.context.Err() != nil { // nobody is there to tell anything
			x.broken = true
			return
		}
		x.WriteHeader(http.StatusOK)
	}
	if x.chunked {
		x.out = append(x.out, "0\r\n"...)
		x.trailers()
		x.out = append(x.out, "\r\n"...)
	}
	if x.left > 0 && !x.bare {
		x.broken = true
	}
	_ = x.flush() // it notes what goes wrong
	if cap(x.out) > 2*maxHeld {
		x.out = nil
	}
}

// trailers appends those that were announced, and those under
// http.TrailerPrefix.
func (x *exchange) trailers() {
	for _, line := range x.header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); x.header[name] != nil {
				x.out = http1.AppendFields(x.out, http.Header{name: x.header[name]})
			}
		}
	}
	for name, values := range x.header {
		if bare, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			x.out = http1.AppendFields(x.out, http.Header{bare: values})
		}
	}
}

// today is the Date field of this second.
var today atomic.Pointer[dated]

type dated struct {
	second int64
	field  string
}

func date() *string {
	now := time.Now()
	if d := today.Load(); d != nil && d.second == now.Unix() {
		return &d.field
	}
	d := &dated{now.Unix(), "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
	today.Store(d)
	return &d.field
}
