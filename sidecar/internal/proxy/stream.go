package proxy

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// whileAlive is a context that ends with the session: when its life is over, or
// when it is ended, on whichever replica (BCL-22). Its cause is then a refusal
// that says so.
func (c *Common) whileAlive(ctx context.Context, sess *session.Session) (context.Context, context.CancelFunc) {
	over := func(reason session.EndReason) error {
		return refusal(func(w http.ResponseWriter, r *http.Request) { c.over(w, r, reason) })
	}
	ctx, end := context.WithCancelCause(ctx)
	ctx, cancel := context.WithTimeoutCause(ctx, sess.ExpiresAt.Sub(c.Clock()), over(session.EndExpired))
	events, unwatch := c.Sessions.Watch(sess)
	go func() {
		defer unwatch()
		defer cancel()
		for {
			select {
			case event, open := <-events:
				switch {
				case !open:
					end(over(session.EndUnknown))
					return
				case event.Kind == session.EventEnded:
					end(over(event.Reason))
					return
				}
			case <-ctx.Done():
				end(nil)
				return
			}
		}
	}()
	return ctx, cancel
}

// isEventStream says whether an answer is a stream of server-sent events, which
// has no end of its own.
func isEventStream(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) == 0 {
		return false
	}
	mediaType, _, _ := strings.Cut(values[0], ";")
	return strings.EqualFold(strings.Trim(mediaType, " \t"), "text/event-stream")
}

// stream makes a body that ends with the session, as if the upstream had come
// to its end.
func (c *Common) stream(ctx context.Context, body io.ReadCloser, sess *session.Session) io.ReadCloser {
	ctx, cancel := c.whileAlive(ctx, sess)
	s := &stream{ReadCloser: body, cancel: cancel}
	context.AfterFunc(ctx, func() {
		s.over.Store(true)
		body.Close() // wakes a Read
	})
	return s
}

type stream struct {
	io.ReadCloser
	cancel context.CancelFunc
	over   atomic.Bool
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && s.over.Load() {
		err = io.EOF
	}
	return n, err
}

func (s *stream) Close() error {
	s.cancel()
	return s.ReadCloser.Close()
}
