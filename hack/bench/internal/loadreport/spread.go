package loadreport

import (
	"math"
	"slices"
	"time"
)

// Spread is the distribution of some values.
type Spread struct{ sorted []float64 }

// SpreadOf sorts a copy of the values.
func SpreadOf(values []float64) Spread {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return Spread{sorted}
}

// Millis are durations in milliseconds.
func Millis(durations []time.Duration) []float64 {
	values := make([]float64, len(durations))
	for i, d := range durations {
		values[i] = d.Seconds() * 1e3
	}
	return values
}

// At is the value that the share of all values does not exceed, by nearest
// rank: 0.5 is the median, 1 the largest. It is NaN if there are no values.
func (s Spread) At(share float64) float64 {
	if len(s.sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(share * float64(len(s.sorted))))
	return s.sorted[min(max(rank, 1), len(s.sorted))-1]
}

// Count is how many values there are.
func (s Spread) Count() int { return len(s.sorted) }
