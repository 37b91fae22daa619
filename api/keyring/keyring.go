// Package keyring is the set of keys a namespace's sidecars seal sessions
// with: its format in a Secret, read by the sidecar and written by the
// operator.
package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	// KeySize is the length of a key's material in bytes.
	KeySize = 32
	// MaxKeys bounds a ring, so that a damaged Secret cannot make a sidecar hold
	// an unbounded number of keys.
	MaxKeys = 64
)

// Key is one key of a ring.
type Key struct {
	// ID names the key in sealed records. It is no secret.
	ID string
	// Created is when the key was made.
	Created time.Time
	// Retired is when another key became primary; zero for a key that still is, or
	// has not been yet.
	Retired time.Time

	material [KeySize]byte
}

// Material is the key itself: input for a key derivation function, never a
// cipher key as it stands.
func (k Key) Material() [KeySize]byte { return k.material }

// String keeps the material out of everything that prints a key.
func (k Key) String() string { return "key " + k.ID }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// Ring is an immutable set of keys, one of which is primary: new records are
// sealed with it, while all of them open old records.
type Ring struct {
	primary Key
	keys    []Key
}

// String keeps the material out of everything that prints a ring: fmt does not
// ask the keys in it how they want to be printed.
func (r Ring) String() string { return fmt.Sprintf("key ring of %d", len(r.keys)) }

// GoString is String, for %#v.
func (r Ring) GoString() string { return r.String() }

// Primary is the key new records are sealed with.
func (r *Ring) Primary() Key { return r.primary }

// Key finds a key by its id.
func (r *Ring) Key(id string) (Key, bool) {
	for _, key := range r.keys {
		if key.ID == id {
			return key, true
		}
	}
	return Key{}, false
}

// New makes a ring of one fresh key. It fails only if random does.
func New(now time.Time, random io.Reader) (*Ring, error) {
	key, err := newKey(now, random)
	if err != nil {
		return nil, err
	}
	return &Ring{primary: key, keys: []Key{key}}, nil
}

// newKey reads random once for KeySize bytes and once for the key's id.
func newKey(now time.Time, random io.Reader) (Key, error) {
	var key Key
	var id [6]byte
	if _, err := io.ReadFull(random, key.material[:]); err != nil {
		return Key{}, fmt.Errorf("read random key material: %w", err)
	}
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return Key{}, fmt.Errorf("read random key id: %w", err)
	}
	key.ID = fmt.Sprintf("%x", id)
	key.Created = now.UTC().Truncate(time.Second)
	return key, nil
}

type document struct {
	Primary string  `json:"primary"`
	Keys    []entry `json:"keys"`
}

type entry struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Retired time.Time `json:"retired,omitzero"`
	Key     []byte    `json:"key"`
}

// Marshal writes the ring as Parse reads it.
func (r *Ring) Marshal() ([]byte, error) {
	doc := document{Primary: r.primary.ID}
	for _, key := range r.keys {
		doc.Keys = append(doc.Keys, entry{ID: key.ID, Created: key.Created, Retired: key.Retired, Key: key.material[:]})
	}
	return json.Marshal(doc)
}

// Errors of Parse. They never carry key material.
var (
	// ErrEmpty says that a ring holds no key.
	ErrEmpty = errors.New("key ring holds no key")
	// ErrMalformed says that a ring is not what Marshal writes.
	ErrMalformed = errors.New("key ring is malformed")
)

// Parse reads a ring. It returns ErrEmpty or ErrMalformed, wrapped with what
// is wrong, and refuses a ring that has a key of the wrong length, the same id
// twice, more than MaxKeys keys, or a primary that is not among its keys.
func Parse(data []byte) (*Ring, error) {
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		// The decoder's message can quote the input, so it is left out.
		return nil, fmt.Errorf("%w: not the JSON of a key ring", ErrMalformed)
	}
	if len(doc.Keys) == 0 {
		return nil, ErrEmpty
	}
	if len(doc.Keys) > MaxKeys {
		return nil, fmt.Errorf("%w: %d keys, at most %d are allowed", ErrMalformed, len(doc.Keys), MaxKeys)
	}
	ring := &Ring{keys: make([]Key, 0, len(doc.Keys))}
	for i, e := range doc.Keys {
		if !validID(e.ID) {
			return nil, fmt.Errorf("%w: key %d has no id of 1 to 32 lower-case letters, digits or dashes", ErrMalformed, i)
		}
		if len(e.Key) != KeySize {
			return nil, fmt.Errorf("%w: key %q has %d bytes instead of %d", ErrMalformed, e.ID, len(e.Key), KeySize)
		}
		if _, dup := ring.Key(e.ID); dup {
			return nil, fmt.Errorf("%w: key %q stands there twice", ErrMalformed, e.ID)
		}
		ring.keys = append(ring.keys, Key{ID: e.ID, Created: e.Created, Retired: e.Retired, material: [KeySize]byte(e.Key)})
	}
	i := slices.IndexFunc(ring.keys, func(k Key) bool { return k.ID == doc.Primary })
	if i < 0 {
		return nil, fmt.Errorf("%w: its primary key is not among its keys", ErrMalformed)
	}
	ring.primary = ring.keys[i]
	return ring, nil
}

func validID(id string) bool {
	if len(id) == 0 || len(id) > 32 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
