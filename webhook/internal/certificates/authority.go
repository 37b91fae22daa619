// Package certificates gives every replica of the webhook a serving
// certificate, without Helm, without cert-manager and without a moment in
// which the API server trusts the wrong one.
//
// It follows the design of cert-manager's own webhook: one long-lived
// certificate authority in a Secret, from which each replica signs itself a
// short-lived certificate that never leaves its memory. Where it goes further
// is the change of authorities. A new one is published first and signs only
// after a while, and an old one stays published until nothing it signed can be
// in use.
//
// What is to be done follows from the Secret and the clock alone, so all
// replicas come to the same result, and none needs to be the leader.
package certificates

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// backdated is how long before its making a certificate becomes valid, so that
// an API server whose clock is behind accepts it.
const backdated = time.Hour

// authority is one certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority makes a self-signed authority that is valid for lifetime.
func newAuthority(now time.Time, lifetime time.Duration) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("generate key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "bff-operator webhook CA"},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(lifetime),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	certificate, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return authority{}, fmt.Errorf("sign authority: %w", err)
	}
	return authority{certificate, key}, nil
}

// made is when the authority was made.
func (a authority) made() time.Time { return a.certificate.NotBefore.Add(backdated) }

// isHealthy says whether the authority may sign and be trusted now.
func (a authority) isHealthy(now time.Time) bool {
	return a.certificate.IsCA && now.Before(a.certificate.NotAfter) && !now.Before(a.certificate.NotBefore)
}

func (a authority) equal(b authority) bool { return a.certificate.Equal(b.certificate) }

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func newSerial() (*big.Int, error) {
	// RFC 5280 section 4.1.2.2: positive, at most 20 octets.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))
	if err != nil {
		return nil, fmt.Errorf("generate serial number: %w", err)
	}
	return serial, nil
}

// Entries of the Secret. Both are PEM bundles, in the same order.
const (
	certificatesKey = "ca.crt"
	keysKey         = "ca.key"
)

var errDamaged = errors.New("the Secret does not hold pairs of certificates and keys")

// encode writes authorities as parse reads them.
func encode(authorities []authority) (map[string][]byte, error) {
	var keys bytes.Buffer
	for _, a := range authorities {
		der, err := x509.MarshalPKCS8PrivateKey(a.key)
		if err != nil {
			return nil, fmt.Errorf("marshal key: %w", err)
		}
		if err := pem.Encode(&keys, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
			return nil, fmt.Errorf("encode key: %w", err)
		}
	}
	return map[string][]byte{certificatesKey: bundle(authorities), keysKey: keys.Bytes()}, nil
}

// bundle is the certificates in PEM, oldest first: what the API server is to
// trust.
func bundle(authorities []authority) []byte {
	var out bytes.Buffer
	for _, a := range authorities {
		// Writing to a buffer cannot fail.
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	}
	return out.Bytes()
}

// parse reads the Secret. It returns errDamaged for anything encode would not
// write; no part of the Secret is in the error.
func parse(data map[string][]byte) ([]authority, error) {
	certificates, keys := blocks(data[certificatesKey]), blocks(data[keysKey])
	if len(certificates) == 0 || len(certificates) != len(keys) {
		return nil, errDamaged
	}
	authorities := make([]authority, len(certificates))
	for i := range certificates {
		certificate, err := x509.ParseCertificate(certificates[i])
		if err != nil {
			return nil, errDamaged
		}
		parsed, err := x509.ParsePKCS8PrivateKey(keys[i])
		if err != nil {
			return nil, errDamaged
		}
		key, ok := parsed.(*ecdsa.PrivateKey)
		if !ok || !key.PublicKey.Equal(certificate.PublicKey) {
			return nil, errDamaged
		}
		authorities[i] = authority{certificate, key}
	}
	return authorities, nil
}

func blocks(data []byte) [][]byte {
	var all [][]byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		all = append(all, block.Bytes)
	}
	return all
}
