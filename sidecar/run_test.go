package main

import (
	"bytes"
	"strings"
	"testing"
)

func try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, func(string) string { return "" }, &out)
	return out.String(), err
}

func TestVersion(t *testing.T) {
	if out, err := try(t, "version"); err != nil || out != version+"\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestMistakesAreExplained(t *testing.T) {
	for args, want := range map[string]string{
		"sevre":                           "write serve, drain or version",
		"serve x":                         `unexpected argument "x"`,
		"--log-level loud":                "write debug, info, warn or error",
		"--policy /nowhere/policy.yaml":   "load configuration: read policy: open /nowhere/policy.yaml: no such file",
		"drain --admin 127.0.0.1:1":       "start draining",
		"drain --admin 127.0.0.1:1 extra": `unexpected argument "extra"`,
	} {
		if _, err := try(t, strings.Split(args, " ")...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{"help": "bff-sidecar drain", "--help": "-policy", "drain --help": "-wait"} {
		if out, err := try(t, strings.Split(args, " ")...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %q, %v", args, out, err)
		}
	}
}
