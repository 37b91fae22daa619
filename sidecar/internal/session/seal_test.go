package session

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const marker = "MARKER"

func newRing(t testing.TB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func newSession(t testing.TB) *Session {
	t.Helper()
	h, _, err := keysOf("policy").newHandle(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Round(0)
	return &Session{
		Issuer: "https://id.example.com", Subject: "alice", ProviderSID: "provider-sid", ID: "id",
		Claims: map[string]any{"name": marker},
		ACR:    "urn:example:two-factors", AuthTime: now.Add(-time.Minute), Network: netip.MustParsePrefix("192.0.2.0/24"),
		Tokens: token.Set{Access: token.Access{Token: marker, Type: token.DPoP, Expiry: now.Add(time.Minute)}, Refresh: marker, ID: marker, Key: []byte(marker)}.
			With(token.Target{Resource: "https://orders.example.com"}, token.Access{Token: marker}),
		CreatedAt: now, ExpiresAt: now.Add(time.Hour), ends: now.Add(time.Hour), obtainedAt: now, version: 7, handle: h,
	}
}

func sealed(t testing.TB, s *Session, ring *keyring.Ring) store.Entry {
	t.Helper()
	e, err := s.seal(ring)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSealedRecordOpens(t *testing.T) {
	ring, s := newRing(t), newSession(t)
	got, err := s.handle.open(ring, sealed(t, s, ring))
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != s.Issuer || got.Subject != s.Subject || got.ProviderSID != s.ProviderSID || got.ID != s.ID || got.Claims["name"] != marker ||
		!reflect.DeepEqual(got.Tokens, s.Tokens) || got.ACR != s.ACR || !got.AuthTime.Equal(s.AuthTime) || got.Network != s.Network || !got.CreatedAt.Equal(s.CreatedAt) || !got.ExpiresAt.Equal(s.ExpiresAt) || !got.obtainedAt.Equal(s.obtainedAt) ||
		got.version != s.version || got.handle != s.handle {
		t.Errorf("sealed %#v and opened something else", s)
	}
	m, err := OpenMetadata(ring, s.handle.key, sealed(t, s, ring).Metadata)
	if err != nil {
		t.Fatal(err)
	}
	if m.Issuer != s.Issuer || m.Subject != s.Subject || m.ProviderSID != s.ProviderSID || !m.CreatedAt.Equal(s.CreatedAt) || !m.ExpiresAt.Equal(s.ExpiresAt) {
		t.Errorf("the metadata is %+v", m)
	}
}

// SEC-19, OA-10: who has the store and the key ring, and knows how all of this
// works, still lacks the cookie.
func TestStoreAndRingTogetherRevealNoToken(t *testing.T) {
	ring, s := newRing(t), newSession(t)
	e := sealed(t, s, ring)
	for name, text := range map[string][]byte{"record": e.Record, "metadata": e.Metadata} {
		if bytes.Contains(text, []byte(marker)) || bytes.Contains(text, []byte("alice")) {
			t.Errorf("the %s is in clear", name)
		}
	}
	zeros := handle{key: s.handle.key}
	another := newSession(t).handle
	another.key = s.handle.key
	for name, attempt := range map[string]sealer{
		"without a secret":             {recordPurpose, nil, s.handle.key},
		"as metadata":                  metadataAt(s.handle.key),
		"with a secret of zeros":       zeros.record(),
		"with another cookie's secret": another.record(),
		"with the key as secret":       {recordPurpose, []byte(s.handle.key)[len(s.handle.key)-secretSize:], s.handle.key},
	} {
		if _, err := attempt.open(ring, e.Record); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The metadata, which the ring does open, has no token.
	plain, err := metadataAt(s.handle.key).open(ring, e.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(plain, []byte(marker)) {
		t.Errorf("the metadata has a token or claim: %s", plain)
	}
}

// And who has store and cookie lacks the ring.
func TestStoreAndCookieTogetherRevealNoToken(t *testing.T) {
	ring, s := newRing(t), newSession(t)
	e := sealed(t, s, ring)
	// A ring with a key of the same id and other material.
	data, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	material := ring.Primary().Material()
	other, err := keyring.Parse(bytes.Replace(data, base64Of(material), base64Of([keyring.KeySize]byte{}), 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.handle.open(other, e); !errors.Is(err, ErrUnreadable) {
		t.Errorf("opened without the ring's key: %v", err)
	}
	if _, err := OpenMetadata(other, s.handle.key, e.Metadata); !errors.Is(err, ErrUnreadable) {
		t.Errorf("opened metadata without the ring's key: %v", err)
	}
}

func TestAnyFlippedBitIsNoticed(t *testing.T) {
	ring, s := newRing(t), newSession(t)
	e := sealed(t, s, ring)
	for i := range e.Record {
		for bit := range 8 {
			damaged := bytes.Clone(e.Record)
			damaged[i] ^= 1 << bit
			if _, err := s.handle.open(ring, store.Entry{Record: damaged}); !errors.Is(err, ErrUnreadable) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
	for n := range e.Record {
		if _, err := s.handle.open(ring, store.Entry{Record: e.Record[:n]}); !errors.Is(err, ErrUnreadable) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for i := range e.Metadata {
		damaged := bytes.Clone(e.Metadata)
		damaged[i] ^= 1
		if _, err := OpenMetadata(ring, s.handle.key, damaged); !errors.Is(err, ErrUnreadable) {
			t.Fatalf("byte %d of the metadata: %v", i, err)
		}
	}
}

func TestRecordIsBoundToItsKey(t *testing.T) {
	ring, s := newRing(t), newSession(t)
	e := sealed(t, s, ring)
	moved := s.handle
	moved.key = keysOf("another policy").of(kindSession, moved.digest)
	if _, err := moved.open(ring, e); !errors.Is(err, ErrUnreadable) {
		t.Errorf("the record opens under another key: %v", err)
	}
	if _, err := OpenMetadata(ring, moved.key, e.Metadata); !errors.Is(err, ErrUnreadable) {
		t.Errorf("the metadata opens under another key: %v", err)
	}
	if _, err := s.handle.open(ring, store.Entry{Record: e.Metadata}); !errors.Is(err, ErrUnreadable) {
		t.Errorf("the metadata opens as a record: %v", err)
	}
}

// Even if two cookies had the same secret, or one session is sealed again and
// again, no nonce comes back.
func TestNoncesAreUnique(t *testing.T) {
	ring, s := newRing(t), newSession(t)
	header := 2 + len(ring.Primary().ID)
	seen := map[string]bool{}
	for range 5000 {
		e := sealed(t, s, ring)
		for _, text := range [][]byte{e.Record, e.Metadata} {
			nonce := string(text[header : header+12])
			if seen[nonce] {
				t.Fatal("a nonce came twice")
			}
			seen[nonce] = true
		}
	}
}

// The key id is bound as well: two ids of the same key are not the same.
func TestRecordIsBoundToItsKeyID(t *testing.T) {
	same := string(base64Of([keyring.KeySize]byte{1, 2, 3}))
	ring, err := keyring.Parse([]byte(`{"primary":"one","keys":[{"id":"one","key":"` + same + `"},{"id":"two","key":"` + same + `"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t)
	e := sealed(t, s, ring)
	e.Record = bytes.Replace(e.Record, []byte("one"), []byte("two"), 1)
	if _, err := s.handle.open(ring, e); !errors.Is(err, ErrUnreadable) {
		t.Errorf("the record opens under another key id: %v", err)
	}
}

func TestNoRing(t *testing.T) {
	s := newSession(t)
	if _, err := s.seal(nil); !errors.Is(err, ErrUnreadable) {
		t.Errorf("seal: %v", err)
	}
	if _, err := s.handle.open(nil, sealed(t, s, newRing(t))); !errors.Is(err, ErrUnreadable) {
		t.Errorf("open: %v", err)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	ring, s := newRing(t), newSession(t)
	s.Tokens.Access.Token = strings.Repeat("x", MaxRecordSize)
	if _, err := s.seal(ring); !errors.Is(err, ErrTooLarge) {
		t.Errorf("sealed a record of more than %d bytes: %v", MaxRecordSize, err)
	}
	large, err := s.handle.record().seal(ring, bytes.Repeat([]byte(" "), MaxRecordSize+100))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.handle.open(ring, store.Entry{Record: large}); !errors.Is(err, ErrUnreadable) {
		t.Errorf("opened a record of more than %d bytes: %v", MaxRecordSize, err)
	}
	// The largest that can be sealed can be opened.
	s.Tokens.Access.Token = strings.Repeat("x", MaxRecordSize-1000)
	if _, err := s.handle.open(ring, sealed(t, s, ring)); err != nil {
		t.Errorf("a large record: %v", err)
	}
}

// FuzzOpen gives open what a hostile store may hold.
func FuzzOpen(f *testing.F) {
	ring, s := newRing(f), newSession(f)
	genuine := sealed(f, s, ring)
	id := ring.Primary().ID
	f.Add(genuine.Record)
	f.Add(genuine.Metadata)
	f.Add([]byte{})
	f.Add([]byte{sealVersion})
	f.Add([]byte{sealVersion, 255})
	f.Add(append([]byte{sealVersion, 255}, make([]byte, 300)...)) // a length that overflows a byte
	f.Add(append([]byte{sealVersion, byte(len(id))}, id...))
	f.Fuzz(func(t *testing.T, record []byte) {
		got, err := s.handle.open(ring, store.Entry{Record: record})
		if err == nil && !bytes.Equal(record, genuine.Record) {
			t.Errorf("opened %#v out of a forged record", got)
		}
		if err != nil && !errors.Is(err, ErrUnreadable) {
			t.Errorf("open returned %v", err)
		}
	})
}

// FuzzRecord gives the decoder what a sidecar of another version may have
// sealed.
func FuzzRecord(f *testing.F) {
	ring, s := newRing(f), newSession(f)
	f.Add([]byte(`{"iss":"i","sub":"s","id":"x","network":"192.0.2.0/24","tokens":{"access":{"token":"a","expiry":"2026-11-24T12:00:00Z"},"narrowed":{"x":{}}},"expiresAt":"2026-11-24T12:00:00Z"}`))
	f.Add([]byte(`{"claims":{"n":12345678901234567890},"new":[]}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"createdAt":"MARKER"}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		text, err := s.handle.record().seal(ring, plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.handle.open(ring, store.Entry{Record: text, Version: 3})
		if err != nil {
			if !errors.Is(err, ErrUnreadable) || strings.Contains(err.Error(), marker) {
				t.Errorf("open returned %v", err)
			}
			return
		}
		if _, err := got.seal(ring); err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("what was opened cannot be sealed: %v", err)
		}
	})
}

func base64Of(material [keyring.KeySize]byte) []byte {
	return []byte(base64.StdEncoding.EncodeToString(material[:]))
}
