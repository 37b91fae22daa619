package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// Redis keeps entries in a Redis or Valkey server, standalone or a Cluster
// (found out by asking it). An entry is two keys of one cluster slot, so keys
// must have a hash tag, a part in braces.
//
// Its user needs no more than this in the server's access control list:
//
//	+ping +hmget +pttl +del +eval +evalsha +exists +hset +hget +hincrby +set +pexpire
//
// and on a Cluster +cluster|slots (+cluster|shards from version 8).
//
// An entry that ended by idling is removed when it is next asked for, at the
// latest when its lifetime is over.
type Redis struct {
	link    *link
	timeout time.Duration
}

var _ Store = (*Redis)(nil)

// NewRedis makes a store on a server. It does not connect: that happens at the
// first call, and again whenever the connection is lost. It returns an error
// only for options that cannot be right.
func NewRedis(o RedisOptions) (*Redis, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Redis{link: newLink(o.Logger, o.client), timeout: o.Timeout}, nil
}

// Create implements Store.
func (r *Redis) Create(ctx context.Context, key string, e Entry, lifetime, idle time.Duration) error {
	if err := checkLife(lifetime, idle); err != nil {
		return fmt.Errorf("create session entry: %w", err)
	}
	return r.do(ctx, "create session entry", once, func(ctx context.Context, c rueidis.Client) error {
		answer, err := run(ctx, c, createScript, key, rueidis.BinaryString(e.Record), rueidis.BinaryString(e.Metadata), millis(lifetime), millis(min(idle, lifetime)))
		if err == nil && answer == answerConflict {
			return ErrExists
		}
		return err
	})
}

// Load implements Store.
func (r *Redis) Load(ctx context.Context, key string) (Entry, error) {
	var e Entry
	err := r.do(ctx, "load session entry", repeatable, func(ctx context.Context, c rueidis.Client) error {
		answers := c.DoMulti(ctx,
			c.B().Hmget().Key(key).Field(fieldRecord, fieldMetadata, fieldVersion).Build(),
			c.B().Pttl().Key(activityKey(key)).Build())
		fields, err := answers[0].ToArray()
		if err != nil {
			return err
		}
		left, err := answers[1].AsInt64()
		if err != nil {
			return err
		}
		if len(fields) != 3 || fields[2].IsNil() {
			return ErrNotFound
		}
		if left <= 0 {
			// Nobody can use it any more. Failing to remove it does no harm: its
			// lifetime ends all the same.
			_ = c.Do(ctx, c.B().Del().Key(key, activityKey(key)).Build()).Error()
			return ErrNotFound
		}
		e, err = decode(fields)
		e.IdleLeft = time.Duration(left) * time.Millisecond
		return err
	})
	return e, err
}

func decode(fields []rueidis.RedisMessage) (e Entry, err error) {
	if e.Record, err = fields[0].AsBytes(); err != nil {
		return Entry{}, err
	}
	if e.Metadata, err = fields[1].AsBytes(); err != nil {
		return Entry{}, err
	}
	e.Version, err = fields[2].AsUint64()
	return e, err
}

// Replace implements Store.
func (r *Redis) Replace(ctx context.Context, key string, e Entry) error {
	return r.do(ctx, "replace session entry", once, func(ctx context.Context, c rueidis.Client) error {
		answer, err := run(ctx, c, replaceScript, key, strconv.FormatUint(e.Version, 10), rueidis.BinaryString(e.Record), rueidis.BinaryString(e.Metadata))
		switch {
		case err != nil:
			return err
		case answer == answerGone:
			return ErrNotFound
		case answer == answerConflict:
			return ErrConflict
		}
		return nil
	})
}

// Touch implements Store.
func (r *Redis) Touch(ctx context.Context, key string, idle time.Duration) error {
	if err := checkLife(idle); err != nil {
		return fmt.Errorf("touch session entry: %w", err)
	}
	return r.do(ctx, "touch session entry", repeatable, func(ctx context.Context, c rueidis.Client) error {
		answer, err := run(ctx, c, touchScript, key, millis(idle))
		if err == nil && answer == answerGone {
			return ErrNotFound
		}
		return err
	})
}

// Delete implements Store.
func (r *Redis) Delete(ctx context.Context, key string) error {
	return r.do(ctx, "delete session entry", repeatable, func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Del().Key(key, activityKey(key)).Build()).Error()
	})
}

// Ping implements Store.
func (r *Redis) Ping(ctx context.Context) error {
	return r.do(ctx, "ping session store", repeatable, func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Ping().Build()).Error()
	})
}

// Close implements Store. Calls under way fail.
func (r *Redis) Close() { r.link.close() }

func run(ctx context.Context, c rueidis.Client, script *rueidis.Lua, key string, args ...string) (int64, error) {
	return script.Exec(ctx, c, []string{key, activityKey(key)}, args).AsInt64()
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Whether a command may be sent again when the connection broke before its
// answer came. One that could do something else the second time may not.
const (
	once       = false
	repeatable = true
)

// do runs call on a connected client, within the store's time-out.
func (r *Redis) do(ctx context.Context, what string, again bool, call func(context.Context, rueidis.Client) error) error {
	bounded, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for {
		g, err := r.link.acquire(bounded)
		if err != nil {
			return unavailable(what, err)
		}
		err = call(bounded, g.client)
		if about := aboutEntry(err); err == nil || about {
			g.serves()
			if about {
				err = fmt.Errorf("%s: %w", what, err)
			}
			return err
		}
		if bounded.Err() != nil && ctx.Err() == nil {
			// Our own time-out, not the caller's: the server hangs. A connection that
			// hangs is worth no further call.
			g.lose(bounded.Err())
		}
		if !again || !lost(err) || bounded.Err() != nil {
			return unavailable(what, err)
		}
		again = false
	}
}

// aboutEntry says whether an error is the server's word on an entry, and no
// failure to serve.
func aboutEntry(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) || errors.Is(err, ErrConflict)
}
