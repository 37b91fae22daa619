package proxy

import (
	"bytes"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

// forwarder sends requests to what stands behind the sidecar and its answers
// back. It is immutable and shared by all requests.
type forwarder struct {
	buffers *buffers
	logger  *slog.Logger
	stall   time.Duration // how long a browser may be silent in the middle of a body
	// The same for every request, so the slices are shared and never changed.
	proto, host []string
	errorLog    *log.Logger
}

func newForwarder(public *url.URL, logger *slog.Logger) *forwarder {
	return &forwarder{
		buffers: newBuffers(), logger: logger, stall: stallTimeout,
		proto: []string{public.Scheme}, host: []string{public.Host},
		errorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// behind is what a hop leads to. It sends what it is given, and may answer a
// request by a refusal.
type behind interface {
	http.RoundTripper
	// keep is told of a small body, which can be sent more than once.
	keep(body []byte)
	// request takes from a request's header what must not be sent.
	request(http.Header)
	// response changes the answer that is returned.
	response(*http.Response)
	// stream makes the body of an event stream one that ends with the session.
	stream(*http.Response) io.ReadCloser
	// failed answers when no answer came.
	failed(w http.ResponseWriter, r *http.Request, timedOut bool)
}

// hop is one request's way through a forwarder.
type hop struct {
	// to is scheme and host to send to; host is the Host header.
	to   *url.URL
	host string
	path Path
	// client is the client's address, if it is known.
	client netip.Addr
	behind behind
}

// maxKept bounds a body that is kept, in bytes.
const maxKept = 64 << 10

// passage is the memory of one request on its way.
type passage struct {
	out  http.Request
	url  url.URL
	body steadyBody
	to   steadyWriter
	from [1]string // X-Forwarded-For
}

// passages are for requests that are over when they were answered. Of the others
// net/http may still hold something.
var passages = sync.Pool{New: func() any { return new(passage) }}

// forward sends the request and streams the answer back. It keeps r.Header and
// changes it.
func (f *forwarder) forward(w http.ResponseWriter, r *http.Request, h *hop) {
	if gate.IsWebSocket(r) {
		f.tunnel(w, r, h)
		return
	}
	f.pass(new(passage), w, r, h)
}

// forwardAgain is forward for a request whose context is an upstream.Canceler,
// and of which therefore nothing is held when it was answered.
func (f *forwarder) forwardAgain(w http.ResponseWriter, r *http.Request, h *hop) {
	p := passages.Get().(*passage)
	f.pass(p, w, r, h)
	*p = passage{}
	passages.Put(p)
}

func (f *forwarder) pass(p *passage, w http.ResponseWriter, r *http.Request, h *hop) {
	steady(p, w, r, f.stall)
	defer p.to.done()
	if r.ContentLength > 0 && r.ContentLength <= maxKept && !keep(p, w, r, h.behind) {
		return
	}
	out := f.outgoing(p, w, r, h)
	if out.Body != nil {
		// The transport may read on when it has an answer; nobody may once we return.
		defer out.Body.Close()
	}
	answer, err := h.behind.RoundTrip(out)
	if err != nil {
		f.failed(w, r, h, p.body.stalled(), err)
		return
	}
	f.answer(&p.to, answer, h)
}

// keep reads a small body, so that it can be sent more than once. It says
// whether it got all of it, and answers the request if not.
func keep(p *passage, w http.ResponseWriter, r *http.Request, to behind) bool {
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		if p.body.stalled() {
			stalled(w, r)
		} else {
			problem.BadRequest.Write(w, r, "The request's body is shorter than announced.")
		}
		return false
	}
	r.Header.Del("Expect") // nothing has to be waited for any more
	// In memory of its own: a transport may still read it when it has an answer.
	r.Body = io.NopCloser(bytes.NewReader(body))
	to.keep(body)
	return true
}

func stalled(w http.ResponseWriter, r *http.Request) {
	problem.RequestTimeout.Write(w, r, "The request's body stopped arriving. Send it again.")
}

// outgoing makes the request that is sent. What it sets, no browser can have
// removed.
func (f *forwarder) outgoing(p *passage, w http.ResponseWriter, r *http.Request, h *hop) *http.Request {
	p.out = *r
	out := &p.out
	out.RequestURI, out.Close = "", false
	if out.ContentLength == 0 {
		out.Body = nil
	}
	f.rewrite(p, out, w.Header(), h)
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = nothing // net/http would write one of its own
	}
	return out
}

// nothing is a value that is not written. It is shared and never changed.
var nothing = []string{""}

// rewrite addresses a request that was received to what is behind, and frees it
// of what was meant for us.
func (f *forwarder) rewrite(p *passage, out *http.Request, answer http.Header, h *hop) {
	p.url = url.URL{Scheme: h.to.Scheme, Host: h.to.Host, Opaque: h.path.Escaped,
		RawQuery: h.path.Query, ForceQuery: h.path.HasQuery && h.path.Query == ""}
	out.URL = &p.url
	out.Host = h.host
	// A trailer would arrive after everything was scrubbed. Browsers send none.
	out.Trailer = nil

	header := out.Header
	withoutHops(header)
	h.behind.request(header)
	if h.client.IsValid() {
		p.from[0] = textOf(h.client, out.RemoteAddr)
		header["X-Forwarded-For"] = p.from[:1:1] // BFF-37: one that we vouch for
	}
	header["X-Forwarded-Proto"] = f.proto
	header["X-Forwarded-Host"] = f.host
	header[problem.RequestIDHeader] = answer[problem.RequestIDHeader]
}

// textOf is an address as text. If it is the one that the connection comes from
// the text is there already.
func textOf(address netip.Addr, peer string) string {
	var room [64]byte
	text := address.AppendTo(room[:0])
	if host := peer[:max(0, strings.LastIndexByte(peer, ':'))]; string(text) == host {
		return host
	}
	return string(text)
}

// answer streams an answer back. It ends the connection to the browser if it
// cannot be done, so that nobody takes half an answer for a whole one.
func (f *forwarder) answer(w *steadyWriter, answer *http.Response, h *hop) {
	defer func() { answer.Body.Close() }() // or what is put in its place
	header := w.Header()
	withoutHops(answer.Header)
	h.behind.response(answer)
	scrubAnswer(answer.Trailer) // those that are announced
	delete(answer.Header, problem.RequestIDHeader)
	for name, values := range answer.Header {
		header[name] = values
	}
	if header["Content-Type"] == nil {
		header["Content-Type"] = nil // what the upstream has not named nobody guesses
	}
	announced := len(answer.Trailer)
	announce(header, answer.Trailer)
	events := isEventStream(answer.Header)
	w.WriteHeader(answer.StatusCode)
	if events {
		// The session may end it at any moment now, and an answer that is closed has no
		// header any more: it is not looked at again.
		answer.Body = h.behind.stream(answer)
	}
	if err := f.copy(w, answer.Body, events || answer.ContentLength < 0); err != nil {
		panic(http.ErrAbortHandler)
	}
	if events {
		return
	}
	if len(answer.Trailer) > 0 {
		_ = w.FlushError() // so that the answer is in chunks, which alone have trailers
		trailers(header, answer.Trailer, len(answer.Trailer) == announced)
	}
}

// copy copies a body, flushed as it arrives if flush says so: event streams, and
// bodies of unknown length.
func (f *forwarder) copy(w *steadyWriter, body io.Reader, flush bool) error {
	if from, ok := body.(io.WriterTo); ok && !flush {
		_, err := from.WriteTo(w)
		return err
	}
	if flush {
		if err := w.FlushError(); err != nil { // the header, for who waits for that
			return err
		}
	}
	buffer := f.buffers.Get()
	defer f.buffers.Put(buffer)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			if flush {
				if err := w.FlushError(); err != nil {
					return err
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
