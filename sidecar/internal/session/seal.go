package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/bff-operator/bff-operator/api/keyring"
)

// A sealed text is
//
//	version   1 byte, sealVersion
//	length    1 byte, of the key id
//	key id    1 to 32 bytes, the ring key it was sealed with
//	nonce     12 bytes, random
//	body      AES-256-GCM of the plain text, with its 16 bytes of tag
//
// Everything before the nonce, followed by the store key, is authenticated: a
// sealed text says nothing under another key, version or key id.
const sealVersion = 1

// Purposes keep the keys of different things apart. Their version is that
// of the derivation.
const (
	recordPurpose   = "bff-operator.io session record v1"
	metadataPurpose = "bff-operator.io session metadata v1"
	parkedPurpose   = "bff-operator.io parked value v1"
)

// sealer seals and opens texts of one purpose under one store key.
type sealer struct {
	purpose string
	// secret is the cookie's, empty for what the ring alone must open.
	secret []byte
	key    string // in the store
}

func (h handle) record() sealer { return sealer{recordPurpose, h.secret[:], h.key} }

func metadataAt(key string) sealer { return sealer{purpose: metadataPurpose, key: key} }

func parkedAt(key string, secret [secretSize]byte) sealer {
	return sealer{parkedPurpose, secret[:], key}
}

// seal seals with the ring's primary key.
func (s sealer) seal(ring *keyring.Ring, plain []byte) ([]byte, error) {
	if ring == nil {
		return nil, fmt.Errorf("%w: no key ring", ErrUnreadable)
	}
	primary := ring.Primary()
	aead, err := s.aead(primary)
	if err != nil {
		return nil, err
	}
	header := append([]byte{sealVersion, byte(len(primary.ID))}, primary.ID...)
	// The AEAD draws the nonce itself and puts it before the body.
	return aead.Seal(header, nil, plain, s.associated(header)), nil
}

// open opens with the key the text names. It returns ErrUnreadable.
func (s sealer) open(ring *keyring.Ring, sealed []byte) ([]byte, error) {
	if ring == nil {
		return nil, fmt.Errorf("%w: no key ring", ErrUnreadable)
	}
	header, body, ok := split(sealed)
	if !ok {
		return nil, fmt.Errorf("%w: not a sealed text of version %d", ErrUnreadable, sealVersion)
	}
	key, ok := ring.Key(string(header[2:]))
	if !ok {
		return nil, fmt.Errorf("%w: its key is not in the key ring", ErrUnreadable)
	}
	aead, err := s.aead(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, body, s.associated(header))
	if err != nil {
		return nil, fmt.Errorf("%w: it is damaged", ErrUnreadable)
	}
	return plain, nil
}

// split parts a sealed text after its key id.
func split(sealed []byte) (header, body []byte, ok bool) {
	if len(sealed) < 2 || sealed[0] != sealVersion {
		return nil, nil, false
	}
	end := 2 + int(sealed[1])
	if len(sealed) < end {
		return nil, nil, false
	}
	return sealed[:end:end], sealed[end:], true
}

// aead derives the cipher. Secret and material have fixed lengths, so joining
// them is unambiguous; whoever lacks one of them lacks 256 bits of the input.
// The store key makes it a key per session for metadata too, so that a ring key
// never comes near the number of random nonces that AES-GCM allows.
func (s sealer) aead(key keyring.Key) (cipher.AEAD, error) {
	material := key.Material()
	input := append(append(make([]byte, 0, secretSize+keyring.KeySize), s.secret...), material[:]...)
	derived, err := hkdf.Key(sha256.New, input, nil, s.purpose+"\x00"+s.key, 32)
	if err != nil {
		return nil, fmt.Errorf("derive a session's key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("make a session's cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (s sealer) associated(header []byte) []byte {
	return append(append(make([]byte, 0, len(header)+len(s.key)), header...), s.key...)
}
