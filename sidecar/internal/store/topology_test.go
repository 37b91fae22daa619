package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

// failoverPatience is how long servers may take to agree on another primary. A
// Sentinel on a busy machine distrusts its clock for half a minute at a time.
const failoverPatience = 3 * time.Minute

// A primary goes, a Sentinel names another one, and the store goes on with it.
func TestSentinelFailover(t *testing.T) {
	set := redistest.StartSentinel(t, "bff", "--port")
	redis, w := watched(t, store.RedisOptions{
		Topology: v1alpha1.RedisSentinel, Addresses: []string{set.Sentinel.TCP}, Timeout: time.Second,
		Sentinel: store.Sentinel{MasterName: "bff"},
	})
	const key = watchedPrefix + "s:1"
	create(t, redis, key)
	set.WaitReplicated(t)
	w.reset()
	set.Primary.Kill()
	eventuallyWithin(t, failoverPatience, "the store serves from the new primary", func() bool {
		e, err := redis.Load(t.Context(), key)
		return err == nil && string(e.Record) == "first" && redis.Touch(t.Context(), key, idle) == nil
	})
	if !w.lost() {
		t.Error("the watcher was not told that changes may have been missed")
	}
}

// The node that has the policy's slot goes, its replica takes over.
func TestClusterFailover(t *testing.T) {
	cluster := redistest.StartCluster(t, "--port")
	redis, w := watched(t, store.RedisOptions{
		Topology: v1alpha1.RedisCluster, Addresses: cluster.Addresses(), Timeout: time.Second,
	})
	const key = watchedPrefix + "s:1"
	create(t, redis, key)
	owner := cluster.Owner(t, key)
	w.reset()
	owner.Kill()
	eventuallyWithin(t, failoverPatience, "the store serves from the replica", func() bool {
		e, err := redis.Load(t.Context(), key)
		return err == nil && string(e.Record) == "first" && redis.Touch(t.Context(), key, idle) == nil
	})
	if !w.lost() {
		t.Error("the watcher was not told that changes may have been missed")
	}
	want(t, redis.Replace(t.Context(), key, entry("second", 1), nil), nil)
	eventually(t, "the watcher hears of changes at the new owner", func() bool { return w.count(key) >= 1 })
}

// Sentinels tell of servers. As long as there is no other primary, their loss is
// nothing to the store.
func TestSentinelIsLost(t *testing.T) {
	set := redistest.StartSentinel(t, "bff", "--port")
	redis, _ := watched(t, store.RedisOptions{
		Topology: v1alpha1.RedisSentinel, Addresses: []string{set.Sentinel.TCP}, Timeout: time.Second,
		Sentinel: store.Sentinel{MasterName: "bff"},
	})
	const key = watchedPrefix + "s:1"
	create(t, redis, key)
	connected := set.Primary.Must(t, "CLIENT", "LIST")
	set.Sentinel.Kill()
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		load(t, redis, key)
	}
	if id := ourConnection(t, connected); id != ourConnection(t, set.Primary.Must(t, "CLIENT", "LIST")) {
		t.Error("the connection to the primary was given up")
	}
}

// ourConnection is the id of the store's connection in a list of clients.
func ourConnection(t *testing.T, list string) string {
	t.Helper()
	for client := range strings.Lines(list) {
		if strings.Contains(client, "name=bff-sidecar") {
			id, _, _ := strings.Cut(client, " ")
			return id
		}
	}
	t.Fatalf("the store is not connected:\n%s", list)
	return ""
}

func TestUnknownPrimary(t *testing.T) {
	set := redistest.StartSentinel(t, "bff", "--port")
	redis := newRedis(t, store.RedisOptions{
		Topology: v1alpha1.RedisSentinel, Addresses: []string{set.Sentinel.TCP}, Timeout: time.Second,
		Sentinel: store.Sentinel{MasterName: "misspelt"},
	})
	err := redis.Ping(t.Context())
	want(t, err, store.ErrUnavailable)
	if !strings.Contains(err.Error(), `the primary that the Sentinels call "misspelt"`) {
		t.Errorf("the error does not help: %v", err)
	}
}

// The policy's slot moves to another node while everybody is up. Whoever has read
// a session from the old one is told of it, and hears of changes at the new one.
func TestClusterSlotMoves(t *testing.T) {
	cluster := redistest.StartCluster(t, "--port")
	o := store.RedisOptions{Topology: v1alpha1.RedisCluster, Addresses: cluster.Addresses(), Timeout: time.Second}
	reader, w := watched(t, o)
	writer, _ := watched(t, o)
	const key, activity = watchedPrefix + "s:1", watchedPrefix + "a:s:1"
	create(t, reader, key)
	load(t, reader, key)
	eventually(t, "all is told", w.quiet)
	w.reset()

	old := cluster.Owner(t, key)
	to := cluster.Nodes[0]
	if to == old {
		to = cluster.Nodes[1]
	}
	cluster.Move(t, key, to, key, activity)
	eventually(t, "the reader is told that the session went", func() bool { return w.count(key) >= 1 || w.lost() })
	load(t, reader, key)
	w.reset()
	want(t, writer.Replace(t.Context(), key, entry("second", 1), nil), nil)
	eventually(t, "the reader is told of the change", func() bool { return w.count(key) >= 1 || w.lost() })
	if e := load(t, reader, key); string(e.Record) != "second" {
		t.Errorf("it reads %q", e.Record)
	}
}

func eventuallyWithin(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %s: %s", limit, what)
		}
	}
}
