package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 987, time.UTC)

// proof is one as a server reads it, by nothing but crypto.
type proof struct {
	header struct {
		Typ string
		Alg string
		JWK map[string]string
	}
	names     []string // of the header's members
	claims    map[string]any
	signed    string
	signature []byte
}

func decode(t testing.TB, compact string) proof {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	var p proof
	var members map[string]json.RawMessage
	header := must[[]byte](t)(base64.RawURLEncoding.DecodeString(parts[0]))
	payload := must[[]byte](t)(base64.RawURLEncoding.DecodeString(parts[1]))
	p.signature = must[[]byte](t)(base64.RawURLEncoding.DecodeString(parts[2]))
	p.signed = parts[0] + "." + parts[1]
	if err := errors.Join(json.Unmarshal(header, &p.header), json.Unmarshal(header, &members), json.Unmarshal(payload, &p.claims)); err != nil {
		t.Fatal(err)
	}
	p.names = slices.Sorted(maps.Keys(members))
	return p
}

// verify checks the signature with the key that the proof brings.
func (p proof) verify(t testing.TB) {
	t.Helper()
	octets := func(member string) []byte {
		return must[[]byte](t)(base64.RawURLEncoding.DecodeString(p.header.JWK[member]))
	}
	number := func(member string) *big.Int { return new(big.Int).SetBytes(octets(member)) }
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512, "DSA": 0}[p.header.Alg[2:]]
	sum := []byte(p.signed)
	if hash != 0 {
		h := hash.New()
		h.Write(sum)
		sum = h.Sum(nil)
	}
	good := false
	switch p.header.Alg[:2] {
	case "ES":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[p.header.JWK["crv"]]
		key := must[*ecdsa.PublicKey](t)(ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, octets("x"), octets("y"))))
		half := len(p.signature) / 2
		good = ecdsa.Verify(key, sum, new(big.Int).SetBytes(p.signature[:half]), new(big.Int).SetBytes(p.signature[half:]))
	case "Ed":
		good = ed25519.Verify(octets("x"), sum, p.signature)
	case "PS":
		key := &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
		good = rsa.VerifyPSS(key, hash, sum, p.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case "RS":
		key := &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
		good = rsa.VerifyPKCS1v15(key, hash, sum, p.signature) == nil
	}
	if !good {
		t.Errorf("the %s signature is wrong", p.header.Alg)
	}
}

func proofOf(t testing.TB, key *dpop.Key) string {
	t.Helper()
	return must[string](t)(key.Proof(dpop.Request{Method: "POST", URL: "https://id.example.com/token", Now: noon}))
}

func algorithm(t testing.TB, key *dpop.Key) string { return decode(t, proofOf(t, key)).header.Alg }

func marshalled(t testing.TB, name string) []byte {
	return must[*dpop.Key](t)(dpop.NewKey([]string{name})).Marshal()
}

func weakRSA(t testing.TB) []byte {
	return must[[]byte](t)(x509.MarshalPKCS8PrivateKey(must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))))
}

// DPOP-02: the type, an asymmetric algorithm, the public key and nothing else,
// least of all a private member.
func TestHeaderOfAProof(t *testing.T) {
	for name, members := range map[string][]string{
		"ES256": {"crv", "kty", "x", "y"}, "ES384": {"crv", "kty", "x", "y"}, "ES512": {"crv", "kty", "x", "y"},
		"EdDSA": {"crv", "kty", "x"}, "PS256": {"e", "kty", "n"}, "RS256": {"e", "kty", "n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := decode(t, proofOf(t, must[*dpop.Key](t)(dpop.NewKey([]string{name}))))
			p.verify(t)
			if p.header.Typ != "dpop+jwt" || p.header.Alg != name || !slices.Equal(p.names, []string{"alg", "jwk", "typ"}) {
				t.Errorf("header %+v", p.header)
			}
			if got := slices.Sorted(maps.Keys(p.header.JWK)); !slices.Equal(got, members) {
				t.Errorf("jwk has %q, want %q", got, members)
			}
		})
	}
}

// DPOP-03..05: the claims, which are there only when they say something. The ath
// is that of the example in RFC 9449 section 7.1.
func TestClaimsOfAProof(t *testing.T) {
	key := must[*dpop.Key](t)(dpop.NewKey(nil))
	for name, tc := range map[string]struct {
		request dpop.Request
		want    map[string]any
	}{
		"at the token endpoint": {
			dpop.Request{Method: "POST", URL: "https://id.example.com/token", Now: noon},
			map[string]any{"htm": "POST", "htu": "https://id.example.com/token"},
		},
		"with a nonce": {
			dpop.Request{Method: "POST", URL: "https://id.example.com/token", Nonce: "eyJ7S_zG.eyJH0-Z.HX4w-7v", Now: noon},
			map[string]any{"htm": "POST", "htu": "https://id.example.com/token", "nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v"},
		},
		"with an access token": {
			dpop.Request{
				Method: "GET", URL: "https://resource.example.org/protectedresource",
				AccessToken: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", Now: noon,
			},
			map[string]any{
				"htm": "GET", "htu": "https://resource.example.org/protectedresource",
				"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := decode(t, must[string](t)(key.Proof(tc.request)))
			p.verify(t)
			if p.claims["iat"] != float64(noon.Unix()) {
				t.Errorf("iat %v", p.claims["iat"])
			}
			delete(p.claims, "iat")
			delete(p.claims, "jti")
			if !maps.Equal(p.claims, tc.want) {
				t.Errorf("claims %v, want %v", p.claims, tc.want)
			}
		})
	}
}

