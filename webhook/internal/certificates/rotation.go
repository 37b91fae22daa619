package certificates

import "time"

// Lifetimes says how long things last. The zero value of a field stands for
// its default.
type Lifetimes struct {
	// Authority is how long an authority is valid. It is replaced when two thirds
	// have passed. The default is 365 days.
	Authority time.Duration
	// Leaf is how long a serving certificate is valid. It is replaced when two
	// thirds have passed. The default is 7 days.
	Leaf time.Duration
	// Publication is how long a new authority is published before it signs, so that
	// every API server trusts it by then. The default is 10 minutes.
	Publication time.Duration
}

func (l Lifetimes) withDefaults() Lifetimes {
	if l.Authority == 0 {
		l.Authority = 365 * 24 * time.Hour
	}
	if l.Leaf == 0 {
		l.Leaf = 7 * 24 * time.Hour
	}
	if l.Publication == 0 {
		l.Publication = 10 * time.Minute
	}
	return l
}

// signer is the authority to sign with: the newest that has been published long
// enough, or else the oldest, which is also the only one of a fresh
// installation. ok is false when there is none.
//
// Authorities are in the order of their making.
func (l Lifetimes) signer(authorities []authority, now time.Time) (signer authority, ok bool) {
	for i, a := range authorities {
		if i == 0 || !now.Before(a.made().Add(l.Publication)) {
			signer, ok = a, true
		}
	}
	return signer, ok
}

// rotate is what authorities should become. changed is false when nothing is to
// be done.
//
//   - An authority that is expired, not valid yet or none at all is dropped.
//   - So is one whose last certificate has expired: a successor has been signing
//     for longer than a certificate lives.
//   - When the newest has lived two thirds of its life, or there is none left,
//     there is to be a fresh one.
func (l Lifetimes) rotate(authorities []authority, now time.Time) (kept []authority, fresh, changed bool) {
	for i, a := range authorities {
		if a.isHealthy(now) && !l.isSucceeded(authorities[i+1:], now) {
			kept = append(kept, a)
		}
	}
	fresh = len(kept) == 0 || !now.Before(twoThirds(kept[len(kept)-1].made(), kept[len(kept)-1].certificate.NotAfter))
	return kept, fresh, fresh || len(kept) != len(authorities)
}

func (l Lifetimes) isSucceeded(successors []authority, now time.Time) bool {
	for _, successor := range successors {
		if successor.isHealthy(now) && !now.Before(successor.made().Add(l.Publication+l.Leaf)) {
			return true
		}
	}
	return false
}

func twoThirds(from, to time.Time) time.Time { return from.Add(to.Sub(from) / 3 * 2) }
