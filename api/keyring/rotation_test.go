package keyring_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"testing/iotest"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
)

var schedule = keyring.Schedule{Interval: 30 * 24 * time.Hour, Propagation: 15 * time.Minute, Keep: 721 * time.Hour}

func rotated(t *testing.T, ring *keyring.Ring, now time.Time) *keyring.Ring {
	t.Helper()
	next, err := ring.Rotated(schedule, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data, err := next.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	read, err := keyring.Parse(data)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	return read
}

// ids are the keys, oldest first, in a ring.
func ids(t *testing.T, ring *keyring.Ring, want ...string) {
	t.Helper()
	for _, id := range want {
		if _, ok := ring.Key(id); !ok {
			t.Errorf("key %s is not in the ring", id)
		}
	}
}

func TestKeyIsCarriedAlongBeforeItIsUsedAndKeptAfter(t *testing.T) {
	start := time.Unix(1e9, 0)
	ring, err := keyring.New(start, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first := ring.Primary().ID

	if next, _ := ring.Rotated(schedule, start.Add(schedule.Interval-time.Second), rand.Reader); next != ring {
		t.Fatal("something was done before anything was due")
	}
	due := start.Add(schedule.Interval)
	added := rotated(t, ring, due)
	if added.Primary().ID != first {
		t.Fatal("the successor was used at once: replicas that do not have it yet could not open anything")
	}
	if next, _ := added.Rotated(schedule, due.Add(schedule.Propagation-time.Second), rand.Reader); next != added {
		t.Fatal("something was done while the successor is on its way")
	}
	promoted := rotated(t, added, due.Add(schedule.Propagation))
	second := promoted.Primary().ID
	if second == first {
		t.Fatal("the successor never became primary")
	}
	ids(t, promoted, first, second)

	retired := due.Add(schedule.Propagation)
	ids(t, rotated(t, promoted, retired.Add(schedule.Keep-time.Second)), first)
	if _, stays := rotated(t, promoted, retired.Add(schedule.Keep)).Key(first); stays {
		t.Error("the first key is kept longer than anything that was sealed with it")
	}
}

// An operator that was away for long does not skip the step that protects
// sidecars.
func TestLateRotationStillCarriesTheKeyAlongFirst(t *testing.T) {
	ring, _ := keyring.New(time.Unix(1e9, 0), rand.Reader)
	late := time.Unix(2e9, 0)
	if next := rotated(t, ring, late); next.Primary().ID != ring.Primary().ID {
		t.Error("a new key was used at once")
	}
}

func TestRingStaysBounded(t *testing.T) {
	ring, _ := keyring.New(time.Unix(1e9, 0), rand.Reader)
	hectic := keyring.Schedule{Interval: time.Second, Propagation: 0, Keep: time.Hour}
	now := time.Unix(1e9, 0)
	for range 4 * keyring.MaxKeys {
		now = now.Add(time.Minute)
		next, err := ring.Rotated(hectic, now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := next.Marshal()
		if ring, err = keyring.Parse(data); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRotationCanBeOff(t *testing.T) {
	ring, _ := keyring.New(time.Unix(1e9, 0), rand.Reader)
	if next, err := ring.Rotated(keyring.Schedule{}, time.Unix(2e9, 0), rand.Reader); next != ring || err != nil {
		t.Errorf("%v, %v", next, err)
	}
}

func TestRotationFailsOnlyWithItsRandomness(t *testing.T) {
	ring, _ := keyring.New(time.Unix(1e9, 0), rand.Reader)
	broken := errors.New("no entropy")
	if _, err := ring.Rotated(schedule, time.Unix(2e9, 0), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
