package paced

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/window"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for name, test := range map[string]struct {
		values []time.Duration
		p      int
		want   time.Duration
	}{
		"nothing":               {nil, 50, 0},
		"one":                   {hundred[:1], 99, 1},
		"the median of two":     {hundred[:2], 50, 1},
		"the median of three":   {hundred[:3], 50, 2},
		"the median of hundred": {hundred, 50, 50},
		"p99 of hundred":        {hundred, 99, 99},
		"p99 of fifty":          {hundred[:50], 99, 50},
	} {
		t.Run(name, func(t *testing.T) {
			if got := percentile(test.values, test.p); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func start(t *testing.T, handler http.HandlerFunc) window.Request {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return window.Request{Address: strings.TrimPrefix(server.URL, "http://"), Path: "/"}
}

func TestRunSendsAllAtTheRate(t *testing.T) {
	var arrived atomic.Int64
	request := start(t, func(http.ResponseWriter, *http.Request) { arrived.Add(1) })
	got, err := Run(t.Context(), request, Options{Connections: 4, Rate: 500, Duration: 400 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.Requests != 200 || arrived.Load() != 200 || got.NotOK+got.Failed != 0 {
		t.Errorf("got %+v, %d arrived", got, arrived.Load())
	}
	if got.Time < 390*time.Millisecond {
		t.Errorf("200 requests at 500 a second took %s", got.Time)
	}
}

// A server that stands still for 200 ms makes every request late that was due
// meanwhile, and not only the one that it had in hand.
func TestRunCountsTheWaitOfRequestsThatCouldNotBeSent(t *testing.T) {
	var n atomic.Int64
	request := start(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 1 {
			time.Sleep(200 * time.Millisecond)
		}
	})
	got, err := Run(t.Context(), request, Options{Connections: 1, Rate: 200, Duration: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.Requests != 60 || got.P50 < 50*time.Millisecond {
		t.Errorf("got %+v: most requests had to wait", got)
	}
}

func TestRunCountsRefusalsAndFailures(t *testing.T) {
	var n atomic.Int64
	request := start(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusFound)
		}
	})
	got, err := Run(t.Context(), request, Options{Connections: 2, Rate: 1000, Duration: 100 * time.Millisecond})
	if err != nil || got.NotOK != 50 {
		t.Errorf("got %+v, %v", got, err)
	}
	request = start(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	got, err = Run(t.Context(), request, Options{Connections: 2, Rate: 1000, Duration: 100 * time.Millisecond})
	if err != nil || got.Failed != 2 || got.Requests != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}
