package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Redis keeps entries in Redis or Valkey: one server, one that Sentinels name,
// or a Cluster. An entry and what belongs to it are in one cluster slot, so keys
// must have a hash tag, a part in braces, that is followed by a colon.
//
// Its user needs no more than this in the server's access control list, for keys
// and channels of its prefix (a Sentinel set-up needs nothing more of the server,
// and +ping +sentinel +subscribe of the Sentinels):
//
//	+ping +client|tracking +eval +evalsha +hmget +hget +hset +hincrby +get +set
//	+getdel +del +exists +incr +pttl +pexpire +time +zadd +zrem +zrange
//	+zremrangebyscore
//
// on a Cluster also +cluster|slots (+cluster|shards from version 8), behind
// Sentinels +role.
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

// Watch implements Store.
func (r *Redis) Watch(w Watcher) { r.link.watch(w) }

// Create implements Store.
func (r *Redis) Create(ctx context.Context, key string, n New) error {
	if err := checkLife(n.Lifetime, n.Idle); err != nil {
		return fmt.Errorf("create session entry: %w", err)
	}
	keys := append([]string{key, beside(besideActivity, key), beside(besideNote, key)}, n.Indexes...)
	args := []string{rueidis.BinaryString(n.Record), rueidis.BinaryString(n.Metadata), millis(n.Lifetime), millis(min(n.Idle, n.Lifetime)), strings.Join(n.Indexes, "\n")}
	return r.do(ctx, "create session entry", once, func(ctx context.Context, c rueidis.Client) error {
		answer, err := createScript.Exec(ctx, c, keys, args).AsInt64()
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
			c.B().Pttl().Key(beside(besideActivity, key)).Build(),
			c.B().Get().Key(beside(besideNote, key)).Build())
		fields, err := answers[0].ToArray()
		if err != nil {
			return err
		}
		left, err := answers[1].AsInt64()
		if err != nil {
			return err
		}
		note, err := answers[2].ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		switch {
		case note != "":
			return &GoneError{Note: note}
		case len(fields) != 3 || fields[2].IsNil():
			return ErrNotFound
		case left <= 0:
			// Nobody can use it any more. Failing to remove it does no harm: its
			// lifetime ends all the same.
			_ = deleteScript.Exec(ctx, c, entryKeys(key), []string{"", "0"}).Error()
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
func (r *Redis) Replace(ctx context.Context, key string, e Entry, lease *Lease) error {
	fence := ""
	if lease != nil {
		fence = strconv.FormatUint(lease.Fence, 10)
	}
	keys := []string{key, beside(besideActivity, key), beside(besideFence, key)}
	args := []string{strconv.FormatUint(e.Version, 10), rueidis.BinaryString(e.Record), rueidis.BinaryString(e.Metadata), fence}
	return r.do(ctx, "replace session entry", once, func(ctx context.Context, c rueidis.Client) error {
		answer, err := replaceScript.Exec(ctx, c, keys, args).AsInt64()
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
		answer, err := touchScript.Exec(ctx, c, []string{key, beside(besideActivity, key)}, []string{millis(idle)}).AsInt64()
		if err == nil && answer == answerGone {
			return ErrNotFound
		}
		return err
	})
}

// Delete implements Store.
func (r *Redis) Delete(ctx context.Context, key, note string) error {
	return r.do(ctx, "delete session entry", repeatable, func(ctx context.Context, c rueidis.Client) error {
		return deleteScript.Exec(ctx, c, entryKeys(key), []string{note, millis(NoteTime)}).Error()
	})
}

func entryKeys(key string) []string {
	return []string{key, beside(besideActivity, key), beside(besideNote, key)}
}

// Indexed implements Store.
func (r *Redis) Indexed(ctx context.Context, index string) (keys []string, err error) {
	err = r.do(ctx, "read session index", repeatable, func(ctx context.Context, c rueidis.Client) (err error) {
		keys, err = c.Do(ctx, c.B().Zrange().Key(index).Min("0").Max("-1").Build()).AsStrSlice()
		return err
	})
	return keys, err
}

// Ping implements Store.
func (r *Redis) Ping(ctx context.Context) error {
	return r.do(ctx, "ping session store", repeatable, func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Ping().Build()).Error()
	})
}

// Close implements Store. Calls under way fail.
func (r *Redis) Close() { r.link.close() }

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
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) || errors.Is(err, ErrConflict) || errors.Is(err, ErrHeld)
}
