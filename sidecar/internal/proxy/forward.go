package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
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
	// keeps says whether a small body is to be kept, so that it can be sent twice;
	// keep is told of one.
	keeps() bool
	keep(body []byte)
	// request takes from a request's header what must not be sent.
	request(http.Header)
	// response changes the answer that is returned.
	response(*http.Response)
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

// forward sends the request and streams the answer back.
func (f *forwarder) forward(w http.ResponseWriter, r *http.Request, h hop) {
	if !gate.IsWebSocket(r) {
		// No other protocol is switched to: an upgrade to h2c would hide later
		// requests from us.
		r.Header.Del("Upgrade")
	}
	in, out := steady(w, r, f.stall)
	defer out.done()
	if r.ContentLength > 0 && r.ContentLength <= maxKept && h.behind.keeps() {
		if !keep(w, r, in, h.behind) {
			return
		}
	}
	proxy := httputil.ReverseProxy{
		// Event streams and bodies of unknown length are flushed as they arrive,
		// which is what no FlushInterval means.
		Transport:  h.behind,
		BufferPool: f.buffers,
		ErrorLog:   f.errorLog,
		Rewrite: func(p *httputil.ProxyRequest) {
			f.rewrite(p.In, p.Out, h)
		},
		ModifyResponse: func(answer *http.Response) error {
			h.behind.response(answer)
			scrubAnswer(answer.Trailer) // those that are announced
			answer.Header.Del(problem.RequestIDHeader)
			w.Header().Set(problem.RequestIDHeader, problem.RequestID(r.Context()))
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if in.stalled() {
				stalled(w, r)
				return
			}
			if answer, ok := errors.AsType[refusal](context.Cause(r.Context())); ok { // the session has gone
				answer(w, r)
				return
			}
			if answer, ok := errors.AsType[refusal](err); ok {
				answer(w, r)
				return
			}
			if r.Context().Err() != nil && !errors.Is(r.Context().Err(), context.DeadlineExceeded) {
				return // the browser has gone
			}
			f.logger.LogAttrs(r.Context(), slog.LevelWarn, "no answer from behind the sidecar",
				slog.String("requestID", problem.RequestID(r.Context())), slog.String("host", h.to.Host), slog.Any("error", cause(err)))
			h.behind.failed(w, r, timedOut(err))
		},
	}
	proxy.ServeHTTP(finalOnly{out}, r)
	scrubTrailers(w.Header())
}

// keep reads a small body, so that it can be sent more than once. It says
// whether it got all of it, and answers the request if not.
func keep(w http.ResponseWriter, r *http.Request, in *steadyBody, to behind) bool {
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		if in.stalled() {
			stalled(w, r)
		} else {
			problem.BadRequest.Write(w, r, "The request's body is shorter than announced.")
		}
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	to.keep(body)
	return true
}

func stalled(w http.ResponseWriter, r *http.Request) {
	problem.RequestTimeout.Write(w, r, "The request's body stopped arriving. Send it again.")
}

// rewrite makes the outgoing request of one that ReverseProxy has cloned and
// freed of hop-by-hop headers, those named in Connection included. What it
// sets, no browser can have removed.
func (f *forwarder) rewrite(in, out *http.Request, h hop) {
	out.URL = &url.URL{Scheme: h.to.Scheme, Host: h.to.Host, Opaque: h.path.Escaped,
		RawQuery: h.path.Query, ForceQuery: h.path.HasQuery && h.path.Query == ""}
	out.Host = h.host
	// A trailer would arrive after everything was scrubbed. Browsers send none.
	out.Trailer = nil

	header := out.Header
	h.behind.request(header)
	if h.client.IsValid() {
		header["X-Forwarded-For"] = []string{h.client.String()} // BFF-37: one that we vouch for
	}
	header["X-Forwarded-Proto"] = f.proto
	header["X-Forwarded-Host"] = f.host
	header[problem.RequestIDHeader] = []string{problem.RequestID(in.Context())}
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// cause keeps of an error what helps to find out why nothing answered. The rest
// is dropped, since net/http quotes answers that it cannot parse.
func cause(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	switch {
	case timedOut(err):
		return errors.New("timed out")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed before an answer")
	}
	return errors.New("no usable HTTP answer")
}

// finalOnly keeps interim answers (status 1xx) to itself: ReverseProxy would
// pass on their headers unseen. Switching protocols is final.
type finalOnly struct{ http.ResponseWriter }

func (w finalOnly) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap serves http.ResponseController: flushing, hijacking, deadlines.
func (w finalOnly) Unwrap() http.ResponseWriter { return w.ResponseWriter }
