package gate

import (
	"fmt"
	"net/http"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
)

// Gate holds requests to the rules for one origin. It is immutable.
type Gate struct {
	origin     string
	protection *http.CrossOriginProtection
}

// New makes a gate for the origin of the public URL.
func New(origin string) (*Gate, error) {
	// Behind an ingress the Host header may be anything, so our own origin is
	// named as trusted. This protection sees only what Decide lets pass; it is
	// there so that a mistake in Decide does not open an unsafe method to other
	// origins.
	protection := http.NewCrossOriginProtection()
	if err := protection.AddTrustedOrigin(origin); err != nil {
		return nil, fmt.Errorf("trust origin %q: %w", origin, err)
	}
	return &Gate{origin: origin, protection: protection}, nil
}

// Check decides about a request.
func (g *Gate) Check(rule Rule, r *http.Request) Verdict {
	verdict := Decide(rule, FactsOf(r), g.origin)
	if verdict.Kind == problem.None && g.protection.Check(r) != nil {
		return crossOrigin
	}
	return verdict
}

// Require lets requests pass to next that keep the rule, and answers the
// others.
func (g *Gate) Require(rule Rule, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := g.Check(rule, r); v.Kind != problem.None {
			v.Kind.Write(w, r, v.Detail)
			return
		}
		next.ServeHTTP(w, r)
	})
}
