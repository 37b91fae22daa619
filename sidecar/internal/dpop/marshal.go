package dpop

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const (
	// separator ends the algorithm's name in a written key.
	separator = '\n'
	// maxKeyBytes and maxRSABits bound what ParseKey looks at.
	maxKeyBytes = 8 << 10
	maxRSABits  = 4096
)

// Marshal writes the key as ParseKey reads it: the algorithm's name, and the
// scalar (ECDSA), the seed (EdDSA) or PKCS #8 (RSA). Of ES256 and EdDSA keys
// that is 38 bytes. It is as secret as the key.
func (k *Key) Marshal() []byte {
	return slices.Concat([]byte(k.algorithm), []byte{separator}, k.privateBytes())
}

func (k *Key) privateBytes() []byte {
	var data []byte
	var err error
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		return private.Seed()
	case *ecdsa.PrivateKey:
		data, err = private.Bytes()
	default:
		data, err = x509.MarshalPKCS8PrivateKey(private)
	}
	if err != nil {
		// Only keys that cannot be parsed or generated either cannot be written.
		panic("dpop: " + err.Error())
	}
	return data
}

// ParseKey reads what Marshal has written. Its error matches ErrKey.
func ParseKey(data []byte) (*Key, error) {
	if len(data) > maxKeyBytes {
		return nil, fmt.Errorf("%w: it is too long", ErrKey)
	}
	name, data, found := bytes.Cut(data, []byte{separator})
	algorithm := jose.SignatureAlgorithm(name)
	if !found || !slices.Contains(algorithms, algorithm) {
		return nil, fmt.Errorf("%w: it does not begin with an algorithm", ErrKey)
	}
	private, err := parsePrivate(algorithm, data)
	if err != nil {
		return nil, err
	}
	return newKey(algorithm, private)
}

// parsePrivate reads the private key. What the standard library says of it is
// left out, since it may quote the key.
func parsePrivate(algorithm jose.SignatureAlgorithm, data []byte) (crypto.Signer, error) {
	if curve := curveOf(algorithm); curve != nil {
		private, err := ecdsa.ParseRawPrivateKey(curve, data)
		if err != nil {
			return nil, fmt.Errorf("%w: it is not a scalar for %s", ErrKey, algorithm)
		}
		return private, nil
	}
	if algorithm == jose.EdDSA {
		if len(data) != ed25519.SeedSize {
			return nil, fmt.Errorf("%w: it is not a seed for EdDSA", ErrKey)
		}
		return ed25519.NewKeyFromSeed(data), nil
	}
	private, err := x509.ParsePKCS8PrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not PKCS #8", ErrKey)
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok || key.N.BitLen() < rsaBits || key.N.BitLen() > maxRSABits {
		return nil, fmt.Errorf("%w: %s needs an RSA key of %d to %d bits", ErrKey, algorithm, rsaBits, maxRSABits)
	}
	return key, nil
}
