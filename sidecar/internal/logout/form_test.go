package logout

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
)

// Whatever is posted, a token is only found if net/http finds the very same one
// in the body, once, and a body that is refused yields none.
func FuzzLogoutToken(f *testing.F) {
	f.Add("logout_token=eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "application/x-www-form-urlencoded")
	f.Add("a=1&logout_token=x&a=2", "application/x-www-form-urlencoded; charset=utf-8")
	f.Add("logout_token=x&logout%5ftoken=y", "application/x-www-form-urlencoded")
	f.Add("logout_token=x;y=%zz&=&&", "multipart/form-data; boundary=x")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		r := httptest.NewRequest(http.MethodPost, "/bff/backchannel-logout?logout_token=query", strings.NewReader(body))
		r.Header["Content-Type"] = []string{contentType}
		found, refused := logoutTokenIn(httptest.NewRecorder(), r)
		if refused != nil {
			if found != "" || refused.say == "" || refused.reason == "" {
				t.Errorf("refused with %q, %+v", found, refused)
			}
			return
		}
		again := httptest.NewRequest(http.MethodPost, "/bff/backchannel-logout?logout_token=query", strings.NewReader(body))
		again.Header["Content-Type"] = []string{contentType}
		if err := again.ParseForm(); err != nil || found == "" || len(body) > maxForm {
			t.Fatalf("found %q in %q of %q: %v", found, body, contentType, err)
		}
		if got := again.PostForm["logout_token"]; len(got) != 1 || got[0] != found {
			t.Errorf("found %q, net/http finds %q", found, got)
		}
	})
}

// Whatever is in a query, a sid is only found beside the one right issuer.
func FuzzFrontChannelQuery(f *testing.F) {
	const issuer = "https://id.example.com/realms/shop"
	right := url.Values{"iss": {issuer}, "sid": {"S1"}}.Encode()
	for _, seed := range []string{right, right + "&iss=x", right + "&sid=", "sid=S1", "iss=" + issuer, "%69ss=" + issuer + "&sid=1;2", "iss=" + issuer + "%2F&sid=S1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rawQuery string) {
		sid, reason := sidIn(rawQuery, issuer)
		if reason != flow.OK {
			if sid != "" {
				t.Errorf("refused with %q", sid)
			}
			return
		}
		query, err := url.ParseQuery(rawQuery)
		if err != nil || sid == "" || len(sid) > maxSID || len(query["iss"]) != 1 || len(query["sid"]) != 1 || query["iss"][0] != issuer || query["sid"][0] != sid {
			t.Errorf("found %q in %q: %v", sid, rawQuery, err)
		}
	})
}

func TestFramerPolicy(t *testing.T) {
	const closed = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors "
	for issuer, want := range map[string]string{
		"https://id.example.com/realms/shop": "https://id.example.com",
		"https://id.example.com:8443":        "https://id.example.com:8443",
		"http://localhost:8080/":             "http://localhost:8080",
		"id.example.com":                     "'none'",
		"https://id.example.com;x=y":         "'none'",
		"https://":                           "'none'",
		"":                                   "'none'",
	} {
		if got := framerPolicy(issuer); got != closed+want {
			t.Errorf("%q: %s", issuer, got)
		}
	}
}
