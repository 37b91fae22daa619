package loadreport

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// WriteFiles writes the report as Markdown and as JSON, to a path without its
// ending.
func (r *Report) WriteFiles(path string) error {
	var text strings.Builder
	r.Write(&text)
	if err := os.WriteFile(path+".md", []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(path+".json", append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Write writes the report as Markdown that can be read as plain text too.
func (r *Report) Write(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "# Loads\n\n%s; %d × %s; Linux %s; %s; Redis %s; bff-sidecar %s; load average %s when it began.\n",
		m.Time.Format("2006-01-02 15:04 MST"), m.CPUs, m.CPU, m.Kernel, m.Go, m.Redis, m.Sidecar, m.Load)
	var checks []Table
	for _, step := range r.Steps {
		step.Write(w)
		if len(step.Checks) > 0 {
			checks = append(checks, step.checks())
		}
	}
	all := Table{Title: "Must", Head: checkHead}
	for _, table := range checks {
		all.Rows = append(all.Rows, table.Rows...)
	}
	if len(all.Rows) > 0 {
		fmt.Fprint(w, "\n## Verdicts\n")
		all.write(w)
	}
}

// Write writes one step.
func (s *Step) Write(w io.Writer) {
	fmt.Fprintf(w, "\n## %s\n\n%s Took %.0f s.\n", s.Name, s.Method, s.Seconds)
	if s.Error != "" {
		fmt.Fprintf(w, "\n**Not finished**: %s\n", s.Error)
	}
	for _, table := range s.Tables {
		table.write(w)
	}
	if len(s.Checks) > 0 {
		s.checks().write(w)
	}
	for i, note := range s.Notes {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "- %s\n", note)
	}
}

var checkHead = []string{"what", "got", "must", "aim", "verdict"}

func (s *Step) checks() Table {
	t := Table{Title: "Must", Head: checkHead}
	for _, c := range s.Checks {
		t.Add(s.Name+": "+c.What, c.Got, c.Must, c.Aim, c.Verdict())
	}
	return t
}

func (t Table) write(w io.Writer) {
	widths := make([]int, len(t.Head))
	for _, row := range append(slices.Clone(t.Rows), t.Head) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(cells []string, pad string) {
		for i, width := range widths {
			cell := ""
			if i < len(cells) {
				cell = cells[i]
			}
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(pad, width-utf8.RuneCountInString(cell)))
		}
		fmt.Fprintln(w, "|")
	}
	fmt.Fprintf(w, "\n**%s**\n\n", t.Title)
	line(t.Head, " ")
	line(make([]string, len(widths)), "-")
	for _, row := range t.Rows {
		line(row, " ")
	}
}
