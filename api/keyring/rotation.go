package keyring

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Schedule says when keys change.
type Schedule struct {
	// Interval is how long a key is primary. Zero is for ever.
	Interval time.Duration
	// Propagation is how long a new key is only carried along before it becomes
	// primary, so that every sidecar can open what the first one seals with it.
	Propagation time.Duration
	// Keep is how long a key stays that was primary: as long as something that was
	// sealed with it may still be read.
	Keep time.Duration
}

// Rotated is the ring after everything that is due has been done: a successor
// is added when the primary key has been in use for Interval, becomes primary
// after Propagation, and what was primary goes after Keep. It returns r itself
// when nothing is due. It fails only if random does.
//
// One call takes at most one step towards another primary key, so that however
// late a call comes, a key is always carried along before it is used.
func (r *Ring) Rotated(s Schedule, now time.Time, random io.Reader) (*Ring, error) {
	if s.Interval <= 0 {
		return r, nil
	}
	now = now.UTC().Truncate(time.Second)
	next := &Ring{primary: r.primary, keys: slices.Clone(r.keys)}
	gone := len(next.keys)
	next.keys = slices.DeleteFunc(next.keys, func(k Key) bool {
		return k.ID != r.primary.ID && !k.Retired.IsZero() && now.Sub(k.Retired) >= s.Keep
	})
	changed := len(next.keys) != gone

	switch successor, waits := next.successor(); {
	case waits && now.Sub(successor.Created) >= s.Propagation:
		next.promote(successor, now)
		changed = true
	case !waits && now.Sub(r.primary.Created) >= s.Interval && len(next.keys) < MaxKeys:
		key, err := newKey(now, random)
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		next.keys = append(next.keys, key)
		changed = true
	}
	if !changed {
		return r, nil
	}
	return next, nil
}

// successor is the key that is carried along to become primary.
func (r *Ring) successor() (Key, bool) {
	for _, key := range r.keys {
		if key.ID != r.primary.ID && key.Retired.IsZero() {
			return key, true
		}
	}
	return Key{}, false
}

func (r *Ring) promote(key Key, now time.Time) {
	for i := range r.keys {
		if r.keys[i].ID == r.primary.ID {
			r.keys[i].Retired = now
		}
	}
	r.primary = key
}
