package idp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// newSecret returns 256 random bits in base64url.
func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// digest is what is kept of a secret.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

func (d digest) matches(secret string) bool {
	other := digestOf(secret)
	return subtle.ConstantTimeCompare(d[:], other[:]) == 1
}

// A handle is "<id>.<secret>": the id finds the record, whose digest then has to match the secret. A handle with a
// known id and a wrong secret is therefore told apart from one that was never issued, without a list of spent secrets.

func newHandle(id string) (handle string, secret digest) {
	s := newSecret()
	return id + "." + s, digestOf(s)
}

func splitHandle(handle string) (id, secret string, ok bool) {
	id, secret, ok = strings.Cut(handle, ".")
	return id, secret, ok && id != "" && secret != ""
}
