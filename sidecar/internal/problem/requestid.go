package problem

import (
	"context"
	"crypto/rand"
	"net/http"
)

// RequestIDHeader carries the request's identifier to the browser and to the
// upstream. What a browser sends under this name is never used: a caller must
// not choose what stands in the log.
const RequestIDHeader = "X-Request-Id"

type requestIDKey struct{}

// WithRequestID puts a request's identifier into a context.
func WithRequestID(ctx context.Context, id string) context.Context {
	return &identified{ctx, id}
}

// identified is context.WithValue with one allocation less.
type identified struct {
	context.Context
	id string
}

// Value implements context.Context.
func (c *identified) Value(key any) any {
	if key == (requestIDKey{}) {
		return c.id
	}
	return c.Context.Value(key)
}

// RequestID is the identifier of the request whose context it is, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// RequestIDOf is the identifier of the request that w answers, or "".
func RequestIDOf(w http.ResponseWriter) string {
	if values := w.Header()[RequestIDHeader]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// IdentifyAnswer gives an answer a fresh random identifier, of at least 128 bits.
func IdentifyAnswer(w http.ResponseWriter) { w.Header()[RequestIDHeader] = []string{rand.Text()} }

// Identify gives every request a fresh random identifier of at least 128 bits,
// in its context and in the answer's X-Request-Id.
func Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		IdentifyAnswer(w)
		next.ServeHTTP(w, r.WithContext(WithRequestID(r.Context(), RequestIDOf(w))))
	})
}
