// Package store is where sealed sessions live: in this process (Memory) or in
// Redis or Valkey servers that all replicas share (Redis).
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

// New is an entry to create.
type New struct {
	Entry
	// Lifetime is how long it lives at most, Idle how long without Touch. Both must
	// be at least a millisecond.
	Lifetime, Idle time.Duration
	// Indexes are the names it can be found by, such as the user's or the
	// provider's session's. They have the key's hash tag. An index lives as long as
	// its longest entry.
	Indexes []string
}

// Lease is the right to renew one entry's tokens, held by one process.
type Lease struct {
	Key string
	// Fence grows with every lease of the key: a Replace with an older one is
	// refused.
	Fence uint64
	// Holder is random and tells leases apart.
	Holder string
}

// Store keeps entries by key. An entry is gone as soon as its lifetime is over
// or it went without Touch for its idle time, whichever is first.
//
// All errors are one of those below, wrapped with what was attempted. No error
// has a key or a value in its text.
type Store interface {
	// Create stores a new entry. It returns ErrExists when the key is taken.
	Create(ctx context.Context, key string, n New) error
	// Load reads an entry. It is no use of the session: it prolongs nothing. It
	// returns ErrNotFound when there is none; a *GoneError if it was deleted with a
	// note lately.
	Load(ctx context.Context, key string) (Entry, error)
	// Replace overwrites the record and metadata of the entry whose version is
	// still e.Version. It keeps lifetime and idle time as they are. lease may be
	// nil; if not, no later lease may have been given. It returns ErrConflict when
	// the version or the lease is another, ErrNotFound when there is no entry.
	// After ErrUnavailable it may or may not have happened.
	Replace(ctx context.Context, key string, e Entry, lease *Lease) error
	// Touch makes the entry's idle time start again, never past its lifetime. It
	// returns ErrNotFound when there is no entry and never brings one back.
	Touch(ctx context.Context, key string, idle time.Duration) error
	// Delete removes an entry from the store and its indexes, and leaves a note of
	// why, at most 32 bytes, for NoteTime. Without an entry it does nothing and
	// returns nil.
	Delete(ctx context.Context, key, note string) error

	// Indexed lists the keys of the entries an index has, oldest first. Some of
	// them may be over.
	Indexed(ctx context.Context, index string) ([]string, error)

	// Acquire takes the lease of a key for a time, at least a millisecond. It
	// returns ErrHeld while somebody else has it.
	Acquire(ctx context.Context, key string, ttl time.Duration) (Lease, error)
	// Renew holds a lease for longer. It returns ErrNotFound if it was lost.
	Renew(ctx context.Context, lease Lease, ttl time.Duration) error
	// Release gives a lease back. It returns nil if it was lost.
	Release(ctx context.Context, lease Lease) error

	// Put stores a value that Take takes out again, once, before ttl is over, which
	// is at least a millisecond. It returns ErrExists when the key is taken, which
	// makes it good for things that may happen once.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Take reads a value and removes it. It returns ErrNotFound.
	Take(ctx context.Context, key string) ([]byte, error)

	// Watch has a Watcher told of changes, by this process and others. It is called
	// once, before everything else.
	Watch(Watcher)

	// Ping says whether the store answers.
	Ping(ctx context.Context) error
	// Close releases what the store holds. Later calls may fail with
	// ErrUnavailable.
	Close()
}

// Watcher is told what happens to entries. Its methods must not block and must
// not call the store.
type Watcher interface {
	// Changed is told of an entry that was loaded here and has been replaced or
	// deleted since, or is over. A store may tell once: of what happens after that
	// when the entry was loaded again. It may also tell of entries that were not
	// loaded here. It does not tell of touches.
	Changed(key string)
	// Lost is told that changes may have been missed: everything that is known of
	// entries is to be doubted. A store calls it before the first answer on a new
	// connection can be seen. silence is for how long the server had not been heard
	// of before that: what has changed in this time may have been missed too.
	Lost(silence time.Duration)
}

// NoteTime is how long a note on a deleted entry stays.
const NoteTime = 10 * time.Minute

// Errors of a Store.
var (
	// ErrNotFound says that there is no such entry, or that it is over.
	ErrNotFound = errors.New("no such entry")
	// ErrExists says that Create or Put found an entry under its key.
	ErrExists = errors.New("an entry with this key exists")
	// ErrConflict says that an entry has another version than Replace expected.
	ErrConflict = errors.New("the entry was changed by somebody else")
	// ErrHeld says that somebody else has the lease.
	ErrHeld = errors.New("somebody else has the lease")
	// ErrUnavailable says that the store could not be reached, did not answer in
	// time or refused to serve. It says nothing about the entry.
	ErrUnavailable = errors.New("session store is unavailable")
	// ErrFull says that a Memory store holds as many live entries as it may. It
	// wraps ErrUnavailable.
	ErrFull = fmt.Errorf("%w: it is full", ErrUnavailable)
)

// GoneError is an ErrNotFound about an entry that was deleted with a note.
type GoneError struct{ Note string }

func (e *GoneError) Error() string { return ErrNotFound.Error() + ", it was deleted" }

// Unwrap is ErrNotFound.
func (e *GoneError) Unwrap() error { return ErrNotFound }

// errLife says that something would be over before it began.
var errLife = errors.New("what is stored must last at least 1ms")

func checkLife(spans ...time.Duration) error {
	for _, d := range spans {
		if d < time.Millisecond {
			return errLife
		}
	}
	return nil
}