// DPOP-03: htu has neither query nor fragment; the rest is as it was spelled.
func TestTargetOfAProof(t *testing.T) {
	key := must[*dpop.Key](t)(dpop.NewKey(nil))
	for raw, want := range map[string]string{
		"https://a.example/x":              "https://a.example/x",
		"https://a.example/x?y=1":          "https://a.example/x",
		"https://a.example/x#y":            "https://a.example/x",
		"https://a.example/x?y#z":          "https://a.example/x",
		"https://a.example/x#y?z":          "https://a.example/x",
		"https://a.example/x?":             "https://a.example/x",
		"https://a.example":                "https://a.example/",
		"https://a.example?y=1":            "https://a.example/",
		"https://a.example:8443/x/":        "https://a.example:8443/x/",
		"http://[::1]:8080/x":              "http://[::1]:8080/x",
		"https://a.example/a%2Fb%20c%3F/d": "https://a.example/a%2Fb%20c%3F/d",
		"https://a.example/a!b'(c)*":       "https://a.example/a!b'(c)*",
		"https://a.example/a&b<c":          "https://a.example/a&b<c",
		"https://a.example//x/../y":        "https://a.example//x/../y",
	} {
		p := decode(t, must[string](t)(key.Proof(dpop.Request{Method: "GET", URL: raw, Now: noon})))
		if p.claims["htu"] != want {
			t.Errorf("%s: htu %v, want %s", raw, p.claims["htu"], want)
		}
	}
}

// A proof that no server would accept is not made.
func TestProofRefuses(t *testing.T) {
	key := must[*dpop.Key](t)(dpop.NewKey(nil))
	for name, r := range map[string]dpop.Request{
		"no method":        {URL: "https://a.example/", Now: noon},
		"no time":          {Method: "GET", URL: "https://a.example/"},
		"no URL":           {Method: "GET", Now: noon},
		"path alone":       {Method: "GET", URL: "/x", Now: noon},
		"no scheme":        {Method: "GET", URL: "//a.example/x", Now: noon},
		"other scheme":     {Method: "GET", URL: "ftp://a.example/x", Now: noon},
		"no host":          {Method: "GET", URL: "https:///x", Now: noon},
		"no host, a port":  {Method: "GET", URL: "https://:443/x", Now: noon},
		"user information": {Method: "GET", URL: "https://user:hunter2@a.example/x", Now: noon},
		"broken":           {Method: "GET", URL: "https://a.example/%zz", Now: noon},
	} {
		proof, err := key.Proof(r)
		if !errors.Is(err, dpop.ErrRequest) || proof != "" {
			t.Errorf("%s: %q, %v", name, proof, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error quotes the URL", name)
		}
	}
}

// DPOP-01, DPOP-03: every proof has an identifier of its own, of at least 96
// random bits, also for the same request.
func TestNoProofTwice(t *testing.T) {
	key := must[*dpop.Key](t)(dpop.NewKey(nil))
	seen := map[string]bool{}
	for range 200 {
		id, _ := decode(t, proofOf(t, key)).claims["jti"].(string)
		if seen[id] {
			t.Fatal("the same identifier twice")
		}
		if len(id)*5 < 96 { // base32: 5 bits a character
			t.Fatalf("identifier of %d characters", len(id))
		}
		seen[id] = true
	}
}

// One key serves many requests at once.
func TestProofsAtOnce(t *testing.T) {
	key := must[*dpop.Key](t)(dpop.NewKey(nil))
	proofs := make(chan string)
	for range 16 {
		go func() {
			proof, _ := key.Proof(dpop.Request{Method: "GET", URL: "https://a.example/", Now: noon})
			proofs <- proof
		}()
	}
	seen := map[[32]byte]bool{}
	for range 16 {
		proof := <-proofs
		decode(t, proof).verify(t)
		seen[sha256.Sum256([]byte(proof))] = true
	}
	if len(seen) != 16 {
		t.Errorf("%d proofs of 16 differ", len(seen))
	}
}

func BenchmarkProof(b *testing.B) {
	written := marshalled(b, "ES256")
	request := dpop.Request{Method: "GET", URL: "https://a.example/orders/1?x=1", AccessToken: strings.Repeat("t", 1000), Nonce: "n", Now: noon}
	b.Run("with the key at hand", func(b *testing.B) {
		b.ReportAllocs()
		key := must[*dpop.Key](b)(dpop.ParseKey(written))
		for b.Loop() {
			must[string](b)(key.Proof(request))
		}
	})
	b.Run("with the key to read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must[string](b)(must[*dpop.Key](b)(dpop.ParseKey(written)).Proof(request))
		}
	})
}
