package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// secretSize is the length of a cookie's secret: 256 random bits.
const secretSize = 32

// valueSize is the length of a cookie's value: the secret in base64url without
// padding.
const valueSize = 43

// strict refuses a value whose spare bits are not zero, so that a secret has one
// spelling only.
var strict = base64.RawURLEncoding.Strict()

// digest is the SHA-256 of a cookie value. It names the session and says nothing
// of the value.
type digest [sha256.Size]byte

// digestOf hashes a value of valueSize bytes. It allocates nothing.
func digestOf(value string) digest {
	var b [valueSize]byte
	copy(b[:], value)
	return sha256.Sum256(b[:])
}

// handle is what a cookie value stands for: the secret that helps to open the
// record, and the key the record is stored under.
type handle struct {
	secret [secretSize]byte
	digest digest
	key    string
}

// parse reads the secret of a cookie value. It accepts exactly what draw makes.
func parse(value string) (secret [secretSize]byte, ok bool) {
	// The decoder would skip line breaks, which are not in the alphabet.
	if !wellFormed(value) {
		return secret, false
	}
	if n, err := strict.Decode(secret[:], []byte(value)); err != nil || n != secretSize {
		return [secretSize]byte{}, false
	}
	return secret, true
}

// draw takes a secret from random and returns it with its value.
func draw(random io.Reader) (secret [secretSize]byte, value string, err error) {
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return secret, "", fmt.Errorf("draw a secret: %w", err)
	}
	return secret, strict.EncodeToString(secret[:]), nil
}

func wellFormed(value string) bool {
	if len(value) != valueSize {
		return false
	}
	for _, c := range []byte(value) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// localPolicy stands for the uid of a policy that has none, as on a laptop.
const localPolicy = "local"

// KeyPrefix is what every store key of a policy's sessions begins with. The uid
// in braces is their hash tag: all of them are in one slot of a Redis Cluster.
func KeyPrefix(policyUID string) string {
	if policyUID == "" {
		policyUID = localPolicy
	}
	return "bff:{" + policyUID + "}:"
}

// keys are the names of one policy's things in the store. All but the prefix is
// a hash.
type keys struct{ prefix string }

// Kinds of names.
const (
	kindSession  = store.TrackedKind
	kindUser     = "u:" // index by issuer and subject
	kindProvider = "p:" // index by issuer and sid
	kindParked   = "t:"
	kindOnce     = "o:"
)

func keysOf(policyUID string) keys { return keys{KeyPrefix(policyUID)} }

// handle reads a cookie value.
func (k keys) handle(value string) (handle, bool) {
	secret, ok := parse(value)
	if !ok {
		return handle{}, false
	}
	sum := digestOf(value)
	return handle{secret, sum, k.of(kindSession, sum)}, true
}

func (k keys) newHandle(random io.Reader) (handle, string, error) {
	secret, value, err := draw(random)
	if err != nil {
		return handle{}, "", err
	}
	sum := digestOf(value)
	return handle{secret, sum, k.of(kindSession, sum)}, value, nil
}

func (k keys) of(kind string, sum digest) string {
	return k.prefix + kind + base64.RawURLEncoding.EncodeToString(sum[:])
}

// named hashes names into one key. Each has its length before it, so that no
// other names make the same text. The hash has no key of the ring in it: a
// replica that has not seen a rotation yet must find the same index, or a logout
// would miss a session.
func (k keys) named(kind string, names ...string) string {
	var text []byte
	for _, name := range names {
		text = append(binary.AppendUvarint(text, uint64(len(name))), name...)
	}
	return k.of(kind, sha256.Sum256(text))
}

// session reads the digest out of a session's key.
func (k keys) session(key string) (sum digest, ok bool) {
	text, ok := strings.CutPrefix(key, k.prefix+kindSession)
	if !ok || len(text) != valueSize {
		return digest{}, false
	}
	n, err := strict.Decode(sum[:], []byte(text))
	return sum, err == nil && n == len(sum)
}
