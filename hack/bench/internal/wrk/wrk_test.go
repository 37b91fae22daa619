package wrk

import (
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/window"
)

const printed = `Running 5s test @ http://127.0.0.1:1/authed/data
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.95ms    1.06ms  23.61ms   90.30%
  54321 requests in 5.01s, 70.02MB read
  Non-2xx or 3xx responses: 3
Requests/sec:  10842.51
`

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		output string
		want   window.Result
		bad    string
	}{
		"clean": {
			output: printed + `{"requests":54321,"micros":5010000,"p50":2950,"p99":9000,"status":0,"connect":0,"read":0,"write":0,"timeout":0}` + "\n",
			want:   window.Result{Requests: 54321, Time: 5010 * time.Millisecond, P50: 2950 * time.Microsecond, P99: 9 * time.Millisecond},
		},
		"every kind of failure is counted": {
			output: printed + `{"requests":9,"micros":1000000,"p50":1,"p99":2,"status":3,"connect":1,"read":10,"write":100,"timeout":1000}` + "\n",
			want:   window.Result{Requests: 9, Time: time.Second, P50: time.Microsecond, P99: 2 * time.Microsecond, NotOK: 3, Failed: 1111},
		},
		"a summary alone":     {output: printed, bad: "no figures"},
		"nothing":             {output: "", bad: "no figures"},
		"cut short":           {output: `{"requests":54321,"mic`, bad: "read the figures"},
		"requests is missing": {output: `{"micros":1}`, bad: "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(test.output)
			switch {
			case test.bad != "" && (err == nil || !strings.Contains(err.Error(), test.bad)):
				t.Errorf("got error %v", err)
			case test.bad == "" && (err != nil || got != test.want):
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestScriptQuotes(t *testing.T) {
	got := script(window.Request{Header: []window.Field{{Name: "sec-ch-ua", Value: `"Chromium";v="137", "a\b"`}}})
	if want := `wrk.headers["sec-ch-ua"] = "\"Chromium\";v=\"137\", \"a\\b\""` + "\n"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
}
