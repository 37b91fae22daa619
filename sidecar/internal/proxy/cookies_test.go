package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzCookies: whatever a browser sends, no server that parses cookies finds
// one of ours in what goes to the application, and every other one is kept.
func FuzzCookies(f *testing.F) {
	// By default net/http sees no cookie at all among more than 3,000, and so could
	// not tell what was kept.
	f.Setenv("GODEBUG", "httpcookiemaxnum=0")
	f.Add("a=1; __Host-Http-bff=x; b=2", "")
	f.Add("__Host-Http-bff = x;;;", "__host-http-BFF-tx-1=y")
	f.Add(`a="x; __Host-Http-bff=y"; b`, "\t__Host-Http-bff\t=z")
	f.Add("a=b,__Host-Http-bff=x", " ; ")
	f.Fuzz(func(t *testing.T, one, two string) {
		h := http.Header{"Cookie": {one, two}}
		before := (&http.Request{Header: h.Clone()}).Cookies()
		withoutOurs(h)
		after := (&http.Request{Header: h}).Cookies()

		var kept []string
		for _, c := range before {
			if !strings.HasPrefix(strings.ToLower(c.Name), "__host-http-bff") {
				kept = append(kept, c.Name+"="+c.Value)
			}
		}
		for i, c := range after {
			if i >= len(kept) || c.Name+"="+c.Value != kept[i] {
				t.Fatalf("%q, %q: %v is left, want %v", one, two, after, kept)
			}
		}
		if len(after) != len(kept) {
			t.Fatalf("%q, %q: %v is left, want %v", one, two, after, kept)
		}
		for pair := range strings.SplitSeq(h.Get("Cookie"), ";") {
			if strings.HasPrefix(strings.ToLower(strings.TrimSpace(pair)), "__host-http-bff") {
				t.Fatalf("%q, %q: %q is left", one, two, h.Get("Cookie"))
			}
		}
	})
}

// Every way to write a name is the same name.
func TestFold(t *testing.T) {
	var buffer [maxNameLength]byte
	for name, want := range map[string]string{"X_Forwarded-USER": "x-forwarded-user", "": "", strings.Repeat("A", 100): strings.Repeat("a", maxNameLength)} {
		if got := string(fold(name, &buffer)); got != want {
			t.Errorf("%q became %q", name, got)
		}
	}
}
