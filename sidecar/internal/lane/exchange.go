package lane

import (
	"bytes"
	"io"
	"net/http"
	"net/url"

	"github.com/bff-operator/bff-operator/sidecar/internal/http1"
)

// exchange is one request and its answer, in memory that is the connection's. It
// is the answer's http.ResponseWriter.
type exchange struct {
	conn    *conn
	context *connContext

	blank   *http.Request // what every request begins with
	request *http.Request
	url     url.URL
	body    body
	line    http1.Line
	host    string
	length  int64

	header  http.Header
	out     []byte // what is not written yet
	status  int    // 0 before the header
	left    int64  // of the announced length; negative if it is not known
	chunked bool
	bare    bool // an answer without a body, whatever is written
	broken  bool // the connection cannot be used after this
}

func newExchange(c *conn) *exchange {
	x := &exchange{conn: c, context: newConnContext(), header: http.Header{}, request: new(http.Request)}
	x.blank = (&http.Request{
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: c.RemoteAddr().String(), Body: http.NoBody,
	}).WithContext(x.context)
	return x
}

// read reads a request out of its head. It is not ok if it is not of the
// grammar; length is that of its body.
func (x *exchange) read(head *http1.Head) (length int64, ok bool) {
	if x.line, ok = http1.ParseLine(head.Line); !ok {
		return 0, false
	}
	if x.host, ok = http1.Host(head.Header); !ok {
		return 0, false
	}
	x.length, ok = http1.Framing(head.Header)
	return x.length, ok
}

// reset makes the exchange one of the request that was read.
func (x *exchange) reset(content []byte) {
	r := x.request
	*r = *x.blank
	r.Method, r.RequestURI, r.Host, r.ContentLength, r.Header = x.line.Method, x.line.RequestURI, x.host, x.length, x.conn.head.Header
	x.line.Target.URL(&x.url)
	r.URL = &x.url
	if len(content) > 0 {
		x.body.Reset(content)
		r.Body = &x.body
	}
	clear(x.header)
	x.out = x.out[:0]
	x.status, x.left, x.chunked, x.bare, x.broken = 0, -1, false, false, false
}

// body is a request's body, which is all there.
type body struct{ bytes.Reader }

var _ io.ReadCloser = (*body)(nil)

// Close implements io.Closer.
func (b *body) Close() error { return nil }
