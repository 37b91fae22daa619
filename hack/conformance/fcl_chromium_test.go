//go:build conformance

package conformance

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

func TestFCL_06_AFrameOfTheProvidersSiteEndsTheSessionInARealBrowser(t *testing.T) {
	t.Parallel()
	covers(t, "FCL-02", "FCL-06")
	w, b := withChromium(t, secureProvider(), policy(func(s *v1alpha1.BFFPolicySpec) { s.Logout.FrontChannel = v1alpha1.Enabled }),
		client(func(c *as.Client) { c.FrontChannelLogoutURI = shopURL + "/bff/frontchannel-logout" }))
	b.Login()
	sid := w.AS.Tokens()[0].SID
	w.AS.Change(func(a *as.Behaviour) {
		a.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{as.EndSession: func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(rw, `<!doctype html><title>Logging out</title>`+as.FrontChannelFrame(w.AS.FrontChannelURL(sid))) // to the test's own browser
			return true
		}}
	})
	b.Open(w.AS.URL(as.EndSession))
	w.Eventually("the session has ended", func() bool {
		r := w.UA.Fetch(withCookie(w.CallOf("GET", "/bff/session"), b.Cookie(cookieName)))
		return strings.Contains(r.Body, `"authenticated":false`)
	})
	b.Open(shopURL + "/")
	if s := b.Session(); !strings.Contains(s, `"authenticated":false`) {
		t.Errorf("%s", s)
	}
	if n := len(w.AS.Requests(as.Revocation)); n != 0 {
		t.Errorf("%d revocations", n)
	}
}
