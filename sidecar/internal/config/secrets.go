package config

import (
	"crypto/tls"
	"fmt"
	"path/filepath"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

// Secrets are what a policy names and does not hold.
type Secrets struct {
	// Ring holds the keys that sessions are sealed with.
	Ring *keyring.Ring
	// Credentials are what the sidecar authenticates with at the provider.
	Credentials clientauth.Credentials
	// StorePassword and SentinelPassword are those of the session store; zero when
	// it has none.
	StorePassword, SentinelPassword secret.String
	// StoreCertificate is shown to the session store; nil if there is none.
	StoreCertificate *tls.Certificate
}

// secretReader reads the secrets of a policy, up to the first error, and notes
// every file it wants, also after that.
type secretReader struct {
	Secrets
	at    Location
	files []string
	err   error
}

func (r *secretReader) readAll(policy *v1alpha1.BFFPolicy) {
	r.read("key ring", r.file(pod.KeysSecretName, pod.KeyRingKey), func(data []byte) (err error) {
		r.Ring, err = keyring.Parse(data)
		return err
	})
	r.readCredentials(&policy.Spec.Provider.ClientAuthentication)
	redis := policy.Spec.Session.Store.Redis
	if redis == nil {
		return
	}
	if ref := redis.PasswordSecretRef; ref != nil {
		r.readLine("session store password", r.file(ref.Name, ref.Key), &r.StorePassword)
	}
	if redis.Sentinel != nil && redis.Sentinel.PasswordSecretRef != nil {
		ref := redis.Sentinel.PasswordSecretRef
		r.readLine("Sentinel password", r.file(ref.Name, ref.Key), &r.SentinelPassword)
	}
	if redis.ClientCertificateRef != nil {
		r.readCertificate("session store certificate", *redis.ClientCertificateRef, &r.StoreCertificate)
	}
}

func (r *secretReader) readCredentials(a *v1alpha1.ClientAuthentication) {
	if a.SecretRef != nil {
		r.readLine("client secret", r.file(a.SecretRef.Name, a.SecretRef.Key), &r.Credentials.Secret)
	}
	if key := a.PrivateKey; key != nil {
		r.read("client's private key", r.file(key.SecretRef.Name, key.SecretRef.Key), func(data []byte) (err error) {
			r.Credentials.PrivateKey, err = clientauth.ParseSigningKey(data, key.KeyID, key.Algorithm)
			return err
		})
	}
	if a.CertificateRef != nil {
		r.readCertificate("client certificate", *a.CertificateRef, &r.Credentials.Certificate)
	}
	if a.WorkloadIdentity != nil {
		r.readLine("service-account token", filepath.Join(r.at.SecretsDir, filepath.FromSlash(pod.ServiceAccountTokenPath)), &r.Credentials.ServiceAccountToken)
	}
}

func (r *secretReader) file(name, key string) string {
	return filepath.Join(r.at.SecretsDir, filepath.FromSlash(pod.SecretPath(name, key)))
}

// read reads one file.
func (r *secretReader) read(what, file string, parse func([]byte) error) {
	r.files = append(r.files, file)
	if r.err != nil {
		return
	}
	data, err := read(file, maxSecretSize)
	if err == nil {
		if err = parse(data); err != nil {
			err = fmt.Errorf("%q: %w", file, err)
		}
	}
	if err != nil {
		r.err = fmt.Errorf("read %s: %w", what, err)
	}
}

// readLine reads a secret of one line.
func (r *secretReader) readLine(what, file string, into *secret.String) {
	r.read(what, file, func(data []byte) error {
		line, err := oneLine(data)
		*into = secret.New(line)
		return err
	})
}

// readCertificate reads a certificate and its private key. Both files are
// noted; they are read together, since either alone is of no use.
func (r *secretReader) readCertificate(what string, ref v1alpha1.CertificateReference, into **tls.Certificate) {
	certificate, key := ref.Certificate(), ref.PrivateKey()
	var chain []byte
	r.read(what, r.file(certificate.Name, certificate.Key), func(data []byte) error {
		chain = data
		return nil
	})
	r.read(what, r.file(key.Name, key.Key), func(data []byte) (err error) {
		*into, err = clientauth.ParseCertificate(chain, data)
		return err
	})
}
