package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// Redis keeps entries in Redis or Valkey: one server, one that Sentinels name,
// or a Cluster. An entry and what belongs to it are in one cluster slot, so keys
// must have a hash tag, a part in braces, that is followed by a colon.
//
// Its user needs this in the servers' access control lists and no more, on keys
// that begin with its prefix (such as ~bff:*) and on no channel:
//
//	+ping +client|tracking +eval +evalsha +hmget +hget +hset +hincrby +get +getex
//	+set +getdel +del +exists +incr +pttl +pexpire +time +zadd +zrem +zrange
//	+zremrangebyscore
//
// Behind Sentinels also +role; on a Cluster also +cluster|slots, or from version
// 8 on +cluster|shards, and +asking for the time in which its slots move. The
// Sentinels' user needs, on no key,
//
//	+ping +client|tracking +sentinel|sentinels +sentinel|get-master-addr-by-name
//	+subscribe +unsubscribe &+sentinel &+switch-master &+reboot &+slave &+sdown &-sdown
//
// An entry that ended by idling is removed when it is next asked for, at the
// latest when its lifetime is over.
type Redis struct {
	link    *link
	timeout time.Duration
	pingKey string
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
	return &Redis{link: newLink(o.Logger, o.client), timeout: o.Timeout, pingKey: cmp.Or(o.Prefix, "bff:")}, nil
}

// Watch implements Store.
func (r *Redis) Watch(w Watcher) { r.link.watch(w) }

// Create implements Store.
func (r *Redis) Create(ctx context.Context, key string, n New) error {
	if err := checkLife(n.Lifetime, n.Idle); err != nil {
		return fmt.Errorf("create session entry: %w", err)
	}
	keys := entryKeys(key, n.Indexes)
	args := []string{rueidis.BinaryString(n.Record), rueidis.BinaryString(n.Metadata), millis(n.Lifetime), millis(min(n.Idle, n.Lifetime)), indexList(n.Indexes)}
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
	err := r.do(ctx, "load session entry", repeatable, func(ctx context.Context, c rueidis.Client) (err error) {
		e, err = load(ctx, c, key)
		return err
	})
	return e, err
}

// load asks first whether there is activity, with a command that the server does
// not count as reading: it remembers for each connection what was read on it, to
// tell of the next change, and a stranger who makes cookies up must not fill its
// memory with what is not there.
func load(ctx context.Context, c rueidis.Client, key string) (Entry, error) {
	activity := beside(besideActivity, key)
	answers := c.DoMulti(ctx, c.B().Getex().Key(activity).Build(), c.B().Getex().Key(beside(besideNote, key)).Build())
	err := answers[0].Error()
	if rueidis.IsRedisNil(err) {
		return Entry{}, missing(ctx, c, key, answers[1])
	}
	if err != nil {
		return Entry{}, err
	}
	answers = c.DoMulti(ctx,
		c.B().Hmget().Key(key).Field(fieldRecord, fieldMetadata, fieldVersion).Build(),
		c.B().Pttl().Key(activity).Build())
	fields, err := answers[0].ToArray()
	if err != nil {
		return Entry{}, err
	}
	left, err := answers[1].AsInt64()
	switch {
	case err != nil:
		return Entry{}, err
	case len(fields) != 3:
		return Entry{}, errOdd
	case fields[2].IsNil() || left <= 0:
		// It went between the two questions. Now there may be a note.
		return Entry{}, missing(ctx, c, key, c.Do(ctx, c.B().Getex().Key(beside(besideNote, key)).Build()))
	}
	e, err := decode(fields)
	e.IdleLeft = time.Duration(left) * time.Millisecond
	return e, err
}

// missing is ErrNotFound for an entry that has no activity, or a *GoneError if
// there is a note. What is left of the entry is removed.
func missing(ctx context.Context, c rueidis.Client, key string, note rueidis.RedisResult) error {
	switch text, err := note.ToString(); {
	case err == nil && text != "":
		return &GoneError{Note: text}
	case err != nil && !rueidis.IsRedisNil(err):
		return err
	}
	// Nobody can use it any more. Failing to remove it does no harm: it ends all the
	// same.
	there, err := overScript.Exec(ctx, c, []string{key, beside(besideActivity, key)}, []string{millis(overTime)}).ToString()
	if err == nil {
		member, indexes := indexed(there)
		_ = deleteScript.Exec(ctx, c, entryKeys(key, indexes), []string{member, "", "0", "over"}).Error()
	}
	return ErrNotFound
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
		// A script has to name its keys beforehand. An entry's indexes never change.
		list, err := c.Do(ctx, c.B().Hget().Key(key).Field(fieldIndexes).Build()).ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		member, indexes := indexed(list)
		return deleteScript.Exec(ctx, c, entryKeys(key, indexes), []string{member, note, millis(NoteTime), ""}).Error()
	})
}

func entryKeys(key string, indexes []string) []string {
	return append([]string{key, beside(besideActivity, key), beside(besideNote, key)}, indexes...)
}

// Indexed implements Store.
func (r *Redis) Indexed(ctx context.Context, index string) (keys []string, err error) {
	err = r.do(ctx, "read session index", repeatable, func(ctx context.Context, c rueidis.Client) error {
		members, err := c.Do(ctx, c.B().Zrange().Key(index).Min("0").Max("-1").Build()).AsStrSlice()
		keys = memberKeys(members)
		return err
	})
	return keys, err
}

// Ping implements Store. It asks for a key, so that on a Cluster the node that
// has the sessions answers and not any other.
func (r *Redis) Ping(ctx context.Context) error {
	return r.do(ctx, "ping session store", repeatable, func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Exists().Key(r.pingKey).Build()).Error()
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
		switch {
		case bounded.Err() != nil && ctx.Err() == nil:
			// Our own time-out, not the caller's: the server hangs. A connection that
			// hangs is worth no further call.
			g.lose(bounded.Err())
		case readOnly(err):
			// Another server is the primary now, and the address leads to it, sooner or
			// later. This connection never will.
			err = errReplica
			g.lose(err)
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
