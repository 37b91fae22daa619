// Package store is where sealed sessions live: in this process (Memory) or in
// a Redis or Valkey server that all replicas share (Redis).
//
// A store sees sealed bytes, keys that are hashes, and times. It holds nothing
// that opens a record.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Entry is one session as a store holds it. Its slices must not be modified,
// neither by who handed them in nor by who got them.
type Entry struct {
	// Record is sealed under the session's cookie and the key ring.
	Record []byte
	// Metadata is sealed under the key ring alone. It never holds a token.
	Metadata []byte
	// Version is set by the store: 1 after Create, one more after each Replace.
	// Replace wants the version that was loaded.
	Version uint64
	// IdleLeft is set by Load: how long the entry still lives without a Touch.
	IdleLeft time.Duration
}

// Store keeps entries by key. An entry is gone as soon as its lifetime is over
// or it went without Touch for its idle time, whichever is first.
//
// All errors are one of those below, wrapped with what was attempted. No error
// has a key or a value in its text.
type Store interface {
	// Create stores a new entry that ends after lifetime, or after idle without
	// Touch. Both must be at least a millisecond. It returns ErrExists when the key
	// is taken.
	Create(ctx context.Context, key string, e Entry, lifetime, idle time.Duration) error
	// Load reads an entry. It is no use of the session: it prolongs nothing. It
	// returns ErrNotFound when there is none.
	Load(ctx context.Context, key string) (Entry, error)
	// Replace overwrites the record and metadata of the entry whose version is
	// still e.Version. It keeps lifetime and idle time as they are. It returns
	// ErrConflict when the version is another, ErrNotFound when there is no entry.
	// After ErrUnavailable it may or may not have happened.
	Replace(ctx context.Context, key string, e Entry) error
	// Touch makes the entry's idle time start again, never past its lifetime. It
	// returns ErrNotFound when there is no entry and never brings one back.
	Touch(ctx context.Context, key string, idle time.Duration) error
	// Delete removes an entry. It returns nil when there is none.
	Delete(ctx context.Context, key string) error
	// Ping says whether the store answers.
	Ping(ctx context.Context) error
	// Close releases what the store holds. Later calls may fail with
	// ErrUnavailable.
	Close()
}

// Errors of a Store.
var (
	// ErrNotFound says that there is no such entry, or that it is over.
	ErrNotFound = errors.New("no such entry")
	// ErrExists says that Create found an entry under its key.
	ErrExists = errors.New("an entry with this key exists")
	// ErrConflict says that an entry has another version than Replace expected.
	ErrConflict = errors.New("the entry was changed by somebody else")
	// ErrUnavailable says that the store could not be reached, did not answer in
	// time or refused to serve. It says nothing about the entry.
	ErrUnavailable = errors.New("session store is unavailable")
	// ErrFull says that a Memory store holds as many live entries as it may. It
	// wraps ErrUnavailable.
	ErrFull = fmt.Errorf("%w: it is full", ErrUnavailable)
)

// errLife says that an entry would be over before it began.
var errLife = errors.New("lifetime and idle time must be at least 1ms")

func checkLife(spans ...time.Duration) error {
	for _, d := range spans {
		if d < time.Millisecond {
			return errLife
		}
	}
	return nil
}
