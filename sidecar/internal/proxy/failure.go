package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

// failed answers a request that no answer has come to.
func (f *forwarder) failed(w http.ResponseWriter, r *http.Request, h *hop, isStalled bool, err error) {
	if isStalled {
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
		slog.String("requestID", problem.RequestIDOf(w)), slog.String("host", h.to.Host), slog.Any("error", cause(err)))
	h.behind.failed(w, r, timedOut(err))
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
