package clientauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	issuer        = "https://id.example.com"
	tokenEndpoint = "https://id.example.com/oauth/token"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// all are the algorithms that a careless server might take.
var all = []jose.SignatureAlgorithm{
	jose.HS256, jose.HS384, jose.HS512, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// keys are made once: RSA takes its time.
var keys = map[string]func() crypto.Signer{
	"RSA-2048": sync.OnceValue(func() crypto.Signer { return rsaKey(2048) }),
	"RSA-1024": sync.OnceValue(func() crypto.Signer { return rsaKey(1024) }),
	"P-224":    sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P224()) }),
	"P-256":    sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P256()) }),
	"P-384":    sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P384()) }),
	"P-521":    sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P521()) }),
	"Ed25519": sync.OnceValue(func() crypto.Signer {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		return key
	}),
}

func rsaKey(bits int) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func ecKey(curve elliptic.Curve) crypto.Signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	return block("PRIVATE KEY", must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key)))
}

func sec1(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	return block("EC PRIVATE KEY", must[[]byte](t)(x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))))
}

func pkcs1(key crypto.Signer) []byte {
	return block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey)))
}

// certificate is a self-signed one.
func certificate(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, DNSNames: []string{"localhost"},
	}
	return block("CERTIFICATE", must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)))
}

// jwt is one as a server reads it that knows the key.
type jwt struct {
	header jose.Header
	typ    any
	claims map[string]any
}

func read(t testing.TB, compact string, key any) jwt {
	t.Helper()
	signed := must[*jose.JSONWebSignature](t)(jose.ParseSignedCompact(compact, all))
	payload, err := signed.Verify(key)
	if err != nil {
		t.Fatalf("signature: %v", err)
	}
	j := jwt{header: signed.Signatures[0].Protected}
	j.typ = j.header.ExtraHeaders[jose.HeaderType]
	if err := json.Unmarshal(payload, &j.claims); err != nil {
		t.Fatal(err)
	}
	return j
}
