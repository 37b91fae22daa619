package as

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

var asymmetric = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// signingKey is a key the provider signs with.
type signingKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

func (k signingKey) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id, Algorithm: string(k.algorithm), Use: "sig"}
}

// RSA keys are slow to make, and there is nothing wrong with providers that
// share them between tests.
var rsaKeys struct {
	sync.Mutex
	made []*rsa.PrivateKey
	next int
}

// rsaKey returns one of four keys in turn: a rotation gets another one.
func rsaKey() *rsa.PrivateKey {
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	const pool = 4
	if len(rsaKeys.made) < pool {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // the system's randomness is gone
		}
		rsaKeys.made = append(rsaKeys.made, key)
		return key
	}
	rsaKeys.next++
	return rsaKeys.made[rsaKeys.next%pool]
}

func newSigningKey(algorithm string) signingKey {
	k := signingKey{id: "kid-" + token(6), algorithm: jose.SignatureAlgorithm(algorithm)}
	var err error
	switch k.algorithm {
	case jose.ES256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		k.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		k.private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.EdDSA:
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		k.private = rsaKey()
	}
	if err != nil {
		panic(err) // the system's randomness is gone
	}
	return k
}

// RotateKeys signs with a new key from now on and publishes it alone, or with
// the old ones too.
func (s *Server) RotateKeys(keepOld bool) {
	key := newSigningKey(s.Registered().idTokenAlgorithm())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = []signingKey{key}
	if !keepOld {
		s.published = nil
	}
	s.published = append([]signingKey{key}, s.published...)
}

// UseAlgorithm signs with a new key for another algorithm from now on, and
// publishes it besides the old ones.
func (s *Server) UseAlgorithm(algorithm string) {
	key := newSigningKey(algorithm)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = []signingKey{key}
	s.published = append([]signingKey{key}, s.published...)
}

// AddDecoys publishes n further keys that nothing is signed with, before the
// right one.
func (s *Server) AddDecoys(n int, algorithm string) {
	for range n {
		key := newSigningKey(algorithm)
		s.mu.Lock()
		s.published = append([]signingKey{key}, s.published...)
		s.mu.Unlock()
	}
}

// KeyID is the kid that is signed with.
func (s *Server) KeyID() string { return s.signingKey().id }

// PublicKey is the key that is signed with, for attacks that misuse it.
func (s *Server) PublicKey() crypto.PublicKey { return s.signingKey().private.Public() }

func (s *Server) signingKey() signingKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[0]
}

// keySet is the JWKS as JSON objects, so that a test may change anything in it.
func (s *Server) keySet() map[string]any {
	s.mu.Lock()
	published := slices.Clone(s.published)
	s.mu.Unlock()
	keys := []any{}
	for _, k := range published {
		keys = append(keys, toJSON(k.public()))
	}
	return map[string]any{"keys": keys}
}

func toJSON(value any) map[string]any {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // the value is our own
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		panic(err)
	}
	return object
}

// Sign signs claims with the provider's current key. The header gets alg and kid
// if they are missing; an entry that is nil is left out.
func (s *Server) Sign(claims, header map[string]any) string {
	key := s.signingKey()
	return SignWith(key.private, string(key.algorithm), key.id, claims, header)
}

// ForeignKey makes a key that nobody publishes.
func ForeignKey(algorithm string) crypto.Signer {
	key := newSigningKey(algorithm).private
	if _, shared := key.(*rsa.PrivateKey); shared { // it may be another provider's
		fresh, err := rsa.GenerateKey(rand.Reader, 2048)
		must(err)
		return fresh
	}
	return key
}

// SignWith signs claims with any key: a crypto.Signer, or bytes for HS256. The
// algorithm "none" signs nothing.
func SignWith(key any, algorithm, kid string, claims, header map[string]any) string {
	full := map[string]any{"alg": algorithm}
	if kid != "" {
		full["kid"] = kid
	}
	for name, value := range header {
		full[name] = value
		if value == nil {
			delete(full, name)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err) // the claims are the test's own
	}
	input := segment(full) + "." + base64.RawURLEncoding.EncodeToString(payload)
	if algorithm == "none" {
		return input + "."
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(rawSign(key, jose.SignatureAlgorithm(algorithm), []byte(input)))
}

func segment(object map[string]any) string {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// Decode reads header and claims of a JWT without verifying anything.
func Decode(compact string) (header, claims map[string]any, err error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, nil, fmt.Errorf("not a compact JWT")
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, nil, fmt.Errorf("decode JWT: %w", err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, nil, fmt.Errorf("decode JWT: %w", err)
		}
	}
	return header, claims, nil
}

// token is n random bytes in base64url.
func token(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
