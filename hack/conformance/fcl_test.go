//go:build conformance

package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// frontChannel opens the endpoint and registers it at AS*.
func frontChannel() option {
	return func(s *setup) {
		policy(func(p *v1alpha1.BFFPolicySpec) { p.Logout.FrontChannel = v1alpha1.Enabled })(s)
		client(func(c *as.Client) { c.FrontChannelLogoutURI = shopURL + "/bff/frontchannel-logout" })(s)
	}
}

// Frame loads a URL into a frame of a page.
func (l loggedIn) Frame(to, page string) *ua.Response {
	return l.Go(ua.Navigation{URL: to, From: page, Frame: true, Stay: true})
}

// WantFrameDone checks the answer to a front-channel logout that has succeeded: a
// page that the provider may frame and nobody keeps.
func (w *world) WantFrameDone(r *ua.Response) {
	w.Helper()
	if r.Status != http.StatusOK || r.Header.Get("Cache-Control") != "no-store" {
		w.Errorf("%s, Cache-Control %q", r, r.Header.Get("Cache-Control"))
	}
	issuer, err := url.Parse(w.AS.Issuer)
	if err != nil {
		w.Fatal(err)
	}
	if got, want := framers(r), issuer.Scheme+"://"+issuer.Host; got != want || r.Header.Get("X-Frame-Options") != "" {
		w.Errorf("frame-ancestors %q, want %q; X-Frame-Options %q", got, want, r.Header.Get("X-Frame-Options"))
	}
	if strings.Contains(r.Body, "<script") || strings.Contains(r.Body, "src=") {
		w.Errorf("the page does more than it must: %s", r.Body)
	}
}

// framers are the sources of frame-ancestors.
func framers(r *ua.Response) string {
	for _, policy := range r.Header.Values("Content-Security-Policy") {
		for directive := range strings.SplitSeq(policy, ";") {
			if sources, ok := strings.CutPrefix(strings.TrimSpace(directive), "frame-ancestors "); ok {
				return sources
			}
		}
	}
	return ""
}

func TestFCL_01_TheLogoutURIIsOurOrigins(t *testing.T) {
	t.Parallel()
	covers(t, "FCL-01") // and BCL_19: no publicURL or basePath could make it anything else
	w := newWorld(t, frontChannel(), policy(func(s *v1alpha1.BFFPolicySpec) { s.Endpoints.BasePath = "/auth/bff" }),
		client(func(c *as.Client) {
			c.RedirectURIs = []string{shopURL + "/auth/bff/callback"}
			c.FrontChannelLogoutURI = shopURL + "/auth/bff/frontchannel-logout"
		}))
	r := w.UA.Go(ua.Navigation{URL: w.Shop("/auth/bff/login"), From: w.Shop("/")})
	if r.Status != http.StatusOK || w.Cookie() == "" {
		t.Fatal(r)
	}
	sid := w.AS.Tokens()[0].SID
	w.WantFrameDone(w.UA.Go(ua.Navigation{URL: w.AS.FrontChannelURL(sid), From: w.AS.Issuer, Frame: true, Stay: true}))
	w.WantProblem(w.Call("GET", "/api/x"), http.StatusUnauthorized, "session_ended")
}

func TestFCL_02_06_AFrameOfTheProviderEndsTheSession(t *testing.T) {
	t.Parallel()
	covers(t, "FCL-02", "FCL-03", "FCL-05", "FCL-06", "FCL-07")
	w := newWorld(t, frontChannel(), replicas(2))
	for what, page := range map[string]string{"a provider of another site": w.AS.URL(as.EndSession), "a provider of the same site": siblingURL + "/logout"} {
		l, other := w.LoginAs("alice"), w.LoginAs("alice")
		w.WantAlive(l, other)
		r := l.Frame(w.AS.FrontChannelURL(l.sid), page)
		w.WantFrameDone(r)
		if sent := r.Request.Header.Get("Cookie"); strings.Contains(sent, cookieName+"=") != strings.HasPrefix(page, siblingURL) {
			t.Fatalf("%s: the test's own browser sends the cookies %q", what, sent)
		}
		w.WantEnded(l)
		w.WantAlive(other)
		w.WantFrameDone(l.Frame(w.AS.FrontChannelURL(l.sid), page)) // again
	}
	never := loggedIn{Agent: w.NewAgent()}
	w.WantFrameDone(never.Frame(w.AS.FrontChannelURL("sid-of-nobody"), w.AS.Issuer))
}

