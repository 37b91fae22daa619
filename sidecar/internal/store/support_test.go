package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

func newRedis(t *testing.T, o store.RedisOptions) *store.Redis {
	t.Helper()
	redis, err := store.NewRedis(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	return redis
}

func entry(text string, version uint64) store.Entry {
	return store.Entry{Record: []byte(text), Metadata: []byte(text), Version: version}
}

func fresh(e store.Entry, lifetime, idle time.Duration) store.New {
	return store.New{Entry: e, Lifetime: lifetime, Idle: idle}
}

func create(t *testing.T, s store.Store, key string) {
	t.Helper()
	want(t, s.Create(t.Context(), key, fresh(entry("first", 0), lifetime, idle)), nil)
}

func load(t *testing.T, s store.Store, key string) store.Entry {
	t.Helper()
	e, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func gone(t *testing.T, s store.Store, key string) {
	t.Helper()
	want(t, s.Touch(t.Context(), key, idle), store.ErrNotFound)
	want(t, s.Replace(t.Context(), key, entry("late", 1), nil), store.ErrNotFound)
	_, err := s.Load(t.Context(), key)
	want(t, err, store.ErrNotFound)
}

func want(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got the error %v, want %v", got, want)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after 15s: %s", what)
		}
	}
}
