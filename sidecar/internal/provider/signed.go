package provider

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// asymmetric are the algorithms a token may be signed with. None of them takes
// a secret that the provider and this client share, let alone no key: a token
// with none or HS256 is never accepted, whatever the metadata say.
var asymmetric = []string{
	"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
}

// maxJWT bounds a token that this client looks into.
const maxJWT = 64 << 10

var (
	errMalformed = errors.New("not a signed JWT")
	errEncrypted = errors.New("encrypted: register the client for signed tokens alone")
	errAlgorithm = errors.New("signed with an algorithm that is not among the agreed ones")
	errSignature = errors.New("no key of the provider verifies the signature")
)

// signed is a JWT whose signature is yet to be verified.
type signed struct {
	jws       *jose.JSONWebSignature
	algorithm string
	keyID     string
	typ       string // lower case, without "application/" (RFC 7515 section 4.1.9)
}

// parseSigned reads a JWT in compact serialization that is signed with one of
// the algorithms. Its error is errMalformed, errEncrypted or errAlgorithm.
func parseSigned(raw string, algorithms []string) (signed, error) {
	switch {
	case len(raw) > maxJWT:
		return signed{}, errMalformed
	case strings.Count(raw, ".") == 4: // RFC 7516 section 3.1
		return signed{}, errEncrypted
	}
	accepted := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, name := range algorithms {
		accepted[i] = jose.SignatureAlgorithm(name)
	}
	jws, err := jose.ParseSignedCompact(raw, accepted)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return signed{}, errAlgorithm
	}
	if err != nil || len(jws.Signatures) != 1 {
		return signed{}, errMalformed
	}
	header := jws.Signatures[0].Protected
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	return signed{
		jws: jws, algorithm: header.Algorithm, keyID: header.KeyID,
		typ: strings.TrimPrefix(strings.ToLower(typ), "application/"),
	}, nil
}

// verify tries every key that may be meant and returns the payload. Keys in the
// token's own header are never looked at.
func (s signed) verify(keys []jose.JSONWebKey) ([]byte, bool) {
	for _, key := range s.candidates(keys) {
		if payload, err := s.jws.Verify(&key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// candidates are the keys that may be meant. Ids need not be unique, and a token
// need not name one, so that the rest of what a key says counts as well (OpenID
// Connect Core section 10.1, FAPI 2.0 section 5.4.3).
func (s signed) candidates(keys []jose.JSONWebKey) []jose.JSONWebKey {
	var candidates []jose.JSONWebKey
	for _, key := range keys {
		switch {
		case s.keyID != "" && key.KeyID != s.keyID,
			key.Algorithm != "" && key.Algorithm != s.algorithm,
			key.Use != "" && key.Use != "sig",
			!fits(key.Key, s.algorithm):
		default:
			candidates = append(candidates, key)
		}
	}
	return candidates
}

// fits says whether an algorithm is one for a type of key, and on its curve
// (RFC 7518 section 3.1, RFC 8037 section 3.1).
func fits(key any, algorithm string) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm] == key.Curve.Params().Name
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
