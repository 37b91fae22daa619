package session_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// value is a well-formed cookie value: 32 bytes of which the last spare bits
// are zero.
var value = base64.RawURLEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

// BFF-17 to BFF-22, COOK-02, COOK-03: what is set, and what is set to delete.
func TestCookieAttributes(t *testing.T) {
	for name, row := range map[string]struct {
		cookie *http.Cookie
		want   string
	}{
		"set":     {session.Cookie(value), "__Host-Http-bff=" + value + "; Path=/; HttpOnly; Secure; SameSite=Strict"},
		"deleted": {session.ExpiredCookie(), "__Host-Http-bff=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			http.SetCookie(w, row.cookie)
			if got := w.Result().Header["Set-Cookie"]; len(got) != 1 || got[0] != row.want {
				t.Errorf("Set-Cookie is %q, want %q", got, row.want)
			}
		})
	}
}

func TestCookieFrom(t *testing.T) {
	ours := session.CookieName + "=" + value
	for name, row := range map[string]struct {
		lines []string
		ok    bool
	}{
		"alone":                            {[]string{ours}, true},
		"among others":                     {[]string{"a=b; " + ours + "; c=d"}, true},
		"COOK-06 on a line of its own":     {[]string{"a=b", ours, "c=d"}, true},
		"without spaces":                   {[]string{"a=b;" + ours + ";c=d"}, true},
		"with tabs and spaces":             {[]string{"a=b; \t" + ours + " \t; c=d"}, true},
		"none":                             {nil, false},
		"others only":                      {[]string{"a=b; c=d"}, false},
		"COOK-06 twice on a line":          {[]string{ours + "; " + ours}, false},
		"COOK-06 twice over lines":         {[]string{ours, ours}, false},
		"COOK-06 twice with other values":  {[]string{ours + "; " + session.CookieName + "=x"}, false},
		"COOK-06 empty one first":          {[]string{session.CookieName + "=; " + ours}, false},
		"COOK-06 without a sign first":     {[]string{session.CookieName + "; " + ours}, false},
		"COOK-06 space before the sign":    {[]string{session.CookieName + " =x; " + ours}, false},
		"COOK-05 lower case":               {[]string{strings.ToLower(session.CookieName) + "=" + value}, false},
		"COOK-05 beside a lower-case name": {[]string{strings.ToLower(session.CookieName) + "=x; " + ours}, true},
		"a longer name":                    {[]string{session.CookieName + "2=" + value}, false},
		"a name before it":                 {[]string{"a" + ours}, false},
		"in another's value":               {[]string{"a=" + ours}, false},
		"empty":                            {[]string{session.CookieName + "="}, false},
		"too short":                        {[]string{ours[:len(ours)-1]}, false},
		"too long":                         {[]string{ours + "A"}, false},
		"a space before the value":         {[]string{session.CookieName + "= " + value}, false},
		"quoted":                           {[]string{session.CookieName + `="` + value + `"`}, false},
		"padded":                           {[]string{session.CookieName + "=" + value[:42] + "="}, false},
		"of the other alphabet":            {[]string{session.CookieName + "=" + value[:42] + "+"}, false},
		"with a comma":                     {[]string{ours + ",a=b"}, false},
		"with a line break":                {[]string{session.CookieName + "=" + value[:21] + "\n" + value[22:]}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Cookie"] = row.lines
			got, ok := session.CookieFrom(r)
			if ok != row.ok {
				t.Fatalf("ok is %v, want %v", ok, row.ok)
			}
			if ok && got != value || !ok && got != "" {
				t.Errorf("the value is %q", got)
			}
		})
	}
}

// Whatever a browser sends, a value that is accepted has the one form, stands
// there once, and net/http sees the same.
func FuzzCookieFrom(f *testing.F) {
	// By default net/http sees no cookie at all among more than 3,000.
	f.Setenv("GODEBUG", "httpcookiemaxnum=0")
	ours := session.CookieName + "=" + value
	for _, seed := range [][2]string{{ours, ""}, {"a=b; " + ours, "c"}, {ours, ours}, {`"; ` + ours, ";;="}, {ours + "\x00", "\t;" + session.CookieName}, {session.CookieName + "= " + value, ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		r := &http.Request{Header: http.Header{"Cookie": {one, two}}}
		got, ok := session.CookieFrom(r)
		if !ok {
			return
		}
		if len(got) != 43 || strings.Trim(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("accepted the value %q", got)
		}
		if n := strings.Count(one+two, session.CookieName); n < 1 {
			t.Errorf("found a cookie in %q, %q", one, two)
		}
		if seen := r.CookiesNamed(session.CookieName); len(seen) != 1 || seen[0].Value != got {
			t.Errorf("net/http sees %v in %q, %q", seen, one, two)
		}
	})
}
