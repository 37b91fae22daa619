package loads

import (
	"io"
	"slices"
	"testing"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	s, err := parse(nil, io.Discard)
	if err != nil || s.logins != 100_000 || s.body != 1<<30 || s.memoryLimit != 64<<20 || len(s.only) != 0 {
		t.Errorf("defaults: %+v, %v", s, err)
	}
	if !slices.Equal(s.gogc, []string{"", "50", "200", "400", "off"}) {
		t.Errorf("GOGC %q", s.gogc)
	}
	s, err = parse([]string{"--share", "0.01", "--only", "start, memory", "--gogc", "100"}, io.Discard)
	if err != nil || s.logins != 1000 || s.runs != 4 || s.body != 10737418 || !slices.Equal(s.only, []string{"start", "memory"}) || !slices.Equal(s.gogc, []string{"100"}) {
		t.Errorf("a quick look: %+v, %v", s, err)
	}
	if s, err := parse([]string{"--used", "10", "--cached", "100"}, io.Discard); err != nil || s.used != 100 {
		t.Errorf("fewer used than cached: %d, %v", s.used, err)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"a step that is none":  {"--only", "start,logs"},
		"an argument":          {"start"},
		"a share of nothing":   {"--share", "0"},
		"more than everything": {"--share", "1.5"},
		"nobody":               {"--clients", "0"},
		"a GOGC that is none":  {"--gogc", "100,none"},
		"a GOGC below zero":    {"--gogc", "-1"},
		"an unknown flag":      {"--fast"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