func TestFCL_04_OnlyTheTwoNamesTogetherEndASession(t *testing.T) {
	t.Parallel()
	covers(t, "FCL-04", "FCL-05")
	w := newWorld(t, frontChannel(), replicas(2))
	l, other := w.LoginAs("alice"), w.LoginAs("bob")
	endpoint, iss := w.Shop("/bff/frontchannel-logout"), url.QueryEscape(w.AS.Issuer)
	for what, query := range map[string]string{
		"neither":                       "",
		"no iss":                        "?sid=" + l.sid,
		"no sid":                        "?iss=" + iss,
		"another iss":                   "?iss=https%3A%2F%2Fother.test&sid=" + l.sid,
		"iss with a slash":              "?iss=" + iss + "%2F&sid=" + l.sid,
		"iss in capitals":               "?iss=" + strings.ToUpper(iss) + "&sid=" + l.sid,
		"an empty sid":                  "?iss=" + iss + "&sid=",
		"sid twice":                     "?iss=" + iss + "&sid=" + l.sid + "&sid=" + l.sid,
		"iss twice":                     "?iss=" + iss + "&iss=" + iss + "&sid=" + l.sid,
		"a sid that goes on for ever":   "?iss=" + iss + "&sid=" + strings.Repeat("s", 4<<10),
		"names in capitals":             "?ISS=" + iss + "&SID=" + l.sid,
		"a query that is broken":        "?iss=" + iss + "&sid=" + l.sid + "&a=%zz",
		"the sid of a stranger is gone": "?iss=" + iss + "&sid=sid-unknown",
	} {
		for _, page := range []string{w.AS.Issuer + "/", attackerURL + "/", siblingURL + "/"} { // the last sends the cookie
			r := l.Frame(endpoint+query, page)
			if unknown := strings.HasSuffix(query, "unknown"); r.Status != http.StatusBadRequest && !unknown || r.Header.Get("Cache-Control") != "no-store" || len(r.Cookies()) > 0 {
				t.Errorf("%s: %s, Cache-Control %q, %d cookies", what, r, r.Header.Get("Cache-Control"), len(r.Cookies()))
			}
			w.WantAlive(l, other)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if r := l.Fetch(ua.Call{Method: method, URL: w.AS.FrontChannelURL(l.sid)}); r.Status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", method, r)
		}
	}
	w.WantAlive(l)
	// The names count, and not whose cookie comes with them.
	w.WantFrameDone(l.Frame(w.AS.FrontChannelURL(other.sid), siblingURL+"/"))
	w.WantEnded(other)
	w.WantAlive(l)
}

func TestFCL_07_NothingElseOfOursCanBeFramed(t *testing.T) {
	t.Parallel()
	covers(t, "FCL-07")
	w := newWorld(t, frontChannel(), hintInForm(), func(s *setup) { s.provider.Path = "/realms/shop" }) // a framer has no path
	l := loggedIn{Agent: w.UA}
	login := w.Login()
	w.WantFrameDone(l.Frame(w.AS.FrontChannelURL("sid-of-nobody"), w.AS.Issuer))
	pages := map[string]*ua.Response{
		"the page after a login":          login.Hop("/bff/callback"),
		"an error page":                   w.NewAgent().Navigate(w.Shop("/bff/callback?state=x&code=y")),
		"a login that cannot begin":       w.NewAgent().Navigate(w.Shop("/bff/login?returnTo=https://attacker.test/")),
		"a front-channel logout, refused": w.UA.Navigate(w.Shop("/bff/frontchannel-logout?iss=x")),
		"the page with the ID token":      w.UA.Go(ua.Navigation{URL: w.Shop(w.Logout()), From: w.Shop("/"), Stay: true}),
	}
	for what, r := range pages {
		if r == nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s is %s", what, r)
			continue
		}
		if framers(r) != "'none'" {
			t.Errorf("%s: frame-ancestors %q", what, framers(r))
		}
	}
	// That one is not even given to a frame.
	again := w.NewAgent()
	w.LoginAt(again, "")
	again.Fetch(w.CallOf("POST", "/bff/logout"))
	framed := again.Go(ua.Navigation{URL: w.Shop("/bff/logout/continue"), From: w.Shop("/"), Frame: true, Stay: true})
	if framed.Status < 400 || strings.Contains(framed.Body, "id_token_hint") {
		t.Errorf("%s", framed)
	}
}

func TestFCL_08_AFrameRevokesNothing(t *testing.T) {
	t.Parallel()
	covers(t, "FCL-08")
	w := newWorld(t, frontChannel())
	framed, other := w.LoginAs("alice"), w.LoginAs("bob")
	w.WantFrameDone(framed.Frame(w.AS.FrontChannelURL(framed.sid), w.AS.Issuer))
	w.WantEnded(framed)
	// A logout by the user has its revocation, after which no other is under way.
	other.Fetch(withCookie(w.CallOf("POST", "/bff/logout"), other.cookie))
	w.Revocations(1)
	w.Eventually("the sidecar has counted it", func() bool { return w.Revoked("success") == 1 })
	if living := w.AS.Living(framed.sid); len(living) != 2 {
		t.Errorf("of the session that a frame has ended there are left %q", living)
	}
	if living := w.AS.Living(other.sid); len(living) != 0 {
		t.Errorf("of the session that its user has ended there are left %q", living)
	}
}

func TestFCL_04_TheEndpointIsClosedByDefault(t *testing.T) {
	t.Parallel()
	covers(t, "FCL-04")
	w := newWorld(t, client(func(c *as.Client) { c.FrontChannelLogoutURI = shopURL + "/bff/frontchannel-logout" }))
	l := w.LoginAs("alice")
	for _, page := range []string{w.AS.Issuer + "/", siblingURL + "/", shopURL + "/"} {
		if r := l.Frame(w.AS.FrontChannelURL(l.sid), page); r.Status != http.StatusNotFound {
			t.Errorf("%s", r)
		}
	}
	w.WantAlive(l)
}
