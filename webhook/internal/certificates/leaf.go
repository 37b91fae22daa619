package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// leaf is a serving certificate and who signed it.
type leaf struct {
	certificate *tls.Certificate
	signer      authority
	made        time.Time
}

// newLeaf makes a certificate for the given names. It does not outlive its
// signer.
func newLeaf(signer authority, names []string, now time.Time, lifetime time.Duration) (*leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	notAfter := now.Add(lifetime)
	if end := signer.certificate.NotAfter; end.Before(notAfter) {
		notAfter = end
	}
	certificate, err := sign(&x509.Certificate{
		SerialNumber: serial,
		DNSNames:     names,
		NotBefore:    now.Add(-backdated),
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, signer.certificate, &key.PublicKey, signer.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return &leaf{
		certificate: &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate},
		signer:      signer,
		made:        now,
	}, nil
}

// isDue says whether the certificate is to be replaced: it was signed by
// another authority, or two thirds of its life have passed. A nil leaf is.
func (l *leaf) isDue(signer authority, now time.Time) bool {
	return l == nil || !l.signer.equal(signer) || !now.Before(twoThirds(l.made, l.certificate.Leaf.NotAfter))
}
