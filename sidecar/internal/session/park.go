package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// Park keeps a value for a time, and returns the ticket that gets it out again,
// on any replica and once. The value is sealed under ticket and key ring, as a
// session is. It returns ErrUnavailable, ErrTooLarge, or ErrUnreadable when there
// is no key ring.
func (s *Sessions) Park(ctx context.Context, value []byte, ttl time.Duration) (ticket string, err error) {
	if err := lasts(ttl); err != nil {
		return "", fmt.Errorf("park a value: %w", err)
	}
	if len(value) > MaxRecordSize {
		return "", fmt.Errorf("park a value: %w", ErrTooLarge)
	}
	secret, ticket, err := draw(s.random)
	if err != nil {
		return "", fmt.Errorf("park a value: %w", err)
	}
	key := s.keys.of(kindParked, digestOf(ticket))
	sealed, err := parkedAt(key, secret).seal(s.ring(), value)
	if err != nil {
		return "", fmt.Errorf("park a value: %w", err)
	}
	if err := s.heard(ctx, s.store.Put(ctx, key, sealed, ttl)); err != nil {
		return "", fmt.Errorf("park a value: %w", err)
	}
	return ticket, nil
}

// Take returns a parked value and forgets it. It returns ErrNone when the ticket
// is not one, was used or is too old, ErrUnavailable, or ErrUnreadable.
func (s *Sessions) Take(ctx context.Context, ticket string) ([]byte, error) {
	secret, ok := parse(ticket)
	if !ok {
		return nil, fmt.Errorf("take a parked value: %w", ErrNone)
	}
	key := s.keys.of(kindParked, digestOf(ticket))
	sealed, err := s.store.Take(ctx, key)
	if err := s.heard(ctx, err); err != nil {
		return nil, fmt.Errorf("take a parked value: %w", err)
	}
	value, err := parkedAt(key, secret).open(s.ring(), sealed)
	if err != nil {
		return nil, fmt.Errorf("take a parked value: %w", err)
	}
	return value, nil
}

// Once says true to the first who comes with a name, on all replicas together,
// and false to everybody else for ttl. The store has a hash of the name. It
// returns ErrUnavailable, and then nothing is known.
func (s *Sessions) Once(ctx context.Context, name string, ttl time.Duration) (first bool, err error) {
	if err := lasts(ttl); err != nil {
		return false, fmt.Errorf("note a name: %w", err)
	}
	err = s.heard(ctx, s.store.Put(ctx, s.keys.named(kindOnce, name), []byte{1}, ttl))
	if errors.Is(err, store.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("note a name: %w", err)
	}
	return true, nil
}

func lasts(ttl time.Duration) error {
	if ttl < time.Millisecond {
		return errors.New("it must last at least 1ms")
	}
	return nil
}
