package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

// BenchmarkRedisLoad reads a record of 4 KiB over a unix socket, alone and from
// many callers that share the pipelined connection.
func BenchmarkRedisLoad(b *testing.B) {
	redis, err := store.NewRedis(store.RedisOptions{Addresses: []string{redistest.Start(b).Address}})
	if err != nil {
		b.Fatal(err)
	}
	defer redis.Close()
	if err := redis.Create(b.Context(), key, fresh(entry(strings.Repeat("x", 4<<10), 0), time.Hour, time.Hour)); err != nil {
		b.Fatal(err)
	}
	load := func(b *testing.B) {
		if _, err := redis.Load(b.Context(), key); err != nil {
			b.Error(err)
		}
	}
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			load(b)
		}
	})
	b.Run("64 callers", func(b *testing.B) {
		b.SetParallelism(32) // of two cores
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				load(b)
			}
		})
	})
}
