package session

import (
	"testing"
	"time"
)

// A clock that is set does not lengthen the grace: since when the store is away
// is known by the monotonic clock.
func TestOutageIsMeasuredByTheMonotonicClock(t *testing.T) {
	var o outage
	o.begin(time.Now(), 0)
	since, out := o.began()
	if !out || since == since.Round(0) {
		t.Errorf("since %v, out: %v", since, out)
	}
	o.begin(since.Add(time.Hour), 0)
	if again, _ := o.began(); again != since {
		t.Error("it has begun anew")
	}
	o.end(since)
	if _, out := o.began(); out {
		t.Error("it goes on")
	}
}

// GAP-06: after an outage that a lease may not have outlasted, no refresh token
// is spent for a moment: whoever renewed it meanwhile stores the result first.
func TestRefreshTokensRestAfterAnOutage(t *testing.T) {
	start := time.Now()
	for lasted, rests := range map[time.Duration]time.Duration{settleAfter - 1: 0, settleAfter: settleTime, time.Hour: settleTime} {
		var o outage
		o.begin(start, time.Hour) // however long it was silent before
		end := start.Add(lasted)
		o.end(end)
		if got := max(0, o.settles(end)); got != rests {
			t.Errorf("after an outage of %s they rest for %s, want %s", lasted, got, rests)
		}
		if o.settles(end.Add(rests)) > 0 {
			t.Errorf("they rest longer than %s", rests)
		}
	}
}
