package leak_test

import (
	"encoding/base64"
	"net/url"
	"testing"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
)

const token = "MARKER-at-+/=0123456789"

// A scan that finds nothing proves something only if it would have found it.
func TestFindsASecretHoweverItIsWritten(t *testing.T) {
	var set leak.Set
	set.Add("access token", token, leak.Nowhere)
	for name, text := range map[string]string{
		"plain":               "Authorization: Bearer " + token,
		"in a query":          "/?t=" + url.QueryEscape(token),
		"escaped twice":       "/?u=" + url.QueryEscape("/?t="+url.QueryEscape(token)),
		"base64url":           "cookie=" + base64.RawURLEncoding.EncodeToString([]byte("x"+token)),
		"base64":              "cookie=" + base64.StdEncoding.EncodeToString([]byte("a token: "+token)),
		"base64 in a query":   "c=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("xx"+token+">>>>"))),
		"in a JWT's payload":  "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"t":"`+token+`"}`)) + ".c2ln",
		"a slash as in JSON":  `{"t":"MARKER-at-+\/=0123456789"}`,
		"after a broken one%": "100% " + token,
	} {
		if found := set.InBrowser(text); len(found) != 1 {
			t.Errorf("%s: found %v in %q, want one", name, found, text)
		}
	}
}

func TestWhatTheBrowserHoldsIsForbiddenToLogsAlone(t *testing.T) {
	var set leak.Set
	set.Add("state", "state-0123456789", leak.Browser)
	const text = "state=state-0123456789"
	if found := set.InBrowser(text); len(found) != 0 {
		t.Errorf("browser: %v", found)
	}
	if found := set.Inside(text); len(found) != 1 {
		t.Errorf("log: %v", found)
	}
}

func TestCleanTextIsClean(t *testing.T) {
	var set leak.Set
	set.Add("access token", token, leak.Nowhere)
	set.Add("too short", "e", leak.Nowhere)
	if found := set.Inside(`{"authenticated":true} MARKER-at`); len(found) != 0 || set.Len() != 1 {
		t.Errorf("found %v of %d", found, set.Len())
	}
}
