package loadreport_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		check   loadreport.Check
		verdict string
	}{
		"over the bound":           {loadreport.AtMost("x", 50.1, 50, 0, "ms"), "FAIL"},
		"on the bound":             {loadreport.AtMost("x", 50, 50, 0, "ms"), "pass"},
		"between aim and bound":    {loadreport.AtMost("x", 18, 20, 15, "MiB"), "pass, aim missed"},
		"under the aim":            {loadreport.AtMost("x", 15, 20, 15, "MiB"), "pass, aim reached"},
		"not measured":             {loadreport.AtMost("x", math.NaN(), 20, 15, "MiB"), "FAIL"},
		"nothing but an aim":       {loadreport.Aim("x", 15, 15, "ms"), "aim reached"},
		"over an aim":              {loadreport.Aim("x", 16, 15, "ms"), "aim missed"},
		"an aim, not measured":     {loadreport.Aim("x", math.NaN(), 15, "ms"), "aim missed"},
		"under a lower bound":      {loadreport.AtLeast("x", 0.98, 0.99, ""), "FAIL"},
		"on a lower bound":         {loadreport.AtLeast("x", 0.99, 0.99, ""), "pass"},
		"not measured, from below": {loadreport.AtLeast("x", math.NaN(), 0.99, ""), "FAIL"},
	} {
		if got := c.check.Verdict(); got != c.verdict {
			t.Errorf("%s: %q, want %q", name, got, c.verdict)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{
		0: "0", 0.12345: "0.123", 1.005: "1.00", 12.34: "12.3", 123.4: "123", 1234.5: "1,234", 1234567: "1,234,567", -1234: "-1,234", -123: "-123",
	} {
		if got := loadreport.Number(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
	if got := loadreport.Number(math.NaN()); got != "not measured" {
		t.Errorf("NaN: %q", got)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // 100 to 1
	}
	for _, c := range []struct {
		values []float64
		share  float64
		want   float64
	}{
		{hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
		{[]float64{7}, 0.5, 7}, {[]float64{7}, 1, 7}, {[]float64{1, 2}, 0.99, 2},
	} {
		if got := loadreport.SpreadOf(c.values).At(c.share); got != c.want {
			t.Errorf("%v of %d: %v, want %v", c.share, len(c.values), got, c.want)
		}
	}
	if got := loadreport.SpreadOf(nil).At(0.5); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
	if got := loadreport.Millis([]time.Duration{1500 * time.Microsecond}); got[0] != 1.5 {
		t.Errorf("%v", got)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	step := &loadreport.Step{Name: "memory", Method: "By looking.", Checks: []loadreport.Check{loadreport.AtMost("idle", 18, 20, 15, "MiB")}}
	step.Set("idle_mib", 18)
	step.Set("cached_mib", math.NaN()) // which JSON could not hold
	table := loadreport.Table{Title: "RSS", Head: []string{"when", "MiB"}}
	table.Add("idle", "18.0")
	step.Tables = append(step.Tables, table)
	report := &loadreport.Report{Steps: []*loadreport.Step{step}}
	var text strings.Builder
	report.Write(&text)
	for _, want := range []string{"| when | MiB  |", "| idle | 18.0 |", "| memory: idle | 18.0 MiB | ≤ 20.0 MiB | ≤ 15.0 MiB | pass, aim missed |"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	path := filepath.Join(t.TempDir(), "report")
	if err := report.WriteFiles(path); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path + ".json")
	if err != nil || !strings.Contains(string(written), `"idle_mib": 18`) || strings.Contains(string(written), "cached_mib") {
		t.Errorf("%v\n%s", err, written)
	}
	if report.Missed() {
		t.Error("missed, though all passed")
	}
	step.Checks = append(step.Checks, loadreport.AtMost("cached", 65, 64, 0, "MiB"))
	if !report.Missed() {
		t.Error("not missed, though one failed")
	}
}
