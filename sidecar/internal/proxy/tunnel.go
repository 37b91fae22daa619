package proxy

import (
	"net/http"
	"net/http/httputil"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

// tunnel forwards a WebSocket handshake, and what follows it if the other side
// takes it.
func (f *forwarder) tunnel(w http.ResponseWriter, r *http.Request, h *hop) {
	p := new(passage)
	steady(p, w, r, f.stall)
	defer p.to.done()
	proxy := httputil.ReverseProxy{
		Transport:  h.behind,
		BufferPool: f.buffers,
		ErrorLog:   f.errorLog,
		Rewrite: func(both *httputil.ProxyRequest) {
			connection, upgrade := both.Out.Header["Connection"], both.Out.Header["Upgrade"]
			f.rewrite(p, both.Out, w.Header(), h)
			both.Out.Header["Connection"], both.Out.Header["Upgrade"] = connection, upgrade
		},
		ModifyResponse: func(answer *http.Response) error {
			h.behind.response(answer)
			scrubAnswer(answer.Trailer) // those that are announced
			delete(answer.Header, problem.RequestIDHeader)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			f.failed(w, r, h, p.body.stalled(), err)
		},
	}
	proxy.ServeHTTP(finalOnly{&p.to}, r)
	scrubTrailers(w.Header())
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
