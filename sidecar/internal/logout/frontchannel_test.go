package logout_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/logout"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

func TestFrontChannel(t *testing.T) {
	iss := "iss=" + url.QueryEscape(issuer)
	for name, row := range map[string]struct {
		method, query string
		status        int
		alive         string
	}{
		"FCL-02, FCL-06 without a cookie": {"GET", iss + "&sid=S1", 200, "bc"},
		"FCL-03 over":                     {"GET", iss + "&sid=S9", 200, "abc"},
		"FCL-04 no sid":                   {"GET", iss, 400, "abc"},
		"FCL-04 no iss":                   {"GET", "sid=S1", 400, "abc"},
		"FCL-04 neither":                  {"GET", "", 400, "abc"},
		"FCL-04 wrong iss":                {"GET", "iss=https%3A%2F%2Fevil.example&sid=S1", 400, "abc"},
		"FCL-04 almost the iss":           {"GET", iss + "%2F&sid=S1", 400, "abc"},
		"sid twice":                       {"GET", iss + "&sid=S1&sid=S1", 400, "abc"},
		"iss twice":                       {"GET", iss + "&" + iss + "&sid=S1", 400, "abc"},
		"empty sid":                       {"GET", iss + "&sid=", 400, "abc"},
		"endless sid":                     {"GET", iss + "&sid=" + strings.Repeat("x", 513), 400, "abc"},
		"undecodable":                     {"GET", iss + "&sid=S1&x=%zz", 400, "abc"},
		"other parameters beside":         {"GET", iss + "&sid=S1&x=1&x=2", 200, "bc"},
		"POST":                            {"POST", iss + "&sid=S1", 405, "abc"},
		"HEAD":                            {"HEAD", iss + "&sid=S1", 405, "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			w := withSessions(t, provider.LogoutToken{})
			answer := w.do(w.FrontChannel, request(t, row.method, "/bff/frontchannel-logout?"+row.query, "", framed))
			if answer.Code != row.status || answer.Header().Get("Cache-Control") != "no-store" { // FCL-05
				t.Errorf("%d %v, want %d", answer.Code, answer.Header(), row.status)
			}
			if got := w.sessions.ids(); got != row.alive {
				t.Errorf("alive %q, want %q", got, row.alive)
			}
			framers := "frame-ancestors 'none'"
			if row.status == 200 {
				framers = "frame-ancestors https://id.example.com"
			}
			if got := answer.Header().Get("Content-Security-Policy"); !strings.Contains(got+";", framers+";") { // FCL-07
				t.Errorf("policy %s", got)
			}
			if why, ended := w.sessions.why["a"]; ended && why != session.EndFrontChannel {
				t.Errorf("ended because of %q", why)
			}
			w.settle()
			if len(w.provider.revoked()) != 0 {
				t.Error("FCL-08: tokens were revoked")
			}
		})
	}
}

func TestFrontChannelDisabled(t *testing.T) {
	for _, setting := range []v1alpha1.Switch{v1alpha1.Disabled, ""} {
		w := withSessions(t, provider.LogoutToken{}, func(o *logout.Options) { o.FrontChannel = setting })
		answer := w.do(w.FrontChannel, request(t, "GET", "/bff/frontchannel-logout?iss="+url.QueryEscape(issuer)+"&sid=S1", "", framed))
		if answer.Code != http.StatusNotFound || w.sessions.ids() != "abc" {
			t.Errorf("%q: %d, alive %q", setting, answer.Code, w.sessions.ids())
		}
	}
}

func TestFrontChannelWithoutStore(t *testing.T) {
	w := withSessions(t, provider.LogoutToken{})
	w.sessions.down = errDown
	answer := w.do(w.FrontChannel, request(t, "GET", "/bff/frontchannel-logout?iss="+url.QueryEscape(issuer)+"&sid=S1", "", framed))
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", answer.Code, answer.Header())
	}
}
