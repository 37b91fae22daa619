// Package admin serves the admin port: probes for the kubelet, metrics, status,
// and drain. It never serves a browser.
package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Check is one thing that readiness rests on. Neither the identity provider
// nor the session store is among them: when they are away every replica has
// the same trouble, and taking all of them out of service helps nobody.
type Check struct {
	Name string
	// Err is nil if the check passes. Its text is shown to whoever asks.
	Err error
}

// Status is the answer of /status. It holds no secret.
type Status struct {
	Version       string        `json:"version"`
	StartedAt     time.Time     `json:"startedAt"`
	Policy        PolicyStatus  `json:"policy"`
	Configuration Configuration `json:"configuration"`
	Provider      Dependency    `json:"provider"`
	Store         Dependency    `json:"store"`
	Draining      bool          `json:"draining"`
}

// PolicyStatus says which policy is in force.
type PolicyStatus struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	UID        string `json:"uid"`
	Generation int64  `json:"generation"`
}

// Configuration says how the last reading of the mounted files went.
type Configuration struct {
	// Hash identifies the policy's text that is in force.
	Hash string `json:"hash"`
	// LoadedAt is when the files were last read, with success or not.
	LoadedAt time.Time `json:"loadedAt"`
	// Error says why what is mounted is not what is in force. Empty if it is.
	Error string `json:"error,omitempty"`
}

// Dependency is something outside that the sidecar talks to.
type Dependency struct {
	// Ready says whether it answered when it was last needed.
	Ready bool `json:"ready"`
	// Type is the kind of store.
	Type string `json:"type,omitempty"`
	// ClockOffset is how far the provider's clock is ahead, such as -1.5s. Empty
	// while nobody knows.
	ClockOffset string `json:"clockOffset,omitempty"`
	// Error says what went wrong if it did not.
	Error string `json:"error,omitempty"`
}

// Options make the handler. All of them are required.
type Options struct {
	// Checks says whether the sidecar can serve.
	Checks func() []Check
	// Status gathers the status. It may take a moment and is bounded by the
	// request's context.
	Status  func(*http.Request) Status
	Metrics http.Handler
	// Drain starts draining. It may be called more than once.
	Drain func()
}

// New makes the admin port's handler.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { readiness(w, r, o.Checks()) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { status(w, o.Status(r)) })
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, r *http.Request) { drain(w, r, o.Drain) })
	return mux
}

// readiness answers as the components of Kubernetes do: ok, or what is not; the
// parameter verbose lists all checks.
func readiness(w http.ResponseWriter, r *http.Request, checks []Check) {
	var lines strings.Builder
	code := http.StatusOK
	for _, c := range checks {
		if c.Err == nil {
			fmt.Fprintf(&lines, "[+]%s ok\n", c.Name)
			continue
		}
		code = http.StatusServiceUnavailable
		fmt.Fprintf(&lines, "[-]%s failed: %v\n", c.Name, c.Err)
	}
	if code == http.StatusOK && !r.URL.Query().Has("verbose") {
		text(w, code, "ok\n")
		return
	}
	verdict := "passed"
	if code != http.StatusOK {
		verdict = "failed"
	}
	text(w, code, lines.String()+"readyz check "+verdict+"\n")
}

func status(w http.ResponseWriter, s Status) {
	body, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		text(w, http.StatusInternalServerError, "status cannot be written\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(body, '\n')) // the caller has gone; there is nobody to tell
}

// drain obeys callers inside the pod alone: whoever can reach the port from
// outside must not be able to take the pod out of service.
func drain(w http.ResponseWriter, r *http.Request, start func()) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		text(w, http.StatusForbidden, "drain is for callers inside the pod: run bff-sidecar drain there\n")
		return
	}
	start()
	text(w, http.StatusOK, "draining\n")
}

func text(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(body)) // the caller has gone; there is nobody to tell
}
