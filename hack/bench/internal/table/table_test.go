package table

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSpreadOf(t *testing.T) {
	for name, test := range map[string]struct {
		values []float64
		want   Spread
	}{
		"nothing": {nil, Spread{}},
		"one":     {[]float64{3}, Spread{3, 3, 3}},
		"odd":     {[]float64{9, 1, 2}, Spread{2, 1, 9}},
		"even":    {[]float64{9, 1, 2, 4}, Spread{3, 1, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := SpreadOf(test.values); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

const limit = 100 * time.Millisecond

func sample(subject string, round int, cpu float64, before, after time.Duration) Sample {
	return Sample{Load: "c64", Subject: subject, Round: round, User: cpu / 2, System: cpu / 2, Rate: 1e6 / cpu, P50: cpu / 100, P99: cpu / 10,
		Before: before * time.Millisecond, After: after * time.Millisecond}
}

func TestDisturbedWindowsAreDropped(t *testing.T) {
	for name, test := range map[string]struct {
		samples []Sample
		kept    int
		cpu     Spread
	}{
		"all are quiet":            {[]Sample{sample("a", 0, 10, 90, 90), sample("a", 1, 12, 100, 100)}, 2, Spread{11, 10, 12}},
		"one was slow before":      {[]Sample{sample("a", 0, 10, 101, 90), sample("a", 1, 12, 90, 90)}, 1, Spread{12, 12, 12}},
		"one was slow afterwards":  {[]Sample{sample("a", 0, 10, 90, 101), sample("a", 1, 12, 90, 90)}, 1, Spread{12, 12, 12}},
		"all: better than nothing": {[]Sample{sample("a", 0, 10, 101, 90), sample("a", 1, 12, 90, 200)}, 0, Spread{11, 10, 12}},
		"none was measured":        {nil, 0, Spread{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := rowOf(Subject{Name: "a"}, test.samples, limit)
			if got.Kept != test.kept || got.Windows != len(test.samples) || got.CPU != test.cpu {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// A machine that is twice as slow in one round changes no ratio of that round.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	ours := rowOf(Subject{Name: "ours"}, []Sample{sample("ours", 0, 10, 90, 90), sample("ours", 1, 20, 90, 90), sample("ours", 2, 99, 90, 90)}, limit)
	peer := rowOf(Subject{Name: "peer"}, []Sample{sample("peer", 1, 80, 90, 90), sample("peer", 0, 40, 90, 90), sample("peer", 2, 40, 200, 90)}, limit)
	if got := pairs(ours, peer, Sample.CPU); got != (Spread{0.25, 0.25, 0.25}) {
		t.Errorf("got %v", got)
	}
	if got, ok := differences(ours, peer, Sample.CPU); !ok || got != (Spread{-45, -60, -30}) {
		t.Errorf("got %v", got)
	}
	if got := pairs(ours, Row{}, Sample.CPU); got != (Spread{}) {
		t.Errorf("got %v without a pair", got)
	}
}

func report() Report {
	subjects := []Subject{{Name: "upstream"}, {Name: "nginx"}, {Name: "sidecar", Ours: true}, {Name: "peer"}}
	var samples []Sample
	for round := range 3 {
		samples = append(samples, sample("upstream", round, 20, 90, 90), sample("nginx", round, 40, 90, 90),
			sample("sidecar", round, 60, 90, 90), sample("peer", round, 400, 101, 90))
	}
	about := About{Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Rounds: 3, Window: time.Second, Method: []string{"One method."}, Versions: map[string]string{"nginx": "1.2"}}
	return New(about, []Load{{"c64", "64 connections"}}, subjects, samples, limit)
}

func TestMarkdown(t *testing.T) {
	var text strings.Builder
	report().Markdown(&text)
	cells := func(line string) (out []string) {
		for cell := range strings.SplitSeq(strings.Trim(line, "| "), "|") {
			out = append(out, strings.TrimSpace(cell))
		}
		return out
	}
	found := map[string][]string{}
	for line := range strings.Lines(text.String()) {
		if c := cells(strings.TrimSpace(line)); len(c) > 2 {
			found[c[0]+" "+c[1]] = c
		}
	}
	for key, want := range map[string]string{
		"sidecar 3 of 3":             "sidecar,3 of 3,60 (60-60),30 + 30,1.50,16667 (16667-16667),0.60 (0.60-0.60),6.00 (6.00-6.00),+0.40,,0,0",
		"upstream 3 of 3":            "upstream,3 of 3,20 (20-20),10 + 10,0.50,50000 (50000-50000),0.20 (0.20-0.20),2.00 (2.00-2.00),,,0,0",
		"peer 0 of 3, all disturbed": "peer,0 of 3, all disturbed,400 (400-400),200 + 200,10.00,2500 (2500-2500),4.00 (4.00-4.00),40.00 (40.00-40.00),+3.80,,0,0",
		"sidecar peer":               "sidecar,peer,0.15 (0.15-0.15),6.67 (6.67-6.67),0.15 (0.15-0.15),0.15 (0.15-0.15)",
	} {
		if got := strings.Join(found[key], ","); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if found["sidecar sidecar"] != nil {
		t.Error("compared with itself")
	}
	for _, want := range []string{"3 of 12 windows were dropped", "- One method.", "2026-01-02", "nginx 1.2"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, text.String())
		}
	}
}

func TestWriteMakesBothFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rivals")
	if err := report().Write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(data, &got); err != nil || len(got.Samples) != 12 || got.Loads[0].Ratios[0].To != "upstream" || got.Dropped != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if text, err := os.ReadFile(path + ".md"); err != nil || !strings.HasPrefix(string(text), "# Session proxies") {
		t.Errorf("got %q, %v", text, err)
	}
}
