package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/admin"
)

type world struct {
	failing atomic.Bool
	drained atomic.Int32
}

func (s *world) handler() http.Handler {
	return admin.New(admin.Options{
		Checks: func() []admin.Check {
			c := []admin.Check{{Name: "configuration"}, {Name: "draining"}}
			if s.failing.Load() {
				c[1].Err = errors.New("the pod is about to end")
			}
			return c
		},
		Status: func(*http.Request) admin.Status {
			return admin.Status{Version: "v1", Policy: admin.PolicyStatus{Name: "shop", Generation: 3}}
		},
		Metrics: http.NotFoundHandler(),
		Drain:   func() { s.drained.Add(1) },
	})
}

func get(h http.Handler, method, target, peer string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = peer
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const outside = "10.1.2.3:40000"

func TestProbes(t *testing.T) {
	s := &world{}
	h := s.handler()
	for target, want := range map[string]string{"/livez": "ok\n", "/readyz": "ok\n",
		"/readyz?verbose": "[+]configuration ok\n[+]draining ok\nreadyz check passed\n"} {
		if w := get(h, "GET", target, outside); w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %d %q", target, w.Code, w.Body)
		}
	}
	s.failing.Store(true)
	if w := get(h, "GET", "/readyz", outside); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "[-]draining failed: the pod is about to end") {
		t.Errorf("readyz: %d %q", w.Code, w.Body)
	}
	if w := get(h, "GET", "/livez", outside); w.Code != http.StatusOK {
		t.Error("a draining sidecar is alive")
	}
}

func TestStatus(t *testing.T) {
	w := get((&world{}).handler(), "GET", "/status", outside)
	var got struct {
		Version string
		Policy  struct {
			Name       string
			Generation int
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Version != "v1" || got.Policy.Name != "shop" || got.Policy.Generation != 3 {
		t.Errorf("%v: %s", err, w.Body)
	}
}

// Nobody outside the pod can take it out of service.
func TestDrainIsForThePodItself(t *testing.T) {
	s := &world{}
	h := s.handler()
	for _, peer := range []string{outside, "[2001:db8::1]:1", "192.168.0.1:1", "nonsense", ""} {
		if w := get(h, "POST", "/drain", peer); w.Code != http.StatusForbidden || s.drained.Load() != 0 {
			t.Errorf("%q: %d", peer, w.Code)
		}
	}
	if w := get(h, "GET", "/drain", "127.0.0.1:1"); w.Code != http.StatusMethodNotAllowed || s.drained.Load() != 0 {
		t.Errorf("GET: %d", w.Code)
	}
	for i, peer := range []string{"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		if w := get(h, "POST", "/drain", peer); w.Code != http.StatusOK || int(s.drained.Load()) != i+1 {
			t.Errorf("%q: %d", peer, w.Code)
		}
	}
}

func TestDrainCommand(t *testing.T) {
	s := &world{}
	server := httptest.NewServer(s.handler())
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	if err := admin.Drain(t.Context(), address, time.Millisecond); err != nil || s.drained.Load() != 1 {
		t.Errorf("%v, %d", err, s.drained.Load())
	}
	server.Close()
	if err := admin.Drain(t.Context(), address, time.Hour); err == nil {
		t.Error("nobody was there, and nobody said so")
	}
}
