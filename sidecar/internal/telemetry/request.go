package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests counts the requests that one route, endpoint or the application
// answers. Its counters are looked up once, not for each request.
type Requests struct {
	classes  [len(classes)]prometheus.Counter
	duration prometheus.Observer
	inFlight prometheus.Gauge
}

// classes are the values of the label code. A request whose client left before
// it was answered counts as aborted.
var classes = [...]string{"aborted", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Requests makes the counters of one value of the label route.
func (m *Metrics) Requests(route string) *Requests {
	q := &Requests{duration: m.durations.WithLabelValues(route), inFlight: m.inFlight}
	for i, class := range classes {
		q.classes[i] = m.requests.WithLabelValues(route, class)
	}
	return q
}

// Serve has next answer the request and counts it, also when next panics. The
// writer that next gets has a method Status() int.
func (q *Requests) Serve(w http.ResponseWriter, r *http.Request, next func(http.ResponseWriter, *http.Request)) {
	recorder := &recorder{ResponseWriter: w}
	start := time.Now()
	q.inFlight.Inc()
	defer func() {
		q.inFlight.Dec()
		if recorder.status != http.StatusSwitchingProtocols { // a socket stays open for as long as it likes
			q.duration.Observe(time.Since(start).Seconds())
		}
		q.classes[recorder.class(r)].Inc()
	}()
	next(recorder, r)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Status is the status that was answered, or 0.
func (r *recorder) Status() int { return r.status }

// Unwrap serves http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) class(request *http.Request) int {
	switch {
	case r.status == 0 && request.Context().Err() != nil:
		return 0
	case r.status == 0:
		return 2 // nothing was written, which net/http sends as 200
	}
	return min(r.status/100, len(classes)-1)
}
