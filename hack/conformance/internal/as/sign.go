package as

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that the algorithms name
	_ "crypto/sha512"

	"github.com/go-jose/go-jose/v4"
)

// hashes of the algorithms.
var hashes = map[jose.SignatureAlgorithm]crypto.Hash{
	jose.HS256: crypto.SHA256, jose.HS384: crypto.SHA384, jose.HS512: crypto.SHA512,
	jose.RS256: crypto.SHA256, jose.RS384: crypto.SHA384, jose.RS512: crypto.SHA512,
	jose.PS256: crypto.SHA256, jose.PS384: crypto.SHA384, jose.PS512: crypto.SHA512,
	jose.ES256: crypto.SHA256, jose.ES384: crypto.SHA384, jose.ES512: crypto.SHA512,
}

// rawSign signs exactly the given bytes (RFC 7515 section 5.1). It is done by
// hand because tests need headers that no library would write.
func rawSign(key any, algorithm jose.SignatureAlgorithm, input []byte) []byte {
	hash := hashes[algorithm]
	switch k := key.(type) {
	case []byte:
		mac := hmac.New(hash.New, k)
		mac.Write(input)
		return mac.Sum(nil)
	case ed25519.PrivateKey:
		return ed25519.Sign(k, input)
	case *rsa.PrivateKey:
		var signed []byte
		var err error
		if algorithm[0] == 'P' {
			signed, err = rsa.SignPSS(rand.Reader, k, hash, sum(hash, input), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			signed, err = rsa.SignPKCS1v15(rand.Reader, k, hash, sum(hash, input))
		}
		must(err)
		return signed
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum(hash, input))
		must(err)
		size := (k.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	panic("no such key")
}

func sum(hash crypto.Hash, input []byte) []byte {
	h := hash.New()
	h.Write(input)
	return h.Sum(nil)
}

// must stops a test whose own keys do not work.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
