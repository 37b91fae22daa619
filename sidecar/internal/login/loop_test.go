package login

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestChainOf(t *testing.T) {
	for name, row := range map[string]struct {
		cookies []string
		now     time.Time
		want    int
	}{
		"no login before":        {nil, noon, 1},
		"one just before":        {[]string{endedChain(1, noon).Value}, noon.Add(time.Second), 2},
		"the longest":            {[]string{endedChain(maxChain, noon).Value}, noon.Add(29 * time.Second), maxChain + 1},
		"one a while ago":        {[]string{endedChain(3, noon).Value}, noon.Add(loopWindow), 1},
		"another clock is ahead": {[]string{endedChain(3, noon.Add(time.Minute)).Value}, noon, 4},
		"two cookies":            {[]string{endedChain(3, noon).Value, endedChain(3, noon).Value}, noon, 1},
		"nonsense":               {[]string{"x"}, noon, 1},
		"no number":              {[]string{"x.1"}, noon, 1},
		"no time":                {[]string{"3."}, noon, 1},
		"negative":               {[]string{"-3.1795521600"}, noon, 1},
		"longer than there are":  {[]string{"9999.1795521600"}, noon, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/bff/login", nil)
			for _, value := range row.cookies {
				r.AddCookie(&http.Cookie{Name: chainCookieName, Value: value})
			}
			if got := chainOf(r, row.now); got != row.want {
				t.Errorf("place %d, want %d", got, row.want)
			}
		})
	}
}

func FuzzParseChain(f *testing.F) {
	for _, seed := range []string{"1.1795521600", "5.", ".", "-1.1", "1.9223372036854775807", "1.99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		place, _, ok := parseChain(value)
		if ok && (place < 1 || place > maxChain) || !ok && place != 0 {
			t.Errorf("%q is place %d", value, place)
		}
	})
}
