package provider

import (
	"net/http"
	"testing"
	"time"
)

// REV-05, PAR-09: RFC 9110 section 10.2.3, and nothing that a provider could
// stop a client with.
func TestRetryAfterHeader(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 0, "-1": 0, "1.5": 0, "soon": 0,
		"86400": time.Hour, "99999999999999999999": 0,
		noon.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		noon.Add(-time.Minute).Format(http.TimeFormat):   0,
		noon.Add(24 * time.Hour).Format(http.TimeFormat): time.Hour,
	} {
		if got := retryAfter(value, noon); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
