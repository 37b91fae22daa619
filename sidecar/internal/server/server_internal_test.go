package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

// A defect is a problem for its caller, an entry in the log without what was
// thrown, and nothing for anybody else.
func TestPanics(t *testing.T) {
	var log bytes.Buffer
	s := &Server{Options: Options{Metrics: telemetry.NewMetrics("test"), Logger: slog.New(slog.NewJSONHandler(&log, nil))}}
	requests := s.Metrics.Requests("api")
	serve := func(next http.HandlerFunc) (w *httptest.ResponseRecorder, thrown any) {
		w = httptest.NewRecorder()
		defer func() { thrown = recover() }()
		requests.Serve(w, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
			defer s.recovered(w, r)
			next(w, r)
		})
		return w, nil
	}

	w, thrown := serve(func(http.ResponseWriter, *http.Request) { panic("token MARKER") })
	if w.Code != http.StatusInternalServerError || thrown != nil || strings.Contains(w.Body.String()+log.String(), "MARKER") || !strings.Contains(log.String(), "server_internal_test.go") {
		t.Errorf("%d %v %s\n%s", w.Code, thrown, w.Body, log.String())
	}
	if _, thrown := serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic("late") }); thrown != http.ErrAbortHandler {
		t.Errorf("half an answer ends with %v", thrown)
	}
	if _, thrown := serve(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }); thrown != http.ErrAbortHandler {
		t.Errorf("an aborted answer ends with %v", thrown)
	}
}

// What is shared is closed once, by the last holder, and never revived.
func TestCounted(t *testing.T) {
	var closed atomic.Int32
	c := newCounted(func() { closed.Add(1) })
	var holders sync.WaitGroup
	for range 50 {
		holders.Go(func() {
			// Bounded: as long as somebody holds it, somebody else can get hold of it too.
			for range 1000 {
				if !c.retain() {
					return
				}
				if closed.Load() != 0 {
					t.Error("closed while it is held")
				}
				c.release()
			}
		})
	}
	c.release()
	holders.Wait()
	if closed.Load() != 1 || c.retain() {
		t.Errorf("closed %d times", closed.Load())
	}
}
