package server

import (
	"net/http"
	"time"
)

const (
	// stallTimeout is how long a body may take to arrive that is not forwarded, and
	// then the end of an answer to be taken.
	stallTimeout = time.Minute
	// answerTimeout bounds an answer of our own, from its request's header on. What
	// it waits for itself (provider, store) has shorter time-outs.
	answerTimeout = 2 * time.Minute
)

// patient gives every request deadlines, so that nobody holds a connection for
// ever by sending half a request or by not taking an answer. Who forwards or
// streams puts deadlines of its own in their place, for each byte.
type patient struct {
	next          http.Handler
	stall, answer time.Duration
}

func patiently(next http.Handler) http.Handler {
	return patient{next: next, stall: stallTimeout, answer: answerTimeout}
}

func (p patient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w) // what knows no deadlines is no connection
	if r.ContentLength != 0 {
		// Before it answers, net/http waits for a body that nobody has read.
		_ = control.SetReadDeadline(time.Now().Add(p.stall))
	}
	_ = control.SetWriteDeadline(time.Now().Add(p.answer))
	// The end of the answer leaves after this, and after the rest of the body.
	defer func() { _ = control.SetWriteDeadline(time.Now().Add(2 * p.stall)) }()
	p.next.ServeHTTP(w, r)
}
