package provider

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clockWatch compares the provider's clock with this machine's. The zero value
// has seen nothing.
type clockWatch struct{ latest atomic.Pointer[time.Duration] }

func (w *clockWatch) offset() (time.Duration, bool) {
	if latest := w.latest.Load(); latest != nil {
		return *latest, true
	}
	return 0, false
}

// note reads the Date header of an answer (RFC 9110 section 6.6.1) to a request
// sent and answered at these times. One with an Age comes from a cache, which
// keeps the date of the answer it stored.
func (w *clockWatch) note(header http.Header, sent, answered time.Time) {
	if header.Get("Age") != "" {
		return
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return
	}
	// The header has no fractions: on average half a second of it is cut off.
	offset := date.Add(500 * time.Millisecond).Sub(sent.Add(answered.Sub(sent) / 2))
	w.latest.Store(&offset)
}

// timed notes the date of every answer.
type timed struct {
	next  http.RoundTripper
	watch *clockWatch
	clock func() time.Time
}

func (t timed) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := t.clock()
	response, err := t.next.RoundTrip(r)
	if err == nil {
		t.watch.note(response.Header, sent, t.clock())
	}
	return response, err
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (t timed) CloseIdleConnections() { closeIdle(t.next) }
