// Package keys decides what the Secret bff-operator-keys of a namespace needs.
// It is pure.
package keys

import (
	"bytes"
	"fmt"
	"io"
	"time"

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
	// Rotated is the key ring after a rotation that is due; nil when none is.
	Rotated *keyring.Ring
}

// Input is what a decision rests on.
type Input struct {
	// Secret is empty when it does not exist yet.
	Secret *corev1.Secret
	// Password is what the store of the installation has; nil, if no policy of the
	// namespace needs it.
	Password []byte
	// Schedule of the key ring.
	Schedule keyring.Schedule
	Now      time.Time
	// Random makes keys.
	Random io.Reader
}

// Decide says what the Secret needs. The error is a *DamagedError, or that of
// Random.
func Decide(in Input) (Needs, error) {
	needs := Needs{Password: len(in.Password) > 0 && !bytes.Equal(in.Secret.Data[pod.StorePasswordKey], in.Password)}
	data, exists := in.Secret.Data[pod.KeyRingKey]
	if !exists {
		needs.Ring = true
		return needs, nil
	}
	ring, err := keyring.Parse(data)
	if err != nil {
		return needs, &DamagedError{err}
	}
	rotated, err := ring.Rotated(in.Schedule, in.Now, in.Random)
	if err != nil {
		return needs, fmt.Errorf("rotate the key ring: %w", err)
	}
	if rotated != ring {
		needs.Rotated = rotated
	}
	return needs, nil
}
