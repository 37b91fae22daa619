package store_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

func TestFullMemoryEvictsNoLiveEntry(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	const most = 200 // far more than an insert looks at
	memory := store.NewMemory(func() time.Time { return now }, most)
	for i := range most {
		want(t, memory.Create(t.Context(), fmt.Sprint(i), fresh(entry("x", 0), time.Hour, time.Duration(min(i+1, 2))*10*time.Minute)), nil)
	}

	err := memory.Create(t.Context(), "one too many", fresh(entry("x", 0), time.Hour, time.Hour))
	want(t, err, store.ErrFull)
	want(t, err, store.ErrUnavailable)
	for i := range most {
		load(t, memory, fmt.Sprint(i))
	}
	want(t, memory.Create(t.Context(), "0", fresh(entry("x", 0), time.Hour, time.Hour)), store.ErrExists)

	now = now.Add(10 * time.Minute) // entry 0 is over
	want(t, memory.Create(t.Context(), "now there is room", fresh(entry("x", 0), time.Hour, time.Hour)), nil)
	want(t, memory.Create(t.Context(), "and no more", fresh(entry("x", 0), time.Hour, time.Hour)), store.ErrFull)
}

func TestMemoryIsBoundedByDefault(t *testing.T) {
	memory := store.NewMemory(nil, 0)
	var err error
	n := 0
	for ; err == nil && n <= store.DefaultMemoryEntries; n++ {
		err = memory.Create(t.Context(), fmt.Sprint(n), fresh(store.Entry{}, time.Hour, time.Hour))
	}
	if !errors.Is(err, store.ErrFull) || n != store.DefaultMemoryEntries+1 {
		t.Errorf("entry %d: %v", n, err)
	}
	memory.Close()
	_, err = memory.Load(t.Context(), "0")
	want(t, err, store.ErrNotFound)
}

// What was put and never taken goes, long before there are too many of it.
func TestMemoryForgetsValuesThatAreOver(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	const most = 1000
	memory := store.NewMemory(func() time.Time { return now }, most)
	value := make([]byte, 64<<10)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 4 * most { // of which 100 are not over
		want(t, memory.Put(t.Context(), fmt.Sprint(i), value, time.Minute), nil)
		now = now.Add(600 * time.Millisecond)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 300*int64(len(value)) {
		t.Errorf("it holds about %d values", grown/int64(len(value)))
	}
	runtime.KeepAlive(memory)
	for i := range 4 * most {
		_, err := memory.Take(t.Context(), fmt.Sprint(i))
		if (err == nil) != (i >= 4*most-99) {
			t.Fatalf("value %d: %v", i, err)
		}
	}
}
