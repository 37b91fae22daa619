package events

import (
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

func TestPlan(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	for name, row := range map[string]struct {
		end, warned time.Time
		warn        bool
		wait        time.Duration
	}{
		"long before":                    {in(time.Hour), time.Time{}, false, 59 * time.Minute},
		"just before":                    {in(notice + 1), time.Time{}, false, 1},
		"a minute before":                {in(notice), time.Time{}, true, notice},
		"connected late":                 {in(10 * time.Second), time.Time{}, true, 10 * time.Second},
		"warned already":                 {in(10 * time.Second), in(10 * time.Second), false, 10 * time.Second},
		"used since, for long":           {in(time.Hour), in(10 * time.Second), false, 59 * time.Minute},
		"used since, for a short time":   {in(30 * time.Second), in(10 * time.Second), true, 30 * time.Second},
		"over, and nobody has said so":   {in(0), in(0), false, time.Second},
		"long over":                      {in(-time.Hour), in(-time.Hour), false, time.Second},
		"over before anybody was warned": {in(-time.Hour), time.Time{}, true, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			warn, wait := plan(now, row.end, row.warned)
			if warn != row.warn || wait != row.wait {
				t.Errorf("warn %t, wait %v; want %t, %v", warn, wait, row.warn, row.wait)
			}
		})
	}
}

func TestEndOf(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, sess := range []session.Session{{IdleExpiresAt: early, ExpiresAt: late}, {IdleExpiresAt: late, ExpiresAt: early}} {
		if got := endOf(&sess); !got.Equal(early) {
			t.Errorf("%v", got)
		}
	}
}
