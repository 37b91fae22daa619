package provider

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// document is what a cached fetches here: how often it was fetched.
type document struct {
	calls atomic.Int64
	down  atomic.Bool
}

var errDown = errors.New("down")

func (d *document) fetch(context.Context) (int64, error) {
	n := d.calls.Add(1)
	if d.down.Load() {
		return 0, errDown
	}
	return n, nil
}

func TestCachedIsFetchedOnceAndAgainWhenOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &document{}
		c := newCached(time.Now, d.fetch)
		for range 3 {
			if got, err := c.get(t.Context()); got != 1 || err != nil {
				t.Fatalf("got %d, %v", got, err)
			}
		}
		time.Sleep(maxAge)
		if got, err := c.get(t.Context()); got != 2 || err != nil {
			t.Errorf("after an hour: got %d, %v", got, err)
		}
	})
}

func TestCachedMakesOneFetchForManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &document{}
		release := make(chan struct{})
		c := newCached(time.Now, func(ctx context.Context) (int64, error) {
			<-release
			return d.fetch(ctx)
		})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if got, err := c.get(t.Context()); got != 1 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if n := d.calls.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// A failure is remembered for a while, longer each time, and then forgotten.
func TestCachedBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &document{}
		d.down.Store(true)
		c := newCached(time.Now, d.fetch)
		start := time.Now()
		var tries []time.Duration
		for range 1200 { // two minutes, ten requests a second
			before := d.calls.Load()
			if _, err := c.get(t.Context()); !errors.Is(err, errDown) {
				t.Fatalf("error %v", err)
			}
			if d.calls.Load() != before {
				tries = append(tries, time.Since(start))
			}
			time.Sleep(100 * time.Millisecond)
		}
		if len(tries) < 7 || len(tries) > 10 {
			t.Errorf("tried at %v", tries)
		}
		for i := 2; i < len(tries); i++ {
			if tries[i]-tries[i-1] < tries[i-1]-tries[i-2]-100*time.Millisecond {
				t.Errorf("the pauses do not grow: %v", tries)
			}
		}
		d.down.Store(false)
		time.Sleep(longestPause)
		if _, err := c.get(t.Context()); err != nil {
			t.Errorf("the failure outlives the outage: %v", err)
		}
	})
}

func TestCachedKeepsWhatItHasInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &document{}
		c := newCached(time.Now, d.fetch)
		if _, err := c.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.down.Store(true)
		time.Sleep(2 * maxAge)
		for range 3 {
			if got, err := c.get(t.Context()); got != 1 || err != nil {
				t.Errorf("got %d, %v", got, err)
			}
		}
		if n := d.calls.Load(); n != 2 {
			t.Errorf("%d fetches, want one more than before the outage", n)
		}
	})
}

// One caller's patience ends; the fetch goes on for the others.
func TestCachedFetchOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &document{}
		release := make(chan struct{})
		c := newCached(time.Now, func(ctx context.Context) (int64, error) {
			<-release
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			return d.fetch(ctx)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.get(ctx); !errors.Is(err, ErrUnavailable) {
			t.Errorf("error %v, want ErrUnavailable", err)
		}
		close(release)
		if got, err := c.get(t.Context()); got != 1 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
	})
}

func TestCachedRenewalsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &document{}
		c := newCached(time.Now, d.fetch)
		if _, err := c.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		var strangers, answers allowance
		for range 1000 {
			if _, current, err := c.renewed(t.Context(), &strangers); !current || err != nil {
				t.Fatalf("current %t, error %v", current, err)
			}
		}
		if n := d.calls.Load(); n != 1+renewalBurst {
			t.Errorf("%d fetches, want 1 and a burst of %d", n, renewalBurst)
		}
		// Who has an allowance of its own does not suffer from that.
		if _, _, err := c.renewed(t.Context(), &answers); err != nil || d.calls.Load() != 2+renewalBurst {
			t.Errorf("%d fetches, error %v", d.calls.Load(), err)
		}
		for range 600 { // a minute
			time.Sleep(100 * time.Millisecond)
			_, _, _ = c.renewed(t.Context(), &strangers)
		}
		if n := d.calls.Load(); n > 2+renewalBurst+7 {
			t.Errorf("%d fetches after another minute", n)
		}
	})
}

// Who asks for more than is there learns whether there may be more.
func TestCachedSaysWhenItMayBeOutdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &document{}
		c := newCached(time.Now, d.fetch)
		if _, err := c.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.down.Store(true)
		var a allowance
		for range renewalBurst + 2 {
			if got, current, err := c.renewed(t.Context(), &a); got != 1 || current || err != nil {
				t.Errorf("in the outage: got %d, current %t, error %v", got, current, err)
			}
		}
		d.down.Store(false)
		time.Sleep(longestPause)
		if _, current, err := c.renewed(t.Context(), &a); !current || err != nil {
			t.Errorf("after the outage: current %t, error %v", current, err)
		}
	})
}
