package instructions

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/bench/internal/table"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		log  string
		want int64
		bad  bool
	}{
		"as Valgrind writes it": {"==42== Command: ./bff-sidecar\n==42== \n==42== I   refs:      1,234,567,890\n", 1234567890, false},
		"small":                 {"==42== I refs: 7\n", 7, false},
		"killed":                {"==42== Command: ./bff-sidecar\n==42== \n", 0, true},
		"nothing":               {"", 0, true},
		"said by the program":   {"I   refs:      1,234\n", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(test.log)
			if got != test.want || (err != nil) != test.bad || err != nil && !errors.Is(err, errNoCount) {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	b := budget{AllowedPercent: 5, Instructions: map[string]int64{"x": 100_000}}
	for counted, want := range map[int64]verdict{100_000: within, 105_000: within, 105_001: above, 95_000: within, 94_999: below} {
		if got, err := b.judge("x", counted); got != want || err != nil {
			t.Errorf("%d: got %v, %v", counted, got, err)
		}
	}
	if _, err := b.judge("y", 1); err == nil {
		t.Error("a call without a budget was accepted")
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "budget.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadBudgetRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":          "",
		"an unknown field": "architecture: amd64\nallowedPercent: 5\ninstructions: {x: 1}\nallowed: 6\n",
		"no allowance":     "architecture: amd64\ninstructions: {x: 1}\n",
		"no figures":       "architecture: amd64\nallowedPercent: 5\n",
	} {
		if b, err := readBudget(write(t, text)); err == nil {
			t.Errorf("%s: got %+v", name, b)
		}
	}
}

func TestConclude(t *testing.T) {
	text := "architecture: " + runtime.GOARCH + "\nallowedPercent: 5\ninstructions: {authenticated-get: 1000}\n"
	for name, test := range map[string]struct {
		text    string
		counted float64
		says    string
		over    bool
	}{
		"within":               {text, 1040, "+4.0 %", false},
		"above":                {text, 1060, "+6.0 %", true},
		"below":                {text, 900, "saving", false},
		"another architecture": {strings.Replace(text, runtime.GOARCH, "pdp11", 1), 9000, "nothing to compare", false},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := readBudget(write(t, test.text))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			err = settings{repeats: 3}.conclude(b, table.SpreadOf([]float64{test.counted}), &out)
			if errors.Is(err, ErrOverBudget) != test.over || !test.over && err != nil || !strings.Contains(out.String(), test.says) {
				t.Errorf("got %v, %s", err, out.String())
			}
		})
	}
}

func TestSetWritesWhatIsThenWithinBudget(t *testing.T) {
	path := write(t, "architecture: pdp11\nallowedPercent: 5\ninstructions: {authenticated-get: 1, other: 2}\n")
	b, err := readBudget(path)
	if err != nil {
		t.Fatal(err)
	}
	counted := table.SpreadOf([]float64{1234})
	if err := (settings{set: true, budget: path}).conclude(b, counted, io.Discard); err != nil {
		t.Fatal(err)
	}
	if b, err = readBudget(path); err != nil || b.Instructions[authenticatedGet] != 1234 || b.Instructions["other"] != 2 {
		t.Fatalf("got %+v, %v", b, err)
	}
	if err := (settings{}).conclude(b, counted, io.Discard); err != nil {
		t.Error(err)
	}
}
