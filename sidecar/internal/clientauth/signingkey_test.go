package clientauth_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
)

// FAPI-19: the algorithm follows from the key, whatever the file's form.
func TestParseSigningKey(t *testing.T) {
	// "openssl ecparam -genkey" writes the curve before the key.
	parameters := block("EC PARAMETERS", []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07})
	for name, tc := range map[string]struct {
		kind string
		data []byte
		want v1alpha1.SigningAlgorithm
	}{
		"PKCS #8, RSA":                {"RSA-2048", pkcs8(t, keys["RSA-2048"]()), "PS256"},
		"PKCS #8, P-256":              {"P-256", pkcs8(t, keys["P-256"]()), "ES256"},
		"PKCS #8, P-384":              {"P-384", pkcs8(t, keys["P-384"]()), "ES384"},
		"PKCS #8, P-521":              {"P-521", pkcs8(t, keys["P-521"]()), "ES512"},
		"PKCS #8, Ed25519":            {"Ed25519", pkcs8(t, keys["Ed25519"]()), "EdDSA"},
		"PKCS #1":                     {"RSA-2048", pkcs1(keys["RSA-2048"]()), "PS256"},
		"SEC 1":                       {"P-384", sec1(t, keys["P-384"]()), "ES384"},
		"SEC 1 after its parameters":  {"P-256", slices.Concat(parameters, sec1(t, keys["P-256"]())), "ES256"},
		"with text around it":         {"P-256", slices.Concat([]byte("my key\n"), pkcs8(t, keys["P-256"]()), []byte("\nbye\n")), "ES256"},
		"lines ending as in Windows":  {"P-256", []byte(strings.ReplaceAll(string(pkcs8(t, keys["P-256"]())), "\n", "\r\n")), "ES256"},
		"no line break after the end": {"P-256", []byte(strings.TrimSpace(string(pkcs8(t, keys["P-256"]())))), "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			key := must[*clientauth.SigningKey](t)(clientauth.ParseSigningKey(tc.data, "", ""))
			if key.Algorithm() != tc.want {
				t.Errorf("algorithm %s, want %s", key.Algorithm(), tc.want)
			}
			j := read(t, must[string](t)(key.Sign(map[string]any{"x": 1}, "")), keys[tc.kind]().Public())
			if j.header.Algorithm != string(tc.want) || j.header.KeyID != key.KeyID() || j.typ != nil {
				t.Errorf("header %+v", j.header)
			}
		})
	}
}

// JWTA-07: the default of kid is the thumbprint of RFC 7638, computed here by
// hand.
func TestKeyID(t *testing.T) {
	key := keys["P-256"]().(*ecdsa.PrivateKey)
	point := must[*ecdh.PublicKey](t)(key.PublicKey.ECDH()).Bytes()
	encode := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, encode(point[1:33]), encode(point[33:])))

	for keyID, want := range map[string]string{"": encode(sum[:]), "2026-07": "2026-07"} {
		parsed := must[*clientauth.SigningKey](t)(clientauth.ParseSigningKey(pkcs8(t, key), keyID, ""))
		j := read(t, must[string](t)(parsed.Sign(map[string]any{}, "")), key.Public())
		if parsed.KeyID() != want || j.header.KeyID != want {
			t.Errorf("kid %q and %q, want %q", parsed.KeyID(), j.header.KeyID, want)
		}
	}
}

// RFC 9101 section 4, RFC 8725 section 3.11: what is signed has the type it was
// given, and its claims as they are.
func TestSign(t *testing.T) {
	key := must[*clientauth.SigningKey](t)(clientauth.ParseSigningKey(pkcs8(t, keys["RSA-2048"]()), "", ""))
	claims := map[string]any{"redirect_uri": "https://shop.example.com/bff/callback?a=1&b=<2>", "max_age": 300, "resource": []string{"a", "b"}}
	j := read(t, must[string](t)(key.Sign(claims, "oauth-authz-req+jwt")), keys["RSA-2048"]().Public())
	if j.typ != "oauth-authz-req+jwt" || j.header.Algorithm != "PS256" || j.header.JSONWebKey != nil {
		t.Errorf("header %+v", j.header)
	}
	if fmt.Sprint(j.claims) != fmt.Sprint(map[string]any{"redirect_uri": claims["redirect_uri"], "max_age": float64(300), "resource": []any{"a", "b"}}) {
		t.Errorf("claims %v", j.claims)
	}
	if _, err := key.Sign(func() {}, ""); err == nil {
		t.Error("something that is no JSON was signed")
	}
}

