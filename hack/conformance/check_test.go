//go:build conformance

package conformance

import (
	"slices"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/sidecar"
)

// check is what every test checks at its end: that no secret was seen where it
// must not be (BFF-03, GAP-09), and that every request to AS* was as the
// specifications say.
func (w *world) check() {
	w.learnCookies()
	for _, a := range w.agents {
		w.report("the browser received", w.Leaks.InBrowser(a.Received()))
	}
	for _, p := range w.Replicas {
		w.report("the log shows", w.Leaks.Inside(p.Logs()))
	}
	if violations := w.AS.Violations(); len(violations) > 0 && !w.setup.mayViolate {
		w.Errorf("AS* was sent what no specification allows:\n%q", violations)
	}
	if w.Failed() && len(w.Replicas) > 0 {
		w.Logf("logs of the sidecars:\n%s", w.Logs())
	}
}

// checkProcess checks what a running sidecar tells about itself.
func (w *world) checkProcess(p *sidecar.Process) {
	w.learnCookies()
	for what, read := range map[string]func() (string, error){"metrics show": p.Metrics, "the status shows": p.Status} {
		if text, err := read(); err == nil { // a test may have killed it
			w.report(what, w.Leaks.Inside(text))
		}
	}
}

// checkStore checks that nobody learns a secret from the store (SEC-19).
func (w *world) checkStore() {
	w.learnCookies()
	if w.Store.Running() {
		w.report("the store holds", w.Leaks.Inside(w.Dump()))
	}
}

func (w *world) learnCookies() {
	for _, a := range w.agents {
		for _, c := range a.Jar.Seen() {
			w.Leaks.Add("cookie "+c.Name, c.Value, leak.Browser)
		}
	}
}

func (w *world) report(where string, findings []leak.Finding) {
	w.Helper()
	for _, f := range findings {
		if !slices.Contains(w.setup.mayLeak, f.Kind) || where != "the browser received" {
			w.Errorf("%s a secret: %s", where, f)
		}
	}
}
