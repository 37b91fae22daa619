package session

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
)

// secretSize is the length of a cookie's secret: 256 random bits.
const secretSize = 32

// valueSize is the length of a cookie's value: the secret in base64url without
// padding.
const valueSize = 43

// strict refuses a value whose spare bits are not zero, so that a secret has one
// spelling only.
var strict = base64.RawURLEncoding.Strict()

// handle is what a cookie value stands for: the secret that helps to open the
// record, and the key the record is stored under.
type handle struct {
	secret [secretSize]byte
	key    string
}

// parse reads a cookie value. It accepts exactly what newHandle makes.
func (k keys) parse(value string) (handle, bool) {
	var h handle
	// The decoder would skip line breaks, which are not in the alphabet.
	if !wellFormed(value) {
		return handle{}, false
	}
	if n, err := strict.Decode(h.secret[:], []byte(value)); err != nil || n != secretSize {
		return handle{}, false
	}
	h.key = k.of(value)
	return h, true
}

// newHandle draws a secret from random and returns it with its cookie value.
func (k keys) newHandle(random io.Reader) (handle, string, error) {
	var h handle
	if _, err := io.ReadFull(random, h.secret[:]); err != nil {
		return handle{}, "", fmt.Errorf("draw a cookie's secret: %w", err)
	}
	value := strict.EncodeToString(h.secret[:])
	h.key = k.of(value)
	return h, value, nil
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

// keys are the store keys of one policy's sessions. The policy's uid in braces
// is their hash tag: all of them are in one slot of a Redis Cluster.
type keys struct{ prefix string }

func keysOf(policyUID string) keys { return keys{"bff:{" + policyUID + "}:s:"} }

func (k keys) of(value string) string {
	sum := sha256.Sum256([]byte(value))
	return k.prefix + base64.RawURLEncoding.EncodeToString(sum[:])
}
