// Package quiet tells windows in which the machine was disturbed from those in
// which it was not: a fixed piece of work is timed before and after each.
package quiet

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"time"
)

// Slack is how much longer the work may take than when it was quick, before the
// machine counts as disturbed.
const Slack = 1.25

// quick is how many of a hundred pieces of work are taken to be undisturbed, to
// find out how long the work takes then.
const quick = 20

// Bench does the work.
type Bench struct {
	zero   *os.File
	memory []uint64
}

// New makes a Bench.
func New() (*Bench, error) {
	zero, err := os.Open("/dev/zero")
	if err != nil {
		return nil, fmt.Errorf("prepare the calibration: %w", err)
	}
	return &Bench{zero: zero, memory: make([]uint64, 4<<20)}, nil
}

// Close ends it.
func (b *Bench) Close() error { return b.zero.Close() }

// Work makes system calls, hashes and walks through memory, and says how long
// that took: about 0.1 s.
func (b *Bench) Work() (time.Duration, error) {
	start := time.Now()
	buffer := make([]byte, 64)
	for range 120_000 {
		if _, err := b.zero.Read(buffer); err != nil {
			return 0, fmt.Errorf("calibrate: %w", err)
		}
	}
	sum := [32]byte{}
	for range 300_000 {
		sum = sha256.Sum256(sum[:])
	}
	at := uint64(sum[0])
	for range 1_000_000 {
		at = (at*6364136223846793005 + 1442695040888963407) % uint64(len(b.memory))
		b.memory[at]++ // which the compiler cannot leave out
	}
	return time.Since(start), nil
}

// Limit is the most that the work may take in a window that counts, given all
// times of a run.
func Limit(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return time.Duration(Slack * float64(sorted[(len(sorted)-1)*quick/100]))
}
