package quiet

import (
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	ms := func(values ...int) (times []time.Duration) {
		for _, v := range values {
			times = append(times, time.Duration(v)*time.Millisecond)
		}
		return times
	}
	for name, test := range map[string]struct {
		times []time.Duration
		want  time.Duration
	}{
		"none":                           {nil, 0},
		"one":                            {ms(100), 125 * time.Millisecond},
		"all alike":                      {ms(100, 100, 100), 125 * time.Millisecond},
		"most are disturbed":             {ms(200, 100, 190, 180, 100, 170, 100, 210, 220, 230, 240), 125 * time.Millisecond},
		"one was luckier than all other": {ms(50, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100), 125 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Limit(test.times); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestWorkTakesTime(t *testing.T) {
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	took, err := b.Work()
	if err != nil || took < 10*time.Millisecond {
		t.Errorf("took %s, %v", took, err)
	}
	t.Logf("took %s", took)
}