func TestAlgorithmOfThePolicy(t *testing.T) {
	for _, tc := range []struct {
		kind      string
		algorithm v1alpha1.SigningAlgorithm
		ok        bool
	}{
		{"RSA-2048", "PS256", true}, {"RSA-2048", "RS256", true}, {"RSA-2048", "RS512", true}, {"RSA-2048", "PS384", true},
		{"P-256", "ES256", true}, {"P-384", "ES384", true}, {"P-521", "ES512", true}, {"Ed25519", "EdDSA", true},
		{"RSA-2048", "ES256", false}, {"P-256", "ES384", false}, {"P-384", "ES256", false}, {"P-256", "PS256", false},
		{"Ed25519", "ES256", false}, {"RSA-2048", "none", false}, {"RSA-2048", "HS256", false}, {"P-256", "es256", false},
	} {
		key, err := clientauth.ParseSigningKey(pkcs8(t, keys[tc.kind]()), "", tc.algorithm)
		if !tc.ok {
			if !errors.Is(err, clientauth.ErrAlgorithm) {
				t.Errorf("%s by %s: %v", tc.kind, tc.algorithm, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s by %s: %v", tc.kind, tc.algorithm, err)
			continue
		}
		j := read(t, must[string](t)(key.Sign(map[string]any{}, "")), keys[tc.kind]().Public())
		if j.header.Algorithm != string(tc.algorithm) {
			t.Errorf("%s by %s: signed by %s", tc.kind, tc.algorithm, j.header.Algorithm)
		}
	}
}

// FAPI-19: weak keys, and everything else that does not sign, are refused with a
// sentence that says what to write, and that quotes nothing of the file.
func TestParseSigningKeyRefuses(t *testing.T) {
	good := pkcs8(t, keys["P-256"]())
	der, _ := pem.Decode(good)
	encrypted := pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x"),
	})
	x25519 := must[*ecdh.PrivateKey](t)(ecdh.X25519().GenerateKey(rand.Reader))
	public := block("PUBLIC KEY", must[[]byte](t)(x509.MarshalPKIXPublicKey(keys["P-256"]().Public())))
	for name, tc := range map[string]struct {
		data []byte
		says string
	}{
		"nothing":           {nil, "no PEM"},
		"no PEM":            {[]byte("hunter2"), "no PEM"},
		"DER":               {der.Bytes, "no PEM"},
		"cut":               {good[:len(good)-10], "no PEM"},
		"RSA of 1024 bits":  {pkcs8(t, keys["RSA-1024"]()), "2048"},
		"P-224":             {pkcs8(t, keys["P-224"]()), "P-256"},
		"X25519":            {pkcs8(t, x25519), "PKCS #8"},
		"public key":        {public, "not a private key"},
		"certificate":       {certificate(t, keys["P-256"]()), "not a private key"},
		"parameters alone":  {block("EC PARAMETERS", []byte{1}), "no PEM"},
		"encrypted":         {encrypted, "passphrase"},
		"encrypted PKCS #8": {block("ENCRYPTED PRIVATE KEY", []byte("x")), "passphrase"},
		"two keys":          {slices.Concat(good, good), "more than one"},
		"key, certificate":  {slices.Concat(good, certificate(t, keys["P-256"]())), "more than one"},
		"garbage":           {block("PRIVATE KEY", []byte("hunter2")), "PKCS #8"},
		"wrong label":       {block("RSA PRIVATE KEY", der.Bytes), "PKCS #8"},
	} {
		key, err := clientauth.ParseSigningKey(tc.data, "", "")
		if !errors.Is(err, clientauth.ErrKey) || key != nil {
			t.Errorf("%s: %v, %v", name, key, err)
			continue
		}
		if !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is in the file, it is refused with one of two errors, or it signs what
// its public half verifies.
func FuzzParseSigningKey(f *testing.F) {
	small := must[*ecdsa.PrivateKey](f)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for _, data := range [][]byte{
		pkcs8(f, small), sec1(f, small), pkcs1(keys["RSA-2048"]()), pkcs8(f, keys["Ed25519"]()), pkcs8(f, keys["P-521"]()),
		block("EC PARAMETERS", []byte{1}), certificate(f, small), []byte("-----BEGIN "),
	} {
		f.Add(data, "", "")
		f.Add(data, "kid", "PS256")
	}
	f.Fuzz(func(t *testing.T, data []byte, keyID, algorithm string) {
		key, err := clientauth.ParseSigningKey(data, keyID, v1alpha1.SigningAlgorithm(algorithm))
		if err != nil {
			if key != nil || !errors.Is(err, clientauth.ErrKey) && !errors.Is(err, clientauth.ErrAlgorithm) {
				t.Fatalf("%v, %v", key, err)
			}
			return
		}
		if keyID != "" && key.KeyID() != keyID || algorithm != "" && string(key.Algorithm()) != algorithm {
			t.Fatalf("kid %q, algorithm %q", key.KeyID(), key.Algorithm())
		}
		if _, err := key.Sign(map[string]any{"x": 1}, "JWT"); err != nil {
			t.Fatal(err)
		}
	})
}
