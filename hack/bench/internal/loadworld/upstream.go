package loadworld

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Upstream is an API that asks for a bearer token and answers at once.
type Upstream struct {
	// Address is host:port.
	Address string

	server  *http.Server
	stopped chan struct{}
}

func startUpstream(ctx context.Context) (*Upstream, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the upstream: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/json", small)
	mux.HandleFunc("GET /api/bytes/{n}", download)
	mux.HandleFunc("POST /api/bytes", upload)
	u := &Upstream{Address: listener.Addr().String(), stopped: make(chan struct{})}
	u.server = &http.Server{Handler: authorized(mux), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	go func() { _ = u.server.Serve(listener); close(u.stopped) }() // it ends by Close
	return u, nil
}

// Close ends it at once.
func (u *Upstream) Close() {
	_ = u.server.Close() // nothing is to be saved
	<-u.stopped
}

// authorized refuses calls without a token, so that a sidecar that attaches none
// does not look fast.
func authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// document is an answer of 1 KiB.
var document = []byte(`{"text":"` + strings.Repeat("x", 1024-len(`{"text":""}`)) + `"}`)

func small(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(document)))
	_, _ = w.Write(document) // the caller has gone; there is nobody to tell
}

func download(w http.ResponseWriter, r *http.Request) {
	left, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil || left < 0 {
		http.Error(w, "no number of bytes", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(left, 10))
	block := make([]byte, 128<<10)
	for left > 0 {
		n, err := w.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return // the caller has gone
		}
		left -= int64(n)
	}
}

// upload says how many bytes arrived.
func upload(w http.ResponseWriter, r *http.Request) {
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 128<<10))
	if err != nil {
		http.Error(w, "the body was cut short", http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(w, strconv.FormatInt(n, 10)) // the caller has gone; there is nobody to tell
}
