package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// Whatever an upstream says, an answer ends up with a directive that keeps
// shared caches away, outside of every quoted string, and with none that invites
// them, and to withdraw it twice changes nothing.
func FuzzPrivate(f *testing.F) {
	for _, said := range []string{"", ",", "public", `private="a, b", s-maxage=1`, `x="\", private"`, `x="`, `"private"`, "no-store, PUBLIC", `a="b"c, no-store="x"`} {
		f.Add(said)
	}
	f.Fuzz(func(t *testing.T, said string) {
		h := http.Header{"Cache-Control": {said}, "Cdn-Cache-Control": {said}}
		private(h, noStore)
		got := strings.Join(h["Cache-Control"], ",")
		closed := false
		for _, directive := range strings.Split(unquoted(got), ",") {
			switch name := strings.ToLower(strings.Trim(directive, " \t")); {
			case name == "private" || name == "no-store":
				closed = true
			case name == "public" || strings.HasPrefix(name, "s-maxage"+"="):
				t.Errorf("%q became %q, which invites", said, got)
			}
		}
		if !closed || len(h["Cdn-Cache-Control"]) > 0 {
			t.Errorf("%q became %v", said, h)
		}
		if again := withdrawn(got); again != got {
			t.Errorf("%q became %q, and then %q", said, got, again)
		}
	})
}

// unquoted is a list with its quoted strings taken out.
func unquoted(list string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for _, c := range []byte(list) {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
			b.WriteByte('"')
		case !quoted:
			b.WriteByte(c)
		}
	}
	return b.String()
}
