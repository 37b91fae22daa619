// Package keys decides what the Secret bff-operator-keys of a namespace needs.
// It is pure.
package keys

import (
	"bytes"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/pod"
)

// DamagedError says that the namespace's key ring cannot be read. The ring is
// never replaced: what was sealed with it would be lost, and it may come back.
type DamagedError struct{ Err error }

func (e *DamagedError) Error() string {
	return fmt.Sprintf("entry %s of Secret %q cannot be read (%v); it is not replaced by itself, since that would end every session "+
		"of this namespace: restore it from a backup, or delete the Secret to start with a new key ring",
		pod.KeyRingKey, pod.KeysSecretName, e.Err)
}

// Unwrap is one of the errors of package keyring.
func (e *DamagedError) Unwrap() error { return e.Err }

// Needs is what is to be written.
type Needs struct {
	// Ring says that the Secret has no key ring yet.
	Ring bool
	// Password says that the store's password is missing or another.
	Password bool
}

// Decide looks at the Secret, which is empty when it does not exist yet, and at
// the password the store of the installation has; nil, if no policy of the
// namespace needs it. The error is a *DamagedError.
func Decide(secret *corev1.Secret, password []byte) (Needs, error) {
	needs := Needs{Password: len(password) > 0 && !bytes.Equal(secret.Data[pod.StorePasswordKey], password)}
	ring, exists := secret.Data[pod.KeyRingKey]
	if !exists {
		needs.Ring = true
		return needs, nil
	}
	if _, err := keyring.Parse(ring); err != nil {
		return needs, &DamagedError{err}
	}
	return needs, nil
}
