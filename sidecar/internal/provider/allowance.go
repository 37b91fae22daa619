package provider

import (
	"sync"
	"time"
)

// renewals ahead of maxAge: this many at once, then one per interval.
const (
	renewalBurst    = 4
	renewalInterval = 10 * time.Second
)

// allowance limits how often something may be done out of turn. The zero value
// is a full one.
type allowance struct {
	mu   sync.Mutex
	paid time.Time // when all that was done so far is paid for
}

// take counts one more against the allowance, if there is some left.
func (a *allowance) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	paid := a.paid
	if paid.Before(now) {
		paid = now
	}
	if paid.Sub(now) > (renewalBurst-1)*renewalInterval {
		return false
	}
	a.paid = paid.Add(renewalInterval)
	return true
}
