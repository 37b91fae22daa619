package table

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Reference subjects have a column of their own in the tables.
const (
	reference = "nginx"
	direct    = "upstream"
)

// Write puts the report beside each other into path.md and path.json.
func (r Report) Write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(path+".json", append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	var text strings.Builder
	r.Markdown(&text)
	if err := os.WriteFile(path+".md", []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Markdown writes the report for people.
func (r Report) Markdown(w io.Writer) {
	fmt.Fprintf(w, "# Session proxies compared\n\n%s, on %s.\n\n", r.Date.UTC().Format(time.DateOnly), r.Machine)
	for _, line := range r.Method {
		fmt.Fprintf(w, "- %s\n", line)
	}
	fmt.Fprintf(w, "- Rounds: %d, with windows of %s. %d of %d windows were dropped because the machine was disturbed "+
		"(the fixed piece of work took more than %d ms before or after).\n", r.Rounds, r.Window, r.Dropped, r.Windows, r.Limit.Milliseconds())
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, name+" "+r.Versions[name])
	}
	fmt.Fprintf(w, "- Versions: %s.\n", strings.Join(versions, ", "))
	for _, t := range r.Loads {
		t.markdown(w)
	}
}

func (t Table) markdown(w io.Writer) {
	fmt.Fprintf(w, "\n## %s\n\n", t.Title)
	rows := [][]string{{"subject", "windows", "CPU µs/request", "user + system", "to " + reference, "requests/s", "p50 ms", "p99 ms", "p50 over direct", "Redis µs", "RSS MiB", "peak MiB"}}
	for _, row := range t.Rows {
		rows = append(rows, []string{
			row.Subject, windows(row), around(row.CPU, 0), whole(row.User.Median) + " + " + whole(row.System.Median),
			t.to(reference, row), around(row.Rate, 0), around(row.P50, 2), around(row.P99, 2), t.over(row), positive(row.Redis),
			whole(row.RSS.Median), whole(row.Peak.Max),
		})
	}
	lines(w, rows)
	if len(t.Ratios) == 0 {
		return
	}
	fmt.Fprint(w, "\nOurs to others, round by round: less than 1 is less.\n\n")
	rows = [][]string{{"ours", "to", "CPU a request", "requests/s", "p50", "p99"}}
	for _, r := range t.Ratios {
		rows = append(rows, []string{r.Of, r.To, around(r.CPU, 2), around(r.Rate, 2), around(r.P50, 2), around(r.P99, 2)})
	}
	lines(w, rows)
}

// windows marks a subject without an undisturbed window.
func windows(row Row) string {
	text := fmt.Sprintf("%d of %d", row.Kept, row.Windows)
	if row.Kept == 0 && row.Windows > 0 {
		text += ", all disturbed"
	}
	return text
}

func (t Table) row(name string) (Row, bool) {
	i := slices.IndexFunc(t.Rows, func(r Row) bool { return r.Subject == name })
	if i < 0 {
		return Row{}, false
	}
	return t.Rows[i], true
}

// to is the ratio of CPU to another subject.
func (t Table) to(name string, row Row) string {
	other, ok := t.row(name)
	if !ok {
		return ""
	}
	ratio := pairs(row, other, Sample.CPU)
	if ratio == (Spread{}) {
		return ""
	}
	return fmt.Sprintf("%.2f", ratio.Median)
}

// over is what a subject adds to the latency of a call that needs no subject.
func (t Table) over(row Row) string {
	other, ok := t.row(direct)
	if !ok || row.Subject == direct {
		return ""
	}
	added, ok := differences(row, other, func(s Sample) float64 { return s.P50 })
	if !ok {
		return ""
	}
	return fmt.Sprintf("%+.2f", added.Median)
}

func whole(value float64) string { return fmt.Sprintf("%.0f", value) }

// housekeeping is what Redis uses by itself, in microseconds a request of the
// slowest load: one tick of the kernel's clock in a window.
const housekeeping = 2.5

func positive(s Spread) string {
	if s.Median < housekeeping {
		return ""
	}
	return whole(s.Median)
}

func around(s Spread, decimals int) string {
	if s == (Spread{}) {
		return ""
	}
	return fmt.Sprintf("%.*f (%.*f-%.*f)", decimals, s.Median, decimals, s.Min, decimals, s.Max)
}

// lines writes a table whose columns stand below each other in a terminal too.
func lines(w io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(w, "| %-*s ", width[i], cell)
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, n := range width {
				fmt.Fprintf(w, "|%s", strings.Repeat("-", n+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}
