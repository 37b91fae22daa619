package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// GAP-09: whatever prints a secret or a token set prints no byte of it.
func TestNothingPrintsASecret(t *testing.T) {
	const marker = "MARKER"
	s := secret.New(marker)
	set := token.Set{
		Access: token.Access{Token: marker}, Narrowed: map[string]token.Access{"x": {Token: marker}}, Refresh: marker, ID: marker, Key: []byte(marker),
	}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, s, struct{ S secret.String }{s}, set, struct{ T token.Set }{set})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", s, "tokens", set)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s, "tokens", set)
	if err := json.NewEncoder(&out).Encode(map[string]any{"secret": s}); err != nil {
		t.Fatal(err)
	}

	if strings.Contains(out.String(), marker) {
		t.Errorf("a secret was printed: %s", out.String())
	}
	if s.Reveal() != marker {
		t.Error("Reveal does not return the secret")
	}
}
