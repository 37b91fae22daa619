//go:build conformance

package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
)

// clientKey is a key that the client signs assertions and request objects with.
type clientKey struct {
	pem    string
	public jose.JSONWebKey
}

// newClientKey makes a P-256 key.
func newClientKey(t *testing.T) clientKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return clientKeyOf(t, key, "client-key-1")
}

// clientKeyOf is any key under any kid.
func clientKeyOf(t *testing.T, key crypto.Signer, kid string) clientKey {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return clientKey{
		pem:    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		public: jose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: "sig"},
	}
}

// clientKeySecret is where the key is mounted.
const clientKeySecret = "shop-oidc/private-key.pem"

// option registers private_key_jwt with this key, and has the policy use it.
func (k clientKey) option() option {
	return func(s *setup) {
		client(func(c *as.Client) { c.Method, c.Secret, c.Keys = "private_key_jwt", "", []jose.JSONWebKey{k.public} })(s)
		secret(clientKeySecret, k.pem)(s)
		policy(func(spec *v1alpha1.BFFPolicySpec) {
			spec.Provider.ClientAuthentication = v1alpha1.ClientAuthentication{
				Method: v1alpha1.PrivateKeyJWT,
				PrivateKey: &v1alpha1.PrivateKey{
					SecretRef: v1alpha1.SecretKeyReference{Name: "shop-oidc", Key: "private-key.pem"}, KeyID: k.public.KeyID,
				},
			}
		})(s)
	}
}

// clientCertificate registers a method of mutual TLS with a certificate, and has
// the policy use it. It needs secureProvider.
func clientCertificate(method v1alpha1.ClientAuthenticationMethod, c pki.Certificate) option {
	return func(s *setup) {
		client(func(r *as.Client) {
			r.Method, r.Secret = string(method), ""
			if method == v1alpha1.SelfSignedTLSClientAuth {
				r.Certificate = c.Leaf
			} else {
				r.SubjectDN = c.Leaf.Subject.String()
			}
		})(s)
		secret("shop-tls/tls.crt", c.CertPEM)(s)
		secret("shop-tls/tls.key", c.KeyPEM)(s)
		policy(func(spec *v1alpha1.BFFPolicySpec) {
			spec.Provider.ClientAuthentication = v1alpha1.ClientAuthentication{
				Method: method, CertificateRef: &v1alpha1.CertificateReference{Name: "shop-tls"},
			}
		})(s)
	}
}
