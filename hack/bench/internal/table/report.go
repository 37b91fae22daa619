package table

import (
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/machine"
)

// Subject is what was compared.
type Subject struct {
	Name, Title string
	// Ours is compared with all others.
	Ours bool
}

// Load is how it was driven.
type Load struct{ Name, Title string }

// About is what a reader must know to trust the figures, or not to.
type About struct {
	Date     time.Time         `json:"date"`
	Machine  machine.Facts     `json:"machine"`
	Versions map[string]string `json:"versions"`
	Method   []string          `json:"method"`
	Rounds   int               `json:"rounds"`
	Window   time.Duration     `json:"windowNs"`
}

// Report is all there is to say.
type Report struct {
	About
	// Limit is the most that the fixed piece of work may take in an undisturbed
	// window; Windows is how many there were, Dropped how many were disturbed.
	Limit   time.Duration `json:"limitNs"`
	Windows int           `json:"windows"`
	Dropped int           `json:"dropped"`
	Loads   []Table       `json:"loads"`
	Samples []Sample      `json:"samples"`
}

// Table is one load.
type Table struct {
	Name   string  `json:"name"`
	Title  string  `json:"title"`
	Rows   []Row   `json:"rows"`
	Ratios []Ratio `json:"ratios"`
}

// Ratio compares one of ours with another subject: less than 1 is less.
type Ratio struct {
	Of   string `json:"of"`
	To   string `json:"to"`
	CPU  Spread `json:"cpu"`
	Rate Spread `json:"rate"`
	P50  Spread `json:"p50"`
	P99  Spread `json:"p99"`
}

// New makes a report of all samples.
func New(about About, loads []Load, subjects []Subject, samples []Sample, limit time.Duration) Report {
	r := Report{About: about, Limit: limit, Windows: len(samples), Samples: samples}
	for _, s := range samples {
		if s.disturbed(limit) {
			r.Dropped++
		}
	}
	for _, load := range loads {
		t := Table{Name: load.Name, Title: load.Title}
		for _, subject := range subjects {
			var own []Sample
			for _, s := range samples {
				if s.Load == load.Name && s.Subject == subject.Name {
					own = append(own, s)
				}
			}
			t.Rows = append(t.Rows, rowOf(subject, own, limit))
		}
		t.Ratios = ratios(t.Rows, subjects)
		r.Loads = append(r.Loads, t)
	}
	return r
}

func ratios(rows []Row, subjects []Subject) []Ratio {
	var all []Ratio
	for i, of := range rows {
		if !subjects[i].Ours {
			continue
		}
		for k, to := range rows {
			if k == i {
				continue
			}
			all = append(all, Ratio{
				Of: of.Subject, To: to.Subject,
				CPU:  pairs(of, to, Sample.CPU),
				Rate: pairs(of, to, func(s Sample) float64 { return s.Rate }),
				P50:  pairs(of, to, func(s Sample) float64 { return s.P50 }),
				P99:  pairs(of, to, func(s Sample) float64 { return s.P99 }),
			})
		}
	}
	return all
}
