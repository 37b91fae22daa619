// Package loadreport is what a measurement has to say: tables for people,
// figures for programs, and verdicts on the figures that must be reached.
package loadreport

import (
	"errors"
	"math"
	"time"
)

// ErrMissed says that a figure which must be reached was not.
var ErrMissed = errors.New("a figure that must be reached was missed")

// Report is the outcome of a run.
type Report struct {
	// Machine says what the figures hold for.
	Machine Machine `json:"machine"`
	Steps   []*Step `json:"steps"`
}

// Machine is where a run took place.
type Machine struct {
	Time    time.Time `json:"time"`
	CPU     string    `json:"cpu"`
	CPUs    int       `json:"cpus"`
	Kernel  string    `json:"kernel"`
	Go      string    `json:"go"`
	Redis   string    `json:"redis"`
	Sidecar string    `json:"sidecar"`
	// Load is the load average of the last minute when the run began: what else the
	// machine was doing.
	Load string `json:"load"`
}

// Step is one measurement.
type Step struct {
	Name string `json:"name"`
	// Method says how the figures were got.
	Method string  `json:"method"`
	Tables []Table `json:"tables,omitempty"`
	Checks []Check `json:"checks,omitempty"`
	// Notes are what a reader of the figures has to know.
	Notes []string `json:"notes,omitempty"`
	// Figures are numbers by name; the name ends with the unit.
	Figures map[string]float64 `json:"figures,omitempty"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	// Error says why the step could not be finished.
	Error string `json:"error,omitempty"`
}

// Table is rows of cells under a head.
type Table struct {
	Title string     `json:"title"`
	Head  []string   `json:"head"`
	Rows  [][]string `json:"rows"`
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Set keeps a figure. One that is not a number was not measured, and is left out.
func (s *Step) Set(name string, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	if s.Figures == nil {
		s.Figures = map[string]float64{}
	}
	s.Figures[name] = value
}

// Missed says whether any figure of the report that must be reached was not.
func (r *Report) Missed() bool {
	for _, step := range r.Steps {
		for _, check := range step.Checks {
			if !check.Pass {
				return true
			}
		}
	}
	return false
}
