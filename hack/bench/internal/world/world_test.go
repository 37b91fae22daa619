package world

import (
	"encoding/json"
	"testing"
)

func TestBodyIsJSONOfTheRightSize(t *testing.T) {
	if got := body(); len(got) != BodySize || !json.Valid([]byte(got)) {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestParseStatus(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want int
		bad  bool
	}{
		"as nginx writes it": {"Active connections: 2 \nserver accepts handled requests\n 5 5 1234 \nReading: 0 Writing: 1 Waiting: 1 \n", 1234, false},
		"nothing":            {"", 0, true},
		"cut short":          {"Active connections: 2 \nserver accepts handled requests\n 5 5", 0, true},
		"no number":          {"Active connections: 2 \nserver accepts handled requests\n 5 5 many \n", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStatus(test.text)
			if got != test.want || (err != nil) != test.bad {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}
