package idp

import (
	"fmt"
	"testing"
	"time"
)

func TestBrake(t *testing.T) {
	wrong, right := func() bool { return false }, func() bool { return true }
	exhausted := func() (*brake, *clock) {
		c := newClock()
		b := newBrake(c.now)
		for i := range maxFailures {
			if ok, braked := b.try("alice", wrong); ok || braked {
				t.Fatalf("failure %d: ok %v, braked %v", i, ok, braked)
			}
		}
		return b, c
	}
	t.Run("stops even the right password after too many failures", func(t *testing.T) {
		b, _ := exhausted()
		if ok, braked := b.try("alice", right); ok || !braked {
			t.Errorf("ok %v, braked %v", ok, braked)
		}
	})
	t.Run("does not stop others", func(t *testing.T) {
		b, _ := exhausted()
		if ok, _ := b.try("bob", right); !ok {
			t.Error("bob pays for alice")
		}
	})
	t.Run("lets go after the window", func(t *testing.T) {
		b, c := exhausted()
		c.pass(failureWindow - time.Nanosecond)
		if ok, _ := b.try("alice", right); ok {
			t.Error("too early")
		}
		c.pass(time.Nanosecond)
		if ok, _ := b.try("alice", right); !ok {
			t.Error("still braked")
		}
	})
	t.Run("starts anew after a success", func(t *testing.T) {
		b := newBrake(newClock().now)
		for i := range 3 * maxFailures {
			check := wrong
			if i%(maxFailures-1) == 0 {
				check = right
			}
			if _, braked := b.try("alice", check); braked {
				t.Fatalf("braked at attempt %d", i)
			}
		}
	})
}

func TestBrakeMemoryIsBoundedByTheUsers(t *testing.T) {
	p, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		attempt(t, p, fmt.Sprintf("stranger-%d", i), "x")
	}
	if got := len(p.brake.failures); got != 1 {
		t.Errorf("%d names are remembered, want 1 for all strangers", got)
	}
}
