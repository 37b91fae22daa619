package loadworld

import (
	"fmt"
	"strconv"
	"strings"
)

// Metrics are the series of one scrape, by name and labels as they are written.
type Metrics map[string]float64

// ParseMetrics reads the text format of Prometheus.
func ParseMetrics(text string) (Metrics, error) {
	m := Metrics{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		if at < 0 {
			return nil, fmt.Errorf("parse metrics: no value in %q", line)
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("parse metrics: %w", err)
		}
		m[line[:at]] = value
	}
	return m, nil
}

// Sum is the sum of all series of a name.
func (m Metrics) Sum(name string) float64 {
	total := 0.0
	for series, value := range m {
		if rest, ok := strings.CutPrefix(series, name); ok && (rest == "" || rest[0] == '{') {
			total += value
		}
	}
	return total
}

// By are the series of a name that has one label, by the label's value.
func (m Metrics) By(name string) map[string]float64 {
	by := map[string]float64{}
	for series, value := range m {
		rest, ok := strings.CutPrefix(series, name+"{")
		if !ok {
			continue
		}
		if _, quoted, ok := strings.Cut(strings.TrimSuffix(rest, "}"), "="); ok {
			if label, err := strconv.Unquote(quoted); err == nil {
				by[label] += value
			}
		}
	}
	return by
}
