package rivals

import (
	"io"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/bench/internal/subjects"
)

func TestParse(t *testing.T) {
	for args, test := range map[string]struct {
		bad   string
		check func(settings) bool
	}{
		"": {check: func(s settings) bool {
			return s.rounds == 3 && len(s.subjects) == len(subjects.Names) && len(s.loads) == 3 && len(s.builds) == 0
		}},
		"--subjects nginx":              {check: func(s settings) bool { return strings.Join(s.subjects, ",") == "upstream,nginx" }},
		"--sidecar /a/b":                {check: func(s settings) bool { return s.builds.String() == "sidecar=/a/b" }},
		"--sidecar pgo=/a --sidecar=/b": {check: func(s settings) bool { return s.builds.String() == "pgo=/a, sidecar=/b" }},
		"--sidecar =x":                  {bad: "NAME=PATH"},
		"--sidecar a/b=x":               {bad: "NAME=PATH"},
		"--sidecar x --subjects nginx":  {bad: `needs the subject "sidecar"`},
		"--loads c65":                   {bad: "choose from c64"},
		"--rounds 0":                    {bad: "1 or more"},
		"--duration 1500ms":             {bad: "whole seconds"},
		"--duration 10ms":               {bad: "whole seconds"},
		"more":                          {bad: "unexpected argument"},
	} {
		t.Run(args, func(t *testing.T) {
			got, err := parse(strings.Fields(args), io.Discard)
			switch {
			case test.bad == "" && (err != nil || !test.check(got)):
				t.Errorf("got %+v, %v", got, err)
			case test.bad != "" && (err == nil || !strings.Contains(err.Error(), test.bad)):
				t.Errorf("got %v, want %q", err, test.bad)
			}
		})
	}
}

func TestOddRoundsGoBackwards(t *testing.T) {
	all := []string{"a", "b", "c"}
	if got := strings.Join(order(all, 0), "") + strings.Join(order(all, 1), "") + strings.Join(order(all, 2), "") + strings.Join(all, ""); got != "abccbaabcabc" {
		t.Errorf("got %s", got)
	}
}
