package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

// forwarder sends requests to what stands behind the sidecar and its answers
// back. It is immutable and shared by all requests.
type forwarder struct {
	transport http.RoundTripper
	buffers   *buffers
	logger    *slog.Logger
	stall     time.Duration // how long a browser may be silent in the middle of a body
	// The same for every request, so the slices are shared and never changed.
	proto, host []string
	errorLog    *log.Logger
}

func newForwarder(transport http.RoundTripper, public *url.URL, logger *slog.Logger) *forwarder {
	return &forwarder{
		transport: transport, buffers: newBuffers(), logger: logger, stall: stallTimeout,
		proto: []string{public.Scheme}, host: []string{public.Host},
		errorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// hop is one request's way through a forwarder.
type hop struct {
	// to is scheme and host to send to; host is the Host header.
	to   *url.URL
	host string
	path Path
	// request changes the header that is sent, after it was scrubbed.
	request func(http.Header)
	// response changes the header that is returned.
	response func(http.Header)
	// failed answers when no answer came.
	failed func(w http.ResponseWriter, r *http.Request, timedOut bool)
}

// forward sends the request and streams the answer back.
func (f *forwarder) forward(w http.ResponseWriter, r *http.Request, h hop) {
	if !gate.IsWebSocket(r) {
		// No other protocol is switched to: an upgrade to h2c would hide later
		// requests from us.
		r.Header.Del("Upgrade")
	}
	in, out := steady(w, r, f.stall)
	defer out.done()
	proxy := httputil.ReverseProxy{
		// Event streams and bodies of unknown length are flushed as they arrive,
		// which is what no FlushInterval means.
		Transport:  f.transport,
		BufferPool: f.buffers,
		ErrorLog:   f.errorLog,
		Rewrite: func(p *httputil.ProxyRequest) {
			f.rewrite(p.In, p.Out, h)
		},
		ModifyResponse: func(answer *http.Response) error {
			h.response(answer.Header)
			answer.Header.Del(problem.RequestIDHeader)
			w.Header().Set(problem.RequestIDHeader, problem.RequestID(r.Context()))
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if in.stalled() {
				problem.RequestTimeout.Write(w, r, "The request's body stopped arriving. Send it again.")
				return
			}
			if r.Context().Err() != nil && !errors.Is(r.Context().Err(), context.DeadlineExceeded) {
				return // the browser has gone
			}
			f.logger.LogAttrs(r.Context(), slog.LevelWarn, "no answer from behind the sidecar",
				slog.String("requestID", problem.RequestID(r.Context())), slog.String("host", h.to.Host), slog.Any("error", cause(err)))
			h.failed(w, r, timedOut(err))
		},
	}
	proxy.ServeHTTP(finalOnly{out}, r)
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
	h.request(header)
	client, _, err := net.SplitHostPort(in.RemoteAddr)
	if err == nil {
		// The TCP peer, and nothing that anybody says (BFF-37).
		header["X-Forwarded-For"] = []string{client}
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
