package clientauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

const (
	// minRSABits is the least size of an RSA key (FAPI 2.0 section 5.4.1).
	minRSABits = 2048
	// maxRSABits bounds the time that a signature takes.
	maxRSABits = 8192
)

// parsePrivateKey reads the one private key in a PEM file. What else may stand
// there are the EC PARAMETERS that OpenSSL writes before a key. What the standard
// library says is left out of the errors, since it may quote the key.
func parsePrivateKey(data []byte) (crypto.Signer, error) {
	var der *pem.Block
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		switch {
		case block.Type == "EC PARAMETERS":
		case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
			return nil, fmt.Errorf("%w: it is encrypted, write it without a passphrase", ErrKey)
		case der != nil:
			return nil, fmt.Errorf("%w: there is more than one block of PEM, write the private key alone", ErrKey)
		default:
			der = block
		}
	}
	if der == nil {
		return nil, fmt.Errorf("%w: there is no PEM, write -----BEGIN PRIVATE KEY----- and so on", ErrKey)
	}
	return parseBlock(der)
}

func parseBlock(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%w: it is not a private key, write one of PKCS #8, PKCS #1 or SEC 1", ErrKey)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: it is not valid, write one of PKCS #8, PKCS #1 or SEC 1", ErrKey)
	}
	return signer, nil
}

// algorithmsOf are what a key may sign by (RFC 7518 section 3, RFC 8037 section
// 3.1), the preferred one first, and nothing for a key that is too weak.
func algorithmsOf(public crypto.PublicKey) []jose.SignatureAlgorithm {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits >= minRSABits && bits <= maxRSABits {
			return []jose.SignatureAlgorithm{jose.PS256, jose.PS384, jose.PS512, jose.RS256, jose.RS384, jose.RS512}
		}
	case *ecdsa.PublicKey:
		switch key.Curve.Params().BitSize {
		case 256:
			return []jose.SignatureAlgorithm{jose.ES256}
		case 384:
			return []jose.SignatureAlgorithm{jose.ES384}
		case 521:
			return []jose.SignatureAlgorithm{jose.ES512}
		}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}
	}
	return nil
}

// strong says whether a key is one that assertions could be signed with.
func strong(public crypto.PublicKey) bool { return len(algorithmsOf(public)) > 0 }
