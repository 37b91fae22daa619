package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

var (
	// ErrAlgorithm says that a server takes proofs by no algorithm that this client
	// knows.
	ErrAlgorithm = errors.New("there is no algorithm for proofs that both sides know")
	// ErrKey says that ParseKey was not given what Marshal writes.
	ErrKey = errors.New("this is not a key for proofs")
)

// algorithms are those that proofs can be signed by, the preferred one first:
// small and fast before large, and of those that FAPI 2.0 section 5.4.1 knows
// first. RSA comes last, since its keys take a tenth of a second to make.
var algorithms = []jose.SignatureAlgorithm{
	jose.ES256, jose.EdDSA, jose.ES384, jose.ES512,
	jose.PS256, jose.PS384, jose.PS512, jose.RS256, jose.RS384, jose.RS512,
}

const rsaBits = 2048

// Key is a private key that tokens are bound to, with the algorithm it signs
// by. It never changes and may be used by several goroutines at once. It prints
// as its kind and nothing more.
type Key struct {
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
	signer    jose.Signer
}

// NewKey makes a key of the best kind that a server takes: supported are the
// JWS algorithms of its dpop_signing_alg_values_supported (RFC 9449 section
// 5.1) or of a challenge's algs (section 7.1). None means that it does not say,
// and ES256 is used. The error matches ErrAlgorithm if none of them is known
// here.
func NewKey(supported []string) (*Key, error) {
	algorithm := algorithms[0]
	if len(supported) > 0 {
		i := slices.IndexFunc(algorithms, func(a jose.SignatureAlgorithm) bool { return slices.Contains(supported, string(a)) })
		if i < 0 {
			return nil, ErrAlgorithm
		}
		algorithm = algorithms[i]
	}
	private, err := generate(algorithm)
	if err != nil {
		return nil, fmt.Errorf("make a key for proofs: %w", err)
	}
	return newKey(algorithm, private)
}

func generate(algorithm jose.SignatureAlgorithm) (crypto.Signer, error) {
	if curve := curveOf(algorithm); curve != nil {
		return ecdsa.GenerateKey(curve, rand.Reader)
	}
	if algorithm == jose.EdDSA {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return rsa.GenerateKey(rand.Reader, rsaBits)
}

// curveOf is the curve of an ECDSA algorithm (RFC 7518 section 3.4), or nil.
func curveOf(algorithm jose.SignatureAlgorithm) elliptic.Curve {
	switch algorithm {
	case jose.ES256:
		return elliptic.P256()
	case jose.ES384:
		return elliptic.P384()
	case jose.ES512:
		return elliptic.P521()
	default:
		return nil
	}
}

// newKey is the key itself. Its signer puts the public half, and only that, into
// the header of what it signs (RFC 9449 section 4.2).
func newKey(algorithm jose.SignatureAlgorithm, private crypto.Signer) (*Key, error) {
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType(proofType)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: private}, options)
	if err != nil {
		return nil, fmt.Errorf("use a key for proofs: %w", err)
	}
	return &Key{algorithm: algorithm, private: private, signer: signer}, nil
}

// Compact says whether Marshal returns so little that it fits into a cookie
// beside other things: ES256 and EdDSA.
func (k *Key) Compact() bool { return k.algorithm == jose.ES256 || k.algorithm == jose.EdDSA }

// TakenBy says whether a server takes proofs by this key: supported is what NewKey
// is told of it.
func (k *Key) TakenBy(supported []string) bool {
	return len(supported) == 0 || slices.Contains(supported, string(k.algorithm))
}

// Thumbprint is the SHA-256 JWK thumbprint of the public key (RFC 7638) in
// base64url: the value of dpop_jkt (RFC 9449 section 10), of cnf.jkt in tokens.
func (k *Key) Thumbprint() string {
	public := jose.JSONWebKey{Key: k.private.Public()}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		// Every kind of key that newKey lets through has one.
		panic("dpop: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// String never shows the key.
func (k Key) String() string { return string(k.algorithm) + " key for proofs" }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// LogValue is String, for slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
