package rows

import (
	"fmt"
	"io"
	"strings"
)

// Table prints one line for each row, grouped by section, then the totals. With
// complete false, as after a run of some tests only, it leaves out what did not
// run. The error says which rows failed and, with complete true, which are
// neither covered nor argued, which could not run, and which are argued though
// covered.
func (b *Book) Table(w io.Writer, complete bool) error {
	var failed, open, stale []string
	count := map[string]int{}
	for _, section := range b.sections {
		var lines []string
		for _, row := range section.Rows {
			state, tests := b.state(row.ID)
			why, argued := b.argued[row.ID]
			word, note := words[state], ""
			switch {
			case state == Failed:
				failed = append(failed, row.ID)
				note = strings.Join(tests, ", ")
			case state == Skipped:
				open = append(open, row.ID)
				note = strings.Join(tests, ", ")
			case state == Passed && argued:
				stale = append(stale, row.ID)
			case state == Unproven && !complete:
				continue
			case state == Unproven && row.Strength == StrengthInfo:
				word = "information"
			case state == Unproven:
				note = why
				if !argued {
					open = append(open, row.ID)
					note = "NO TEST AND NO ARGUMENT"
				}
			}
			count[word]++
			lines = append(lines, fmt.Sprintf("  %-8s %-11s %s%s", row.ID, word, row.Title, parenthesis(note)))
		}
		if len(lines) > 0 {
			fmt.Fprintf(w, "\n%s (%s)\n%s\n", section.Title, section.Source, strings.Join(lines, "\n"))
		}
	}
	fmt.Fprintf(w, "\nrows: %d passed, %d failed, %d skipped, %d not covered, %d for information\n",
		count["passed"], count["failed"], count["skipped"], count["not covered"], count["information"])
	return verdict(failed, open, stale, complete)
}

var words = map[State]string{Unproven: "not covered", Passed: "passed", Failed: "failed", Skipped: "skipped"}

func verdict(failed, open, stale []string, complete bool) error {
	var problems []string
	add := func(what string, ids []string) {
		if len(ids) > 0 {
			problems = append(problems, what+": "+strings.Join(ids, ", "))
		}
	}
	add("failed", failed)
	if complete {
		add("neither proven nor argued in notcovered.yaml", open)
		add("argued in notcovered.yaml though a test covers them", stale)
	}
	if problems == nil {
		return nil
	}
	return fmt.Errorf("rows %s", strings.Join(problems, "; "))
}

func parenthesis(note string) string {
	if note == "" {
		return ""
	}
	return " (" + note + ")"
}
