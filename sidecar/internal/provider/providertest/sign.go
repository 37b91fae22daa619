package providertest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// keys are made once: making them is slow. Two of them, for rotation.
var keys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var pair [2]*rsa.PrivateKey
	for i := range pair {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		pair[i] = key
	}
	return pair
})

// RotateKey makes the provider sign with another key and publish that alone.
func (s *Server) RotateKey() { s.UseKey(keys()[1], "key-1") }

// UseKey makes the provider sign with a key and publish that alone.
func (s *Server) UseKey(key crypto.Signer, keyID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.keyID = key, keyID
}

// PublicKey is the key that verifies what the provider signs, if it is an RSA
// key.
func (s *Server) PublicKey() *rsa.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	public, _ := s.key.Public().(*rsa.PublicKey)
	return public
}

// OtherKey is a key that the provider does not publish, unless it has rotated.
func OtherKey() crypto.Signer { return keys()[1] }

// Sign signs claims with the provider's key.
func (s *Server) Sign(claims map[string]any) string { return s.SignAs(jose.RS256, claims) }

// SignAs signs claims with the provider's key by any algorithm that fits it.
func (s *Server) SignAs(algorithm jose.SignatureAlgorithm, claims map[string]any) string {
	return s.SignTyped(algorithm, "JWT", claims)
}

// SignTyped signs claims with the provider's key as a JWT of a type (RFC 7519
// section 5.1), or of none.
func (s *Server) SignTyped(algorithm jose.SignatureAlgorithm, typ string, claims map[string]any) string {
	s.mu.Lock()
	key, keyID := s.key, s.keyID
	s.mu.Unlock()
	return s.sign(algorithm, key, keyID, typ, claims)
}

// SignWith signs claims with any key, under any key id.
func (s *Server) SignWith(algorithm jose.SignatureAlgorithm, key any, keyID string, claims map[string]any) string {
	return s.sign(algorithm, key, keyID, "JWT", claims)
}

func (s *Server) sign(algorithm jose.SignatureAlgorithm, key any, keyID, typ string, claims map[string]any) string {
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options.WithHeader("kid", keyID))
	if err != nil {
		s.t.Errorf("make signer: %v", err)
		return ""
	}
	payload, _ := json.Marshal(claims)
	jws, err := signer.Sign(payload)
	if err != nil {
		s.t.Errorf("sign: %v", err)
		return ""
	}
	compact, _ := jws.CompactSerialize()
	return compact
}

// AccessHash is at_hash for RS256 (OpenID Connect Core section 3.1.3.6).
func AccessHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// Unsigned makes a JWT with algorithm none (RFC 7518 section 3.6).
func Unsigned(claims string) string {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return strings.Join([]string{encode(`{"alg":"none"}`), encode(claims), ""}, ".")
}

// Encrypted makes something that looks like an encrypted JWT (RFC 7516 section
// 3.1).
func Encrypted() string {
	encode := base64.RawURLEncoding.EncodeToString
	return strings.Join([]string{encode([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)), encode([]byte("key")), encode([]byte("iv")), encode([]byte("text")), encode([]byte("tag"))}, ".")
}
