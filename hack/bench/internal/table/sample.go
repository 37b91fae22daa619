// Package table makes a report of what was measured.
package table

import (
	"slices"
	"time"
)

// Sample is what one window showed.
type Sample struct {
	Load    string `json:"load"`
	Subject string `json:"subject"`
	Round   int    `json:"round"`
	// Before and After are how long the fixed piece of work took.
	Before   time.Duration `json:"beforeNs"`
	After    time.Duration `json:"afterNs"`
	Requests int           `json:"requests"`
	// User, System and Redis are CPU microseconds a request, of the subject's
	// processes and of the Redis that it may use.
	User   float64 `json:"userMicros"`
	System float64 `json:"systemMicros"`
	Redis  float64 `json:"redisMicros"`
	// Rate is requests a second, P50 and P99 are milliseconds.
	Rate float64 `json:"rate"`
	P50  float64 `json:"p50Millis"`
	P99  float64 `json:"p99Millis"`
	// RSS and Peak are MiB.
	RSS  float64 `json:"rssMiB"`
	Peak float64 `json:"peakMiB"`
}

// CPU is user and system time, in microseconds a request.
func (s Sample) CPU() float64 { return s.User + s.System }

// disturbed says that the machine was slower than it should be.
func (s Sample) disturbed(limit time.Duration) bool { return max(s.Before, s.After) > limit }

// Spread is a median and what lies around it.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// SpreadOf is that of some values, zero without any.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// Row is a subject under one load.
type Row struct {
	Subject string `json:"subject"`
	Title   string `json:"title"`
	// Windows were measured, and Kept is how many of them were undisturbed. With
	// none of those the figures are of all windows.
	Windows int    `json:"windows"`
	Kept    int    `json:"kept"`
	CPU     Spread `json:"cpuMicros"`
	User    Spread `json:"userMicros"`
	System  Spread `json:"systemMicros"`
	Redis   Spread `json:"redisMicros"`
	Rate    Spread `json:"rate"`
	P50     Spread `json:"p50Millis"`
	P99     Spread `json:"p99Millis"`
	RSS     Spread `json:"rssMiB"`
	Peak    Spread `json:"peakMiB"`

	used []Sample
}

// rowOf summarises the samples of one subject under one load.
func rowOf(subject Subject, samples []Sample, limit time.Duration) Row {
	kept := slices.DeleteFunc(slices.Clone(samples), func(s Sample) bool { return s.disturbed(limit) })
	row := Row{Subject: subject.Name, Title: subject.Title, Windows: len(samples), Kept: len(kept), used: kept}
	if len(kept) == 0 {
		row.used = samples
	}
	of := func(value func(Sample) float64) Spread {
		values := make([]float64, 0, len(row.used))
		for _, s := range row.used {
			values = append(values, value(s))
		}
		return SpreadOf(values)
	}
	row.CPU, row.User, row.System = of(Sample.CPU), of(func(s Sample) float64 { return s.User }), of(func(s Sample) float64 { return s.System })
	row.Redis, row.Rate = of(func(s Sample) float64 { return s.Redis }), of(func(s Sample) float64 { return s.Rate })
	row.P50, row.P99 = of(func(s Sample) float64 { return s.P50 }), of(func(s Sample) float64 { return s.P99 })
	row.RSS, row.Peak = of(func(s Sample) float64 { return s.RSS }), of(func(s Sample) float64 { return s.Peak })
	return row
}

// pairs are ratios of two rows, round by round, so that what slows a whole round
// down stands on both sides. Rounds that one of them lacks are left out.
func pairs(of, to Row, value func(Sample) float64) Spread {
	var ratios []float64
	for _, a := range of.used {
		i := slices.IndexFunc(to.used, func(b Sample) bool { return b.Round == a.Round })
		if i >= 0 && value(to.used[i]) > 0 {
			ratios = append(ratios, value(a)/value(to.used[i]))
		}
	}
	return SpreadOf(ratios)
}

// differences are pairs with a difference in place of a ratio.
func differences(of, to Row, value func(Sample) float64) (Spread, bool) {
	var values []float64
	for _, a := range of.used {
		if i := slices.IndexFunc(to.used, func(b Sample) bool { return b.Round == a.Round }); i >= 0 {
			values = append(values, value(a)-value(to.used[i]))
		}
	}
	return SpreadOf(values), len(values) > 0
}
