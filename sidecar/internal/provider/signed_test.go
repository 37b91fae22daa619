package provider

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// FAPI-20: which of the keys under one id a signature may be of.
func TestCandidates(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := []jose.JSONWebKey{
		{Key: p256.Public(), KeyID: "a"}, {Key: p256.Public(), KeyID: "b", Use: "sig", Algorithm: "ES256"}, {Key: p256.Public(), KeyID: "b", Use: "enc"},
		{Key: p384.Public(), KeyID: "a"}, {Key: edwards, KeyID: "a"}, {Key: []byte("shared"), KeyID: "a"},
	}
	for name, row := range map[string]struct {
		algorithm, keyID string
		want             int
	}{
		"by id":             {"ES256", "a", 1},
		"by use":            {"ES256", "b", 1},
		"without an id":     {"ES256", "", 2},
		"by curve":          {"ES384", "a", 1},
		"by type":           {"EdDSA", "a", 1},
		"no key of a kind":  {"RS256", "a", 0},
		"no key of the id":  {"ES256", "c", 0},
		"for another one":   {"ES384", "b", 0},
		"a shared secret":   {"HS256", "a", 0},
		"none":              {"none", "a", 0},
		"not even a prefix": {"R", "a", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (signed{algorithm: row.algorithm, keyID: row.keyID}).candidates(keys); len(got) != row.want {
				t.Errorf("%d keys, want %d", len(got), row.want)
			}
		})
	}
}

// What is no JWT is refused before anybody allocates for it.
func TestParseSignedIsBounded(t *testing.T) {
	if _, err := parseSigned(strings.Repeat("a", maxJWT+1), asymmetric); !errors.Is(err, errMalformed) {
		t.Errorf("error %v", err)
	}
}

func FuzzParseSigned(f *testing.F) {
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6ImEiLCJ0eXAiOiJKV1QifQ.e30.c2ln")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("a.b.c.d.e")
	f.Fuzz(func(t *testing.T, raw string) {
		jwt, err := parseSigned(raw, []string{"RS256", "ES256"})
		if err != nil {
			if !errors.Is(err, errMalformed) && !errors.Is(err, errEncrypted) && !errors.Is(err, errAlgorithm) {
				t.Errorf("error %v", err)
			}
			return
		}
		if jwt.algorithm != "RS256" && jwt.algorithm != "ES256" {
			t.Errorf("accepted the algorithm %q", jwt.algorithm)
		}
		if _, ok := jwt.verify(nil); ok {
			t.Error("verified without a key")
		}
	})
}
