// Package window is one stretch of load on one subject.
package window

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Request is a GET that is sent again and again.
type Request struct {
	// Address is host:port, which is the Host too.
	Address string
	Path    string
	// Header are the fields beside Host.
	Header []Field
}

// Field is one header field.
type Field struct{ Name, Value string }

// Bytes are what goes over the wire.
func (r Request) Bytes() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", r.Path, r.Address)
	for _, f := range r.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// Result is what came of it.
type Result struct {
	// Requests that were answered, in Time.
	Requests int
	Time     time.Duration
	// P50 and P99 are percentiles of the time until the whole answer was there.
	P50, P99 time.Duration
	// NotOK are answers with a status other than 2xx, as far as whoever made the
	// load sees. Failed are calls without an answer.
	NotOK, Failed int
}

// Rate is requests a second.
func (r Result) Rate() float64 {
	if r.Time <= 0 {
		return 0
	}
	return float64(r.Requests) / r.Time.Seconds()
}

// ErrNotClean says that not every call of a window was answered as it should be,
// so that the window measures something else.
var ErrNotClean = errors.New("not every call was answered with 2xx by the upstream")

// Check returns ErrNotClean unless every call succeeded and arrived. arrived is
// how many the upstream counted, and atMost how many may be on their way when
// the window ends.
func (r Result) Check(arrived, atMost int) error {
	switch {
	case r.Requests == 0:
		return fmt.Errorf("%w: none was answered", ErrNotClean)
	case r.NotOK > 0 || r.Failed > 0:
		return fmt.Errorf("%w: %d others than 2xx, %d failed, of %d", ErrNotClean, r.NotOK, r.Failed, r.Requests)
	case arrived < r.Requests || arrived > r.Requests+atMost:
		// A redirect to a login, or a call that a proxy repeated.
		return fmt.Errorf("%w: %d were answered and %d arrived", ErrNotClean, r.Requests, arrived)
	}
	return nil
}
