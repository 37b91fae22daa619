package clientauth

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

var (
	// ErrKey says that a private key cannot be read or is too weak.
	ErrKey = errors.New("the private key cannot be used")
	// ErrAlgorithm says that a private key does not sign by the algorithm that it
	// should.
	ErrAlgorithm = errors.New("the private key does not sign by that algorithm")
)

// SigningKey is a private key with the name and algorithm it signs under. It
// never changes and may be used by several goroutines at once. It prints as its
// kid and nothing more.
type SigningKey struct {
	private    crypto.Signer
	keyID      string
	algorithms []jose.SignatureAlgorithm // in order of preference, at least one
	configured bool                      // the algorithm was given, not chosen
}

// ParseSigningKey reads a private key in PEM: PKCS #8, PKCS #1 or SEC 1; RSA from
// 2048 bits, P-256, P-384, P-521 or Ed25519.
//
// keyID is the kid that the public key is registered under; left out, it is the
// JWK thumbprint (RFC 7638). algorithm is what to sign by; left out, it follows
// from the key: PS256, ES256, ES384, ES512 or EdDSA. The error matches ErrKey or
// ErrAlgorithm.
func ParseSigningKey(pem []byte, keyID string, algorithm v1alpha1.SigningAlgorithm) (*SigningKey, error) {
	private, err := parsePrivateKey(pem)
	if err != nil {
		return nil, err
	}
	possible := algorithmsOf(private.Public())
	if len(possible) == 0 {
		return nil, fmt.Errorf("%w: it must be RSA of %d to %d bits, P-256, P-384, P-521 or Ed25519", ErrKey, minRSABits, maxRSABits)
	}
	if algorithm != "" {
		if !slices.Contains(possible, jose.SignatureAlgorithm(algorithm)) {
			return nil, fmt.Errorf("%w: it is %q, write one of %v or leave it out", ErrAlgorithm, algorithm, possible)
		}
		possible = []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)}
	}
	if keyID == "" {
		public := jose.JSONWebKey{Key: private.Public()}
		sum, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("%w: it has no thumbprint", ErrKey)
		}
		keyID = base64.RawURLEncoding.EncodeToString(sum)
	}
	return &SigningKey{private: private, keyID: keyID, algorithms: possible, configured: algorithm != ""}, nil
}

// KeyID is the kid of everything the key signs.
func (k *SigningKey) KeyID() string { return k.keyID }

// Algorithm is what the key signs by.
func (k *SigningKey) Algorithm() v1alpha1.SigningAlgorithm {
	return v1alpha1.SigningAlgorithm(k.algorithms[0])
}

// For is the key, signing by the best algorithm that a server takes, such as one
// of its token_endpoint_auth_signing_alg_values_supported or
// request_object_signing_alg_values_supported. None means that it does not say. A
// key that was given its algorithm keeps that, whatever the server says of
// itself. The error matches ErrAlgorithm.
func (k *SigningKey) For(supported []string) (*SigningKey, error) {
	if len(supported) == 0 || k.configured {
		return k, nil
	}
	i := slices.IndexFunc(k.algorithms, func(a jose.SignatureAlgorithm) bool { return slices.Contains(supported, string(a)) })
	if i < 0 {
		return nil, fmt.Errorf("%w: the server takes none of %v", ErrAlgorithm, k.algorithms)
	}
	chosen := *k
	chosen.algorithms = k.algorithms[i : i+1]
	return &chosen, nil
}

// Sign makes a JWT of claims (RFC 7519) in the compact form. Its header has the
// key's kid and, unless it is empty, the type typ.
func (k *SigningKey) Sign(claims any, typ string) (string, error) {
	key := jose.JSONWebKey{Key: k.private, KeyID: k.keyID}
	return sign(jose.SigningKey{Algorithm: k.algorithms[0], Key: key}, claims, typ)
}

func sign(key jose.SigningKey, claims any, typ string) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write claims to sign: %w", err)
	}
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		return "", fmt.Errorf("use a key to sign: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign claims: %w", err)
	}
	return signed.CompactSerialize()
}

// String never shows the key.
func (k SigningKey) String() string { return "private key " + k.keyID }

// GoString is String, for %#v.
func (k SigningKey) GoString() string { return k.String() }

// LogValue is String, for slog.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue(k.String()) }
