package dpop_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// DPOP-16, FAPI-19: the algorithm is one that the server takes, the best first,
// and RSA only if there is nothing else.
func TestNewKeyTakesWhatTheServerTakes(t *testing.T) {
	for _, tc := range []struct {
		supported []string
		want      string
		compact   bool
	}{
		{nil, "ES256", true},
		{[]string{}, "ES256", true},
		{[]string{"RS256", "ES256"}, "ES256", true},
		{[]string{"EdDSA", "ES256"}, "ES256", true},
		{[]string{"RS256", "PS256", "EdDSA"}, "EdDSA", true},
		{[]string{"RS512", "ES512", "ES384"}, "ES384", false},
		{[]string{"PS256", "ES512"}, "ES512", false},
		{[]string{"RS256", "PS256"}, "PS256", false},
		{[]string{"none", "HS256", "RS256"}, "RS256", false},
	} {
		t.Run(fmt.Sprint(tc.supported), func(t *testing.T) {
			key := must[*dpop.Key](t)(dpop.NewKey(tc.supported))
			if got := algorithm(t, key); got != tc.want {
				t.Errorf("signs by %s, want %s", got, tc.want)
			}
			if !key.TakenBy(tc.supported) || !key.TakenBy(nil) || key.TakenBy([]string{"none", "HS256"}) {
				t.Error("taken by a server that does not know the algorithm, or not by one that does")
			}
			if key.Compact() != tc.compact {
				t.Errorf("compact: %v", key.Compact())
			}
		})
	}
}

// DPOP-02, DPOP-16: never a symmetric algorithm, never none.
func TestNewKeyRefusesWhatIsNotAsymmetric(t *testing.T) {
	for _, supported := range [][]string{{"none"}, {"HS256", "HS512"}, {"es256"}, {""}, {"ML-DSA-44"}} {
		if key, err := dpop.NewKey(supported); !errors.Is(err, dpop.ErrAlgorithm) || key != nil {
			t.Errorf("%q: %v, %v", supported, key, err)
		}
	}
}

// DPOP-20: every key is a new one.
func TestNewKeysDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		key := must[*dpop.Key](t)(dpop.NewKey(nil))
		if seen[key.Thumbprint()] {
			t.Fatal("the same key twice")
		}
		seen[key.Thumbprint()] = true
	}
}

// DPOP-20: what Marshal writes is the same key for another replica.
func TestMarshalledKeyIsTheSameKey(t *testing.T) {
	for _, name := range []string{"ES256", "EdDSA", "ES384", "ES512", "PS256", "RS256"} {
		t.Run(name, func(t *testing.T) {
			key := must[*dpop.Key](t)(dpop.NewKey([]string{name}))
			written := key.Marshal()
			if key.Compact() && len(written) > 100 {
				t.Errorf("%d bytes", len(written))
			}
			read := must[*dpop.Key](t)(dpop.ParseKey(written))
			if read.Thumbprint() != key.Thumbprint() || read.Compact() != key.Compact() || !bytes.Equal(read.Marshal(), written) {
				t.Error("another key")
			}
			if got := algorithm(t, read); got != name {
				t.Errorf("signs by %s", got)
			}
		})
	}
}

// DPOP-18: dpop_jkt is the thumbprint of RFC 7638 section 3, computed here from
// the jwk of a proof: its required members in the order of their names.
func TestThumbprint(t *testing.T) {
	for name, members := range map[string][]string{
		"ES256": {"crv", "kty", "x", "y"}, "EdDSA": {"crv", "kty", "x"}, "PS256": {"e", "kty", "n"},
	} {
		key := must[*dpop.Key](t)(dpop.NewKey([]string{name}))
		jwk := decode(t, proofOf(t, key)).header.JWK
		pairs := make([]string, len(members))
		for i, member := range members {
			pairs[i] = fmt.Sprintf("%q:%q", member, jwk[member])
		}
		sum := sha256.Sum256([]byte("{" + strings.Join(pairs, ",") + "}"))
		if want := base64.RawURLEncoding.EncodeToString(sum[:]); key.Thumbprint() != want {
			t.Errorf("%s: %s, want %s", name, key.Thumbprint(), want)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	es, ed := marshalled(t, "ES256"), marshalled(t, "EdDSA")
	rsa := marshalled(t, "PS256")
	body := func(written []byte) []byte { return written[bytes.IndexByte(written, '\n')+1:] }
	with := func(name string, body []byte) []byte { return append([]byte(name+"\n"), body...) }
	for name, data := range map[string][]byte{
		"nothing":               nil,
		"no algorithm":          body(es),
		"algorithm alone":       []byte("ES256"),
		"no key":                []byte("ES256\n"),
		"none":                  with("none", body(es)),
		"symmetric":             with("HS256", body(es)),
		"other spelling":        with("es256", body(es)),
		"short scalar":          es[:len(es)-1],
		"long scalar":           append(bytes.Clone(es), 1),
		"zero scalar":           with("ES256", make([]byte, 32)),
		"scalar over the order": with("ES256", bytes.Repeat([]byte{0xff}, 32)),
		"scalar of P-256":       with("ES384", body(es)),
		"short seed":            ed[:len(ed)-1],
		"long seed":             append(bytes.Clone(ed), 1),
		"cut RSA":               rsa[:len(rsa)-1],
		"RSA as scalar":         with("ES256", body(rsa)),
		"scalar as RSA":         with("PS256", body(es)),
		"weak RSA":              with("PS256", weakRSA(t)),
		"too long":              append([]byte("PS256\n"), make([]byte, 10<<10)...),
	} {
		if key, err := dpop.ParseKey(data); !errors.Is(err, dpop.ErrKey) || key != nil {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
}

// GAP-09: whatever prints a key prints nothing of it.
func TestNothingPrintsAKey(t *testing.T) {
	written := append([]byte("EdDSA\n"), "MARKERMARKERMARKERMARKERMARKER!!"...)
	key := must[*dpop.Key](t)(dpop.ParseKey(written))
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&out, verb+verb+verb, key, *key, struct{ K *dpop.Key }{key})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", key)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", *key)
	if err := json.NewEncoder(&out).Encode(map[string]any{"key": key}); err != nil {
		t.Fatal(err)
	}
	for _, spelling := range []string{"MARKER", fmt.Sprintf("%x", "MARKER"), fmt.Sprint([]byte("MARK"))[1:12], base64.StdEncoding.EncodeToString([]byte("MARKER"))} {
		if strings.Contains(out.String(), spelling) {
			t.Errorf("a key was printed: %s", out.String())
		}
	}
}

// Whatever is no key is refused, and whatever is one is written as it was read
// and proves itself.
func FuzzParseKey(f *testing.F) {
	for _, name := range []string{"ES256", "EdDSA", "ES512", "PS256"} {
		f.Add(marshalled(f, name))
	}
	f.Add([]byte("ES256\n"))
	f.Add([]byte("none\nx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := dpop.ParseKey(data)
		if err != nil {
			if !errors.Is(err, dpop.ErrKey) || key != nil {
				t.Fatalf("%v, %v", key, err)
			}
			return
		}
		again, err := dpop.ParseKey(key.Marshal())
		if err != nil || again.Thumbprint() != key.Thumbprint() {
			t.Fatalf("read again: %v", err)
		}
		decode(t, proofOf(t, key)).verify(t)
	})
}
