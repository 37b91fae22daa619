package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// MaxRecordSize bounds a record before it is sealed, in bytes. Tokens of a few
// KiB each are usual.
const MaxRecordSize = 64 << 10

// sealOverhead is more than a seal adds: header, nonce and tag.
const sealOverhead = 2 + 32 + 12 + 16

// record is a session as it is sealed, in JSON. Unknown fields are ignored, so
// that during an update older replicas read what newer ones wrote.
type record struct {
	Issuer      string       `json:"iss"`
	Subject     string       `json:"sub"`
	ProviderSID string       `json:"sid,omitempty"`
	ACR         string       `json:"acr,omitempty"`
	AuthTime    time.Time    `json:"authTime,omitzero"`
	Network     netip.Prefix `json:"network,omitzero"`
	ID          string       `json:"id"`
	Claims      claims       `json:"claims,omitempty"`
	Tokens      token.Set    `json:"tokens"`
	ObtainedAt  time.Time    `json:"obtainedAt"`
	CreatedAt   time.Time    `json:"createdAt"`
	ExpiresAt   time.Time    `json:"expiresAt"`
}

// claims are decoded without loss: numbers stay as they were written.
type claims map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (c *claims) UnmarshalJSON(b []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	return decoder.Decode((*map[string]any)(c))
}

// Metadata is what administration may know of a session without its cookie. It
// is sealed under the key ring alone and never holds a token.
type Metadata struct {
	Issuer      string    `json:"iss"`
	Subject     string    `json:"sub"`
	ProviderSID string    `json:"sid,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
	ExpiresAt   time.Time `json:"expiresAt"`
}

// OpenMetadata opens the metadata of the entry stored under key. It returns
// ErrUnreadable.
func OpenMetadata(ring *keyring.Ring, key string, sealed []byte) (Metadata, error) {
	var m Metadata
	err := unmarshal(metadataAt(key), ring, sealed, &m)
	return m, err
}

// seal makes a session's entry, with the ring's primary key.
func (s *Session) seal(ring *keyring.Ring) (store.Entry, error) {
	sealed, err := marshal(s.handle.record(), ring, record{
		Issuer: s.Issuer, Subject: s.Subject, ProviderSID: s.ProviderSID, ACR: s.ACR, AuthTime: s.AuthTime, Network: s.Network, ID: s.ID, Claims: s.Claims,
		Tokens: s.Tokens, ObtainedAt: s.obtainedAt, CreatedAt: s.CreatedAt, ExpiresAt: s.ends,
	})
	if err != nil {
		return store.Entry{}, fmt.Errorf("seal the session's record: %w", err)
	}
	metadata, err := marshal(metadataAt(s.handle.key), ring, Metadata{
		Issuer: s.Issuer, Subject: s.Subject, ProviderSID: s.ProviderSID, CreatedAt: s.CreatedAt, ExpiresAt: s.ends,
	})
	if err != nil {
		return store.Entry{}, fmt.Errorf("seal the session's metadata: %w", err)
	}
	return store.Entry{Record: sealed, Metadata: metadata, Version: s.version}, nil
}

// open reads an entry. It returns ErrUnreadable.
func (h handle) open(ring *keyring.Ring, e store.Entry) (*Session, error) {
	var r record
	if err := unmarshal(h.record(), ring, e.Record, &r); err != nil {
		return nil, err
	}
	tokens, ready := authorize(r.Tokens)
	return &Session{
		Issuer: r.Issuer, Subject: r.Subject, ProviderSID: r.ProviderSID, ACR: r.ACR, AuthTime: r.AuthTime, Network: r.Network, ID: r.ID, Claims: r.Claims,
		Tokens: tokens, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, IdleExpiresAt: r.ExpiresAt,
		authorizations: ready, handle: h, version: e.Version, obtainedAt: r.ObtainedAt, ends: r.ExpiresAt, idles: r.ExpiresAt,
		size: sizeOf(len(e.Record), r.Claims, 1+len(tokens.Narrowed)),
	}, nil
}

func marshal(s sealer, ring *keyring.Ring, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	if len(plain) > MaxRecordSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are kept; ask the provider for smaller tokens", ErrTooLarge, len(plain), MaxRecordSize)
	}
	return s.seal(ring, plain)
}

func unmarshal(s sealer, ring *keyring.Ring, sealed []byte, v any) error {
	if len(sealed) > MaxRecordSize+sealOverhead {
		return fmt.Errorf("%w: it is too large", ErrUnreadable)
	}
	plain, err := s.open(ring, sealed)
	if err != nil {
		return err
	}
	if json.Unmarshal(plain, v) != nil {
		return fmt.Errorf("%w: it is not one of ours", ErrUnreadable) // the decoder would quote it
	}
	return nil
}
