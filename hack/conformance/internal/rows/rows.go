// Package rows keeps the list of requirements and what became of each.
package rows

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"
)

// StrengthInfo marks a row that asks nothing of the product.
const StrengthInfo = "info"

// Section is a group of rows from one source.
type Section struct {
	Title  string `yaml:"title"`
	Source string `yaml:"source"`
	Rows   []Row  `yaml:"rows"`
}

// Row is one requirement.
type Row struct {
	ID       string `yaml:"id"`
	Strength string `yaml:"strength"`
	Title    string `yaml:"title"`
}

// NotCovered is a row that no test covers, and why.
type NotCovered struct {
	ID  string `yaml:"id"`
	Why string `yaml:"why"`
}

// State is what became of a row.
type State int

// States of a row.
const (
	Unproven State = iota // no test that ran covers it
	Passed                // every test that covers it passed
	Failed                // one of them failed
	Skipped               // one of them could not run here, and none failed
)

// Book is the list and the results so far. It is safe for concurrent use.
type Book struct {
	sections []Section
	argued   map[string]string

	mu      sync.Mutex
	results map[string]map[string]State // row, then test
}

// Open reads the two lists. It refuses a row that stands there twice, and an
// argument that is empty or about a row that does not exist.
func Open(rowsYAML, notCoveredYAML []byte) (*Book, error) {
	b := &Book{argued: map[string]string{}, results: map[string]map[string]State{}}
	if err := decode(rowsYAML, &b.sections); err != nil {
		return nil, fmt.Errorf("read the rows: %w", err)
	}
	known := map[string]bool{}
	for _, section := range b.sections {
		for _, row := range section.Rows {
			if row.ID == "" || row.Strength == "" || row.Title == "" || known[row.ID] {
				return nil, fmt.Errorf("row %q of %q: each needs an id of its own, a strength and a title", row.ID, section.Title)
			}
			known[row.ID] = true
			b.results[row.ID] = map[string]State{}
		}
	}
	var list []NotCovered
	if err := decode(notCoveredYAML, &list); err != nil {
		return nil, fmt.Errorf("read the rows not covered: %w", err)
	}
	for _, n := range list {
		if !known[n.ID] || n.Why == "" || b.argued[n.ID] != "" {
			return nil, fmt.Errorf("row %q not covered: each needs the id of a row, once, and an argument", n.ID)
		}
		b.argued[n.ID] = n.Why
	}
	return b, nil
}

func decode(data []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}

// Has says whether there is such a row.
func (b *Book) Has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.results[id] != nil
}

// Note notes how a test that covers a row ended.
func (b *Book) Note(id, test string, state State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.results[id][test] = state
}

// state sums up the tests of a row and names those that decide.
func (b *Book) state(id string) (State, []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	by := map[State][]string{}
	for test, state := range b.results[id] {
		by[state] = append(by[state], test)
	}
	for _, state := range []State{Failed, Skipped, Passed} {
		if tests := by[state]; len(tests) > 0 {
			slices.Sort(tests)
			return state, tests
		}
	}
	return Unproven, nil
}
