package upstream

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"

	"github.com/bff-operator/bff-operator/sidecar/internal/http1"
)

// maxInterim bounds the interim answers before one (RFC 9110 section 15.2).
const maxInterim = 5

// What is wrong with an answer. None of these quotes it.
var (
	errAnswer   = errors.New("the answer is not valid HTTP/1.1")
	errInterim  = errors.New("there are too many interim answers")
	errSwitched = errors.New("the server has switched protocols without having been asked")
)

// readAnswer reads the head of the answer to a request.
func (c *conn) readAnswer(r *http.Request) (*http.Response, error) {
	for range maxInterim + 1 {
		answer, err := c.readHead(r)
		if err != nil {
			return nil, err
		}
		switch {
		case answer.StatusCode == http.StatusSwitchingProtocols:
			return nil, errSwitched
		case answer.StatusCode >= 200:
			return answer, nil
		}
	}
	return nil, errInterim
}

// readHead reads one head, by ourselves if it is a usual one.
func (c *conn) readHead(r *http.Request) (*http.Response, error) {
	length, err := c.headLength()
	if err != nil {
		return nil, early(err)
	}
	if length > 0 {
		head, _ := c.buffer.Peek(length) // it is there
		if c.head.Parse(head) {
			if f, ok := frame(r.Method, c.head.Line, c.head.Header); ok {
				_, _ = c.buffer.Discard(length)
				return c.usual(r, f), nil
			}
		}
	}
	return c.unusual(r)
}

// headLength waits for a head. It is 0 if it can be told that the head is not a
// usual one, or does not fit into the buffer.
func (c *conn) headLength() (int, error) {
	for seen := 0; ; {
		_, err := c.buffer.Peek(seen + 1)
		if err != nil {
			if err == bufio.ErrBufferFull {
				err = nil
			}
			return 0, err
		}
		b, _ := c.buffer.Peek(c.buffer.Buffered())
		from := max(seen-len("\r\n\r"), 0)
		if n := http1.End(b[from:]); n > 0 {
			return from + n, nil
		}
		if !mayBeUsual(b, seen) {
			return 0, nil
		}
		seen = len(b)
	}
}

// mayBeUsual says whether b may be the beginning of a usual head. What is before
// seen has been looked at. A line that ends in a mere LF may be the last one for
// net/http, so that there is nothing more to wait for.
func mayBeUsual(b []byte, seen int) bool {
	for i := min(len(b), len(version)); i > 0; i-- {
		if b[i-1] != version[i-1] {
			return false
		}
	}
	for i := seen; i < len(b); i++ {
		if b[i] == '\n' && (i == 0 || b[i-1] != '\r') {
			return false
		}
	}
	return true
}

// inChunks is shared by all answers and never changed, like noCache.
var (
	inChunks = []string{"chunked"}
	noCache  = []string{"no-cache"}
)

// usual makes the answer of a head that is in c.head.
func (c *conn) usual(r *http.Request, f framing) *http.Response {
	h := c.head.Header
	c.doubtful = c.doubtful || f.doubtful || f.closes
	a := c.newAnswer()
	a.response = http.Response{
		Status: c.head.Line[len(version)+1:], StatusCode: f.status, Proto: version, ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: f.announced, Close: f.closes, Request: r, Body: &a.body,
	}
	if f.status < 200 {
		return &a.response // nobody gets it
	}
	c.answer = a
	c.content = content{left: f.length}
	if pragma := h["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && h["Cache-Control"] == nil {
		h["Cache-Control"] = noCache // as net/http does
	}
	if f.closes {
		delete(h, "Connection")
	}
	if f.length < 0 {
		delete(h, "Transfer-Encoding")
		a.response.TransferEncoding = inChunks
		c.content = content{source: httputil.NewChunkedReader(c.buffer), trailer: true}
		a.response.Body = &a.body.body // which cannot be written as a whole
	}
	return &a.response
}

// unusual lets net/http read a head, of which nothing has been consumed yet.
func (c *conn) unusual(r *http.Request) (*http.Response, error) {
	buffered, _ := c.buffer.Peek(c.buffer.Buffered())
	c.record, c.recording = append(c.record[:0], buffered...), true
	answer, err := http.ReadResponse(c.buffer, r)
	head := c.record[:len(c.record)-c.buffer.Buffered()]
	c.record, c.recording = nil, false
	switch {
	case err != nil && c.err != nil:
		return nil, early(c.err)
	case err != nil && c.headLeft <= 0:
		return nil, errHeader
	case err != nil, answer.StatusCode < 100:
		return nil, errAnswer // net/http's error quotes it
	}
	if answer.Close || answer.ProtoMajor != 1 || answer.ProtoMinor != 1 || !sound(string(head), answer.StatusCode) {
		c.doubtful = true
	}
	for name := range answer.Header {
		if !all(name, isToken) {
			// "Content-Length :" is another field for net/http, and might be none for who
			// gets the answer from us (RFC 9112 section 5.1).
			delete(answer.Header, name)
		}
	}
	if answer.StatusCode >= 200 {
		c.content = content{source: answer.Body}
		answer.Body = &c.newAnswer().body.body
	}
	return answer, nil
}

// readTrailer reads what follows the last chunk (RFC 9112 section 7.1.2), as
// net/http does. A connection on which there were fields in it is not kept: they
// are too rare to be sure of everybody's reading.
func (c *conn) readTrailer() error {
	b, err := c.buffer.Peek(len("\r\n"))
	if err != nil {
		return early(err)
	}
	if string(b) == "\r\n" {
		_, _ = c.buffer.Discard(len(b))
		return nil
	}
	c.doubtful = true
	for http1.End(b) < 0 {
		if _, err := c.buffer.Peek(len(b) + 1); err == bufio.ErrBufferFull {
			return errHeader
		} else if err != nil {
			return early(err)
		}
		b, _ = c.buffer.Peek(c.buffer.Buffered())
	}
	fields, err := textproto.NewReader(c.buffer).ReadMIMEHeader()
	if err != nil {
		return errAnswer
	}
	c.answer.response.Trailer = http.Header(fields)
	return nil
}

// early says that a connection's end came too early.
func early(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
