package store

import "github.com/redis/rueidis"

// An entry is two keys of one cluster slot: a hash with the fields record,
// metadata and version, which lives for the session's lifetime, and an empty
// string that lives for the idle time. An entry without the second is over.
// They are apart so that Touch changes no byte of the record: replicas that
// keep a copy of it need not fetch it again because the session is used.
const (
	fieldRecord   = "record"
	fieldMetadata = "metadata"
	fieldVersion  = "version"
)

// activityKey is the key of the activity beside the record at key. It has the
// same hash tag, so it is in the same slot.
func activityKey(key string) string { return key + ":a" }

// What the scripts answer.
const (
	answerGone     = 0
	answerDone     = 1
	answerConflict = 2
)

// ARGV: record, metadata, lifetime in ms, idle time in ms.
var createScript = rueidis.NewLuaScript(`
if redis.call('EXISTS', KEYS[1], KEYS[2]) == 2 then return 2 end
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'metadata', ARGV[2], 'version', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], '', 'PX', ARGV[4])
return 1`)

// ARGV: expected version, record, metadata. HSET leaves the time to live alone.
var replaceScript = rueidis.NewLuaScript(`
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return 0 end
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 2 end
redis.call('HSET', KEYS[1], 'record', ARGV[2], 'metadata', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 1`)

// ARGV: idle time in ms.
var touchScript = rueidis.NewLuaScript(`
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return 0 end
local left = redis.call('PTTL', KEYS[1])
local idle = tonumber(ARGV[1])
if left >= 0 and left < idle then idle = left end
redis.call('PEXPIRE', KEYS[2], idle)
return 1`)
