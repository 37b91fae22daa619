package login

import (
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
)

func TestParseAnswer(t *testing.T) {
	state := strings.Repeat("s", stateSize)
	for name, row := range map[string]struct {
		query  string
		want   answer
		reason flow.Reason
	}{
		"code":               {"code=c&state=" + state, answer{state: state, code: "c"}, ""},
		"code and issuer":    {"code=c&state=" + state + "&iss=https%3A%2F%2Fid", answer{state: state, code: "c", hasISS: true, iss: "https://id"}, ""},
		"OA-04 unknown ones": {"code=c&x=1&x=2&session_state=y&state=" + state, answer{state: state, code: "c"}, ""},
		"error":              {"error=login_required&state=" + state, answer{state: state, failed: true, reason: ReasonLoginRequired}, ""},
		"denied":             {"error=access_denied&error_description=%3Cb%3E&state=" + state, answer{state: state, failed: true, reason: flow.ReasonAccessDenied}, ""},
		"unknown error":      {"error=%3Cb%3E&state=" + state, answer{state: state, failed: true, reason: flow.ReasonProviderError}, ""},
		"empty error":        {"error=&state=" + state, answer{state: state, failed: true, reason: flow.ReasonProviderError}, ""},
		"empty issuer":       {"code=c&iss=&state=" + state, answer{state: state, code: "c", hasISS: true}, ""},
		"no code":            {"state=" + state, answer{state: state}, ""},
		"no state":           {"code=c", answer{}, flow.ReasonStateMissing},
		"nothing":            {"", answer{}, flow.ReasonStateMissing},
		"foreign state":      {"code=c&state=short", answer{code: "c"}, ""},
		"state with odd characters": {"code=c&state=" + strings.Repeat("%0a", stateSize),
			answer{code: "c"}, ""},
		"OA-03 two codes":          {"code=c&code=d&state=" + state, answer{state: state}, flow.ReasonParameters},
		"OA-03 two equal codes":    {"code=c&code=c&state=" + state, answer{state: state}, flow.ReasonParameters},
		"OA-03 two states":         {"code=c&state=" + state + "&state=" + state, answer{}, flow.ReasonParameters},
		"OA-03 two issuers":        {"code=c&iss=a&iss=b&state=" + state, answer{state: state}, flow.ReasonParameters},
		"OA-03 two errors":         {"error=a&error=b&state=" + state, answer{state: state}, flow.ReasonParameters},
		"code and error":           {"code=c&error=b&state=" + state, answer{state: state}, flow.ReasonParameters},
		"SEC-11 access token":      {"code=c&access_token=t&state=" + state, answer{state: state}, flow.ReasonParameters},
		"SEC-11 ID token":          {"code=c&id_token=t&state=" + state, answer{state: state}, flow.ReasonParameters},
		"not decodable":            {"code=%zz&state=" + state, answer{}, flow.ReasonParameters},
		"semicolons as separators": {"code=c;state=" + state, answer{}, flow.ReasonParameters},
	} {
		t.Run(name, func(t *testing.T) {
			got, reason := parseAnswer(row.query)
			if got != row.want || reason != row.reason {
				t.Errorf("got %+v, %q; want %+v, %q", got, reason, row.want, row.reason)
			}
		})
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add("code=c&state=" + strings.Repeat("s", stateSize))
	f.Add("error=a&error=b&iss=%2f")
	f.Fuzz(func(t *testing.T, query string) {
		a, reason := parseAnswer(query)
		if a.state != "" && !isToken(a.state, stateSize) {
			t.Errorf("state %q", a.state)
		}
		if reason == "" && a.failed && a.code != "" {
			t.Errorf("an answer that is both: %+v", a)
		}
	})
}

// RFC 9207 section 2.4.
func TestCheckISS(t *testing.T) {
	const issuer = "https://id.example.com"
	for name, row := range map[string]struct {
		a        answer
		promised bool
		want     flow.Reason
	}{
		"ISS-01 right":               {answer{hasISS: true, iss: issuer}, true, ""},
		"ISS-02 wrong":               {answer{hasISS: true, iss: "https://evil.example.com"}, true, flow.ReasonISSMismatch},
		"ISS-01 slash at the end":    {answer{hasISS: true, iss: issuer + "/"}, true, flow.ReasonISSMismatch},
		"ISS-01 other case":          {answer{hasISS: true, iss: "https://ID.example.com"}, true, flow.ReasonISSMismatch},
		"ISS-01 encoded twice":       {answer{hasISS: true, iss: "https%3A%2F%2Fid.example.com"}, true, flow.ReasonISSMismatch},
		"ISS-01 empty":               {answer{hasISS: true}, true, flow.ReasonISSMismatch},
		"ISS-05 promised, not there": {answer{}, true, flow.ReasonISSMissing},
		"ISS-06 not promised, right": {answer{hasISS: true, iss: issuer}, false, ""},
		"ISS-06 not promised, wrong": {answer{hasISS: true, iss: "x"}, false, flow.ReasonISSMismatch},
		"ISS-09 not promised":        {answer{}, false, ""},
		"ISS-03 an error, wrong":     {answer{failed: true, hasISS: true, iss: "x"}, true, flow.ReasonISSMismatch},
		"ISS-03 an error, not there": {answer{failed: true}, true, flow.ReasonISSMissing},
	} {
		t.Run(name, func(t *testing.T) {
			if got := checkISS(row.a, issuer, row.promised); got != row.want {
				t.Errorf("reason %q, want %q", got, row.want)
			}
		})
	}
}
