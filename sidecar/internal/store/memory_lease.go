package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// memoryLease is who has a lease, and until when.
type memoryLease struct {
	holder string
	ends   time.Time
}

// Acquire implements Store.
func (m *Memory) Acquire(_ context.Context, key string, ttl time.Duration) (Lease, error) {
	if err := checkLife(ttl); err != nil {
		return Lease{}, fmt.Errorf("acquire lease: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	if held, ok := m.leases[key]; ok && now.Before(held.ends) {
		return Lease{}, fmt.Errorf("acquire lease: %w", ErrHeld)
	}
	for other, held := range m.leases { // few: one for each refresh under way
		if !now.Before(held.ends) {
			delete(m.leases, other)
		}
	}
	m.fences++
	lease := Lease{Key: key, Fence: m.fences, Holder: rand.Text()}
	m.leases[key] = memoryLease{lease.Holder, now.Add(ttl)}
	if e, ok := m.find(key, now); ok {
		e.fence = lease.Fence
	}
	return lease, nil
}

// Renew implements Store.
func (m *Memory) Renew(_ context.Context, lease Lease, ttl time.Duration) error {
	if err := checkLife(ttl); err != nil {
		return fmt.Errorf("renew lease: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	held, ok := m.leases[lease.Key]
	if !ok || held.holder != lease.Holder || !now.Before(held.ends) {
		return fmt.Errorf("renew lease: %w", ErrNotFound)
	}
	held.ends = now.Add(ttl)
	m.leases[lease.Key] = held
	return nil
}

// Release implements Store.
func (m *Memory) Release(_ context.Context, lease Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leases[lease.Key].holder == lease.Holder {
		delete(m.leases, lease.Key)
	}
	return nil
}

// Put implements Store. It returns ErrFull when too many values are held.
func (m *Memory) Put(_ context.Context, key string, value []byte, ttl time.Duration) error {
	if err := checkLife(ttl); err != nil {
		return fmt.Errorf("put value: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	if _, taken := m.values.get(key, now); taken {
		return fmt.Errorf("put value: %w", ErrExists)
	}
	if !m.values.put(key, slices.Clone(value), now, now.Add(ttl)) {
		return fmt.Errorf("put value: %w", ErrFull)
	}
	return nil
}

// Take implements Store.
func (m *Memory) Take(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.values.get(key, m.clock())
	if !ok {
		return nil, fmt.Errorf("take value: %w", ErrNotFound)
	}
	m.values.drop(key)
	return value, nil
}
