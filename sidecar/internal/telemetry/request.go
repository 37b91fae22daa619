package telemetry

import (
	"io"
	"net/http"
	"sync"
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
	answer := &recorder{ResponseWriter: w}
	start := time.Now()
	q.inFlight.Inc()
	defer func() { q.count(answer, r, start) }()
	next(answer, r)
}

// recorders are for answers that nobody holds once they are over.
var recorders = sync.Pool{New: func() any { return new(recorder) }}

// ServeIf is Serve for a request that next may leave alone, which then is not
// counted. next must not keep its writer.
func (q *Requests) ServeIf(w http.ResponseWriter, r *http.Request, next func(http.ResponseWriter, *http.Request) bool) bool {
	answer := recorders.Get().(*recorder)
	*answer = recorder{ResponseWriter: w}
	start := time.Now()
	q.inFlight.Inc()
	answered := true // unless next says otherwise: it may panic
	defer func() {
		if answered {
			q.count(answer, r, start)
		} else {
			q.inFlight.Dec()
		}
		*answer = recorder{}
		recorders.Put(answer)
	}()
	answered = next(answer, r)
	return answered
}

func (q *Requests) count(answer *recorder, r *http.Request, start time.Time) {
	q.inFlight.Dec()
	if answer.status != http.StatusSwitchingProtocols { // a socket stays open for as long as it likes
		q.duration.Observe(time.Since(start).Seconds())
	}
	q.classes[answer.class(r)].Inc()
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

// ReadFrom implements io.ReaderFrom, for what the kernel copies by itself.
func (r *recorder) ReadFrom(from io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return io.Copy(r.ResponseWriter, from)
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
