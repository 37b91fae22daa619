package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	// stall is how long one write may take before the page counts as gone.
	stall = 10 * time.Second
	// A page whose stream broke connects again after a time between these, by
	// chance, so that not all pages of a sidecar that went come back at once.
	soonest = time.Second
	latest  = 5 * time.Second
)

// writer writes an event stream.
type writer struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newWriter(w http.ResponseWriter) *writer {
	return &writer{w: w, control: http.NewResponseController(w)}
}

// begin sends the headers. An error says that this connection cannot stream;
// then nothing was sent.
func (o *writer) begin() error {
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // an nginx in front passes every event on at once
	return o.flush()
}

// retry tells the page how long to wait before it connects again.
func (o *writer) retry() error {
	return o.write(fmt.Sprintf("retry: %d\n\n", (soonest + rand.N(latest-soonest)).Milliseconds()))
}

// end gives the connection back as it was.
func (o *writer) end() { _ = o.control.SetWriteDeadline(time.Time{}) }

// event sends an event. Data is encoded as JSON, which has no line break.
func (o *writer) event(name string, data any) error {
	encoded, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode the event %s: %w", name, err)
	}
	return o.write("event: " + name + "\ndata: " + string(encoded) + "\n\n")
}

// comment sends something that a page does not see.
func (o *writer) comment() error { return o.write(":\n\n") }

func (o *writer) write(text string) error {
	if err := o.hurry(); err != nil {
		return err
	}
	if _, err := o.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	return o.flush()
}

func (o *writer) flush() error {
	if err := o.hurry(); err != nil {
		return err
	}
	if err := o.control.Flush(); err != nil {
		return fmt.Errorf("flush an event stream: %w", err)
	}
	return nil
}

// hurry bounds the next write, where that is possible.
func (o *writer) hurry() error {
	if err := o.control.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("bound a write: %w", err)
	}
	return nil
}
