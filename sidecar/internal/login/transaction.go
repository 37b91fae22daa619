package login

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
)

// transactionLifetime is how long a login may take, from leaving for the
// provider to coming back.
const transactionLifetime = 10 * time.Minute

// transaction is a login in progress. Each has its own state, nonce and code
// verifier (RFC 9700 section 2.1.1).
type transaction struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	ReturnTo string `json:"r"`
	// Created is in Unix seconds.
	Created int64 `json:"c"`
	// Previous is the value of the session cookie the login began with, or "". The
	// session ends when the login succeeds. It has to be remembered, since a
	// SameSite=Strict cookie does not come along from the provider.
	Previous string `json:"p,omitempty"`
}

func (t transaction) expired(now time.Time) bool {
	return now.Sub(time.Unix(t.Created, 0)) >= transactionLifetime
}

// sealer keeps transactions secret and whole while the browser has them. What
// it seals opens under the same cookie name, origin and issuer only.
type sealer struct {
	ring func() *keyring.Ring
	// origin is the public URL. The key ring is shared by all policies of a
	// namespace; a cookie of one application is worth nothing at another.
	origin string
	// issuer is who the authorization request goes to, and so who the answer has
	// to come from (RFC 9700 section 4.4.2, SEC-13). After the policy was given
	// another provider, nothing is sent there that was meant for the old one.
	issuer string
}

// sealInfo makes the key different from every other one derived from the ring
// (RFC 5869 section 3.2).
const sealInfo = "bff-operator.io/login-transaction/v1"

var (
	errNoKeyRing = errors.New("there is no key ring")
	errNotSealed = errors.New("not a transaction that was sealed here")
)

// seal returns the value of the cookie called name.
func (s sealer) seal(name string, t transaction) (string, error) {
	ring := s.ring()
	if ring == nil {
		return "", errNoKeyRing
	}
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false) // it would make six bytes of each & in returnTo
	if err := encoder.Encode(t); err != nil {
		return "", fmt.Errorf("encode transaction: %w", err)
	}
	key := ring.Primary()
	aead, err := aeadFor(key)
	if err != nil {
		return "", err
	}
	return key.ID + "." + base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, plain.Bytes(), s.bound(name))), nil
}

// open reverses seal. It returns errNoKeyRing or errNotSealed.
func (s sealer) open(name, value string) (transaction, error) {
	ring := s.ring()
	if ring == nil {
		return transaction{}, errNoKeyRing
	}
	id, encoded, _ := strings.Cut(value, ".")
	key, ok := ring.Key(id)
	if !ok {
		return transaction{}, errNotSealed
	}
	sealed, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return transaction{}, errNotSealed
	}
	aead, err := aeadFor(key)
	if err != nil {
		return transaction{}, err
	}
	plain, err := aead.Open(nil, nil, sealed, s.bound(name))
	if err != nil {
		return transaction{}, errNotSealed
	}
	var t transaction
	if err := json.Unmarshal(plain, &t); err != nil {
		return transaction{}, errNotSealed
	}
	return t, nil
}

// bound is what a sealed transaction belongs to.
func (s sealer) bound(name string) []byte { return []byte(name + "\n" + s.origin + "\n" + s.issuer) }

// aeadFor is AES-256-GCM with a fresh random nonce in front of every message.
func aeadFor(key keyring.Key) (cipher.AEAD, error) {
	material := key.Material()
	derived, err := hkdf.Key(sha256.New, material[:], nil, sealInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("derive transaction key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("make transaction cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make transaction cipher: %w", err)
	}
	return aead, nil
}
