package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// Acquire implements Store. When the connection breaks before the answer comes,
// the lease may have been taken all the same; it then ends by itself.
func (r *Redis) Acquire(ctx context.Context, key string, ttl time.Duration) (Lease, error) {
	if err := checkLife(ttl); err != nil {
		return Lease{}, fmt.Errorf("acquire lease: %w", err)
	}
	lease := Lease{Key: key, Holder: rand.Text()}
	keys := []string{key, beside(besideLease, key), beside(besideFence, key)}
	err := r.do(ctx, "acquire lease", once, func(ctx context.Context, c rueidis.Client) (err error) {
		lease.Fence, err = acquireScript.Exec(ctx, c, keys, []string{lease.Holder, millis(ttl)}).AsUint64()
		if err == nil && lease.Fence == 0 {
			return ErrHeld
		}
		return err
	})
	return lease, err
}

// Renew implements Store.
func (r *Redis) Renew(ctx context.Context, lease Lease, ttl time.Duration) error {
	if err := checkLife(ttl); err != nil {
		return fmt.Errorf("renew lease: %w", err)
	}
	return r.do(ctx, "renew lease", repeatable, func(ctx context.Context, c rueidis.Client) error {
		answer, err := renewScript.Exec(ctx, c, []string{beside(besideLease, lease.Key)}, []string{lease.Holder, millis(ttl)}).AsInt64()
		if err == nil && answer == answerGone {
			return ErrNotFound
		}
		return err
	})
}

// Release implements Store.
func (r *Redis) Release(ctx context.Context, lease Lease) error {
	return r.do(ctx, "release lease", repeatable, func(ctx context.Context, c rueidis.Client) error {
		return releaseScript.Exec(ctx, c, []string{beside(besideLease, lease.Key)}, []string{lease.Holder}).Error()
	})
}

// Put implements Store.
func (r *Redis) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := checkLife(ttl); err != nil {
		return fmt.Errorf("put value: %w", err)
	}
	return r.do(ctx, "put value", once, func(ctx context.Context, c rueidis.Client) error {
		err := c.Do(ctx, c.B().Set().Key(key).Value(rueidis.BinaryString(value)).Nx().PxMilliseconds(ttl.Milliseconds()).Build()).Error()
		if rueidis.IsRedisNil(err) {
			return ErrExists
		}
		return err
	})
}

// Take implements Store. When the connection breaks before the answer comes,
// the value may be gone: nobody gets it twice.
func (r *Redis) Take(ctx context.Context, key string) (value []byte, err error) {
	err = r.do(ctx, "take value", once, func(ctx context.Context, c rueidis.Client) (err error) {
		value, err = c.Do(ctx, c.B().Getdel().Key(key).Build()).AsBytes()
		if rueidis.IsRedisNil(err) {
			return ErrNotFound
		}
		return err
	})
	return value, err
}
