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
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
)

// transactionLifetime is how long a login may take, from leaving for the
// provider to coming back.
const transactionLifetime = 10 * time.Minute

// transaction is a login in progress. Each has its own state, nonce and code
// verifier (RFC 9700 section 2.1.1), and with DPoP its own key.
type transaction struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	ReturnTo string `json:"r"`
	// Created is in Unix seconds.
	Created int64 `json:"c"`
	// Key is the private key that the tokens will be bound to (RFC 9449), if the
	// request named it, as package dpop writes it.
	Key []byte `json:"k,omitempty"`
	// ACRValues and MaxAge, in seconds, are what the page asked for. The answer has
	// to fulfil them, beside what the policy demands by then.
	ACRValues []string `json:"a,omitempty"`
	MaxAge    *int64   `json:"m,omitempty"`
	// Silent says that the provider was to ask the user nothing (prompt=none).
	Silent bool `json:"q,omitempty"`
	// Chain is the login's place among logins that follow each other at once.
	Chain int `json:"l,omitempty"`
	// Previous is the value of the session cookie the login began with, or "". The
	// session ends when the login succeeds. It has to be remembered, since a
	// SameSite=Strict cookie does not come along from the provider.
	Previous string `json:"p,omitempty"`
	// User stands for the user of a session that is stepped up, and for nobody when
	// it is not a step-up.
	User []byte `json:"u,omitempty"`
}

func (t transaction) expired(now time.Time) bool {
	return now.Sub(time.Unix(t.Created, 0)) >= transactionLifetime
}

// again are the parameters to start the login once more with: a step-up that
// failed must not come back as less than that.
func (t transaction) again() url.Values {
	parameters := returning(t.ReturnTo)
	if parameters == nil {
		parameters = url.Values{}
	}
	if len(t.ACRValues) > 0 {
		parameters.Set("acr_values", strings.Join(t.ACRValues, " "))
	}
	if t.MaxAge != nil {
		parameters.Set("max_age", strconv.FormatInt(*t.MaxAge, 10))
	}
	return parameters
}

// userSize is how much of a user's hash is kept.
const userSize = 16

// userOf stands for a user. The issuer cannot hold a line break, so no two users
// are spelt alike.
func userOf(issuer, subject string) []byte {
	sum := sha256.Sum256([]byte(issuer + "\n" + subject))
	return sum[:userSize]
}

// isAnother says whether the login of a user cannot step up the session it began
// with, because that is somebody else's.
func (t transaction) isAnother(user []byte) bool {
	return len(t.User) > 0 && !bytes.Equal(t.User, user)
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
const sealInfo = "bff-operator.io/login-transaction/v2"

var errNotSealed = errors.New("not a transaction that was sealed here")

// seal returns the value of the cookie called name.
func (s sealer) seal(name string, t transaction) (string, error) {
	ring := s.ring()
	if ring == nil {
		return "", flow.ErrNoKeyRing
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

// open reverses seal. It returns flow.ErrNoKeyRing or errNotSealed.
func (s sealer) open(name, value string) (transaction, error) {
	ring := s.ring()
	if ring == nil {
		return transaction{}, flow.ErrNoKeyRing
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
