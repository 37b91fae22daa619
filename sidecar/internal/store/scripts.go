package store

import (
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// An entry is a hash with the fields record, metadata, version and indexes,
// which lives for the session's lifetime, and some keys beside it in the same
// cluster slot. The activity is an empty string that lives for the idle time: an
// entry without it is over. It is apart so that Touch changes no byte of the
// record, and no replica fetches a session again because it is used.
//
// The server remembers for each connection what was read on it, and tells of the
// next change of that. A script counts as reading all of its keys as soon as it
// calls a command that only reads, which GETEX is not.
const (
	fieldRecord   = "record"
	fieldMetadata = "metadata"
	fieldVersion  = "version"
	fieldIndexes  = "indexes"
)

// Kinds of keys beside an entry.
const (
	besideActivity = "a:"
	besideNote     = "n:"
	besideLease    = "l:"
	besideFence    = "f:"
)

// overTime is how long an entry without activity stays if it cannot be removed at
// once.
const overTime = time.Minute

// KEYS: entry, activity. ARGV: overTime in ms. The answer is the field indexes of
// an entry that is over, or nil.
var overScript = rueidis.NewLuaScript(`
if redis.call('GETEX', KEYS[2]) or redis.call('PEXPIRE', KEYS[1], ARGV[1], 'XX') == 0 then return false end
return redis.call('HGET', KEYS[1], 'indexes')`)

// TrackedKind follows the prefix in the keys whose changes a Watcher is told of.
const TrackedKind = "s:"

// beside is the key of one kind beside the entry at key. It keeps the hash tag.
func beside(kind, key string) string {
	if end := strings.Index(key, "}:"); end >= 0 {
		return key[:end+2] + kind + key[end+2:]
	}
	return kind + key
}

// What the scripts answer.
const (
	answerGone     = 0
	answerDone     = 1
	answerConflict = 2
)

// KEYS: entry, activity, note, then the indexes.
// ARGV: record, metadata, lifetime in ms, idle time in ms, names of the indexes.
// An index is a sorted set of members by the end of their lifetime, which is how
// those are found that are over. What needs memory comes first: a full server
// refuses a script at its first command only.
var createScript = rueidis.NewLuaScript(`
if redis.call('EXISTS', KEYS[1], KEYS[2]) == 2 then return 2 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local member = string.format('%012d%06d', time[1], time[2]) .. ' ' .. KEYS[1]
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'metadata', ARGV[2], 'version', '1', 'indexes', member .. ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], '', 'PX', ARGV[4])
redis.call('DEL', KEYS[3])
for i = 4, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  redis.call('ZADD', KEYS[i], now + ARGV[3], member)
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
end
return 1`)

// indexList is what createScript appends to an entry's member in the field
// indexes.
func indexList(indexes []string) string {
	var list strings.Builder
	for _, index := range indexes {
		list.WriteString("\n" + index)
	}
	return list.String()
}

// indexed takes the field indexes apart: the entry's member in its indexes, and
// their names.
func indexed(field string) (member string, indexes []string) {
	parts := strings.Split(field, "\n")
	return parts[0], parts[1:]
}

// memberKeys are the keys of an index's members, oldest first. A member is when
// its entry was created, which sorts as text, a space, and the key.
func memberKeys(members []string) []string {
	slices.Sort(members)
	for i, member := range members {
		_, members[i], _ = strings.Cut(member, " ")
	}
	return members
}

// KEYS: entry, activity, fence. ARGV: expected version, record, metadata, fence
// of the lease or an empty string. HSET leaves the time to live alone.
var replaceScript = rueidis.NewLuaScript(`
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then return 0 end
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 2 end
if ARGV[4] ~= '' and tonumber(redis.call('GET', KEYS[3]) or '0') > tonumber(ARGV[4]) then return 2 end
redis.call('HSET', KEYS[1], 'record', ARGV[2], 'metadata', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 1`)

// KEYS: entry, activity. ARGV: idle time in ms.
var touchScript = rueidis.NewLuaScript(`
local left = redis.call('PTTL', KEYS[1])
if left == -2 then return 0 end
local idle = tonumber(ARGV[1])
if left >= 0 and left < idle then idle = left end
return redis.call('PEXPIRE', KEYS[2], idle)`)

// KEYS: entry, activity, note, then the indexes. ARGV: member of the indexes,
// note, its time in ms, 'over' if a live entry is to stay.
var deleteScript = rueidis.NewLuaScript(`
local live = redis.call('EXISTS', KEYS[1], KEYS[2]) == 2
if live and ARGV[4] == 'over' then return 2 end
redis.call('DEL', KEYS[1], KEYS[2])
for i = 4, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
if live and ARGV[2] ~= '' then redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3]) end
return 1`)

// KEYS: entry, lease, fence. ARGV: holder, time in ms. The answer is the fence,
// or 0 when somebody else has the lease. The fence outlives the entry, so that
// none is given twice.
var acquireScript = rueidis.NewLuaScript(`
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
local fence = redis.call('INCR', KEYS[3])
redis.call('PEXPIRE', KEYS[3], math.max(redis.call('PTTL', KEYS[1]), 3600000))
return fence`)

// KEYS: lease. ARGV: holder, time in ms.
var renewScript = rueidis.NewLuaScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`)

// KEYS: lease. ARGV: holder.
var releaseScript = rueidis.NewLuaScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`)
