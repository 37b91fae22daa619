//go:build conformance

package conformance

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// withoutHint has logouts send the provider no ID token.
func withoutHint() option {
	return policy(func(s *v1alpha1.BFFPolicySpec) { s.Logout.IDTokenHint = v1alpha1.IDTokenHintNone })
}

// LogoutByForm logs out as a form of the site does, and follows wherever that
// leads.
func (w *world) LogoutByForm() *ua.Response {
	w.Helper()
	return w.UA.Go(ua.Navigation{URL: w.Shop("/bff/logout"), From: w.Shop("/"), Form: url.Values{}})
}

// WantHome checks that a logout has brought the browser back, with nothing of the
// session left.
func (w *world) WantHome(r *ua.Response) {
	w.Helper()
	if r.URL.String() != shopURL+"/" || r.Status != http.StatusOK {
		w.Errorf("the logout has ended with %s at %s", r, r.URL)
	}
	if w.Cookie() != "" || w.Session().Authenticated {
		w.Error("still logged in")
	}
}

func TestRPL_01_02_04_TheProviderIsSentTheHintByAForm(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-01", "RPL-02", "RPL-03", "RPL-04")
	for what, logout := range map[string]func(*world) *ua.Response{
		"by script": func(w *world) *ua.Response {
			return w.UA.Go(ua.Navigation{URL: w.Shop(w.Logout()), From: w.Shop("/")})
		},
		"by a form": (*world).LogoutByForm,
		"by its link": func(w *world) *ua.Response {
			return w.UA.Go(ua.Navigation{URL: w.Shop(w.Session().LogoutURL), From: w.Shop("/")})
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, secureProvider(), hintInForm())
			w.Login()
			w.WantHome(logout(w))
			requests := w.AS.Requests(as.EndSession)
			if len(requests) != 1 {
				t.Fatalf("%d requests to the end_session_endpoint", len(requests))
			}
			// Which AS* has issued, or it would complain; at the path that only its
			// metadata tell.
			r := requests[0]
			if r.Method != http.MethodPost || r.Form.Get("id_token_hint") == "" || r.Form.Get("post_logout_redirect_uri") != shopURL+"/" || r.Form.Get("client_id") != clientID || len(r.Query) > 0 {
				t.Errorf("%s with %d parameters in the URL and %d in the form", r.Method, len(r.Query), len(r.Form))
			}
		})
	}
}

func TestRPL_02_TheHintMayHaveExpired(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-02")
	w := newWorld(t, hintInForm(), behaviour(func(b *as.Behaviour) { b.IDTokenLifetime = time.Second }))
	w.Login()
	time.Sleep(1100 * time.Millisecond) // the ID token's life
	w.WantHome(w.LogoutByForm())
	if r := w.AS.Last(as.EndSession); r == nil || r.Form.Get("id_token_hint") == "" {
		t.Error("no hint was sent")
	}
}

func TestRPL_02_TheHintAfterARefreshIsOneThatWasIssued(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-02")
	for what, renewed := range map[string]bool{"with a new ID token": true, "without one": false} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, hintInForm(), behaviour(func(b *as.Behaviour) { b.AccessLifetime, b.RefreshIDToken = time.Second, renewed }))
			w.Login()
			w.Eventually("a refresh", func() bool { w.Call("GET", "/api/x"); return len(w.AS.Grants("refresh_token")) > 0 })
			w.WantHome(w.LogoutByForm())
			r := w.AS.Last(as.EndSession)
			if r == nil {
				t.Fatal("the browser was not at the provider")
			}
			if _, claims, err := as.Decode(r.Form.Get("id_token_hint")); err != nil || claims["sid"] != w.AS.Tokens()[0].SID {
				t.Errorf("the hint is about the session %v: %v", claims["sid"], err)
			}
		})
	}
}

func TestRPL_04_WithoutTheHintTheClientNamesItself(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-01", "RPL-03", "RPL-04")
	w := newWorld(t, secureProvider(), withoutHint())
	w.Login()
	target, err := url.Parse(w.Logout())
	if err != nil || target.Scheme+"://"+target.Host != w.AS.Issuer || target.Query().Get("client_id") != clientID || target.Query().Has("id_token_hint") {
		t.Fatalf("logoutURL is %s, %v", target, err)
	}
	w.WantHome(w.UA.Go(ua.Navigation{URL: target.String(), From: w.Shop("/")}))
	w.Login()
	w.WantHome(w.LogoutByForm())
	for _, r := range w.AS.Requests(as.EndSession) {
		if r.Param("post_logout_redirect_uri") != shopURL+"/" || r.Param("client_id") != clientID {
			t.Errorf("%v", r.Query)
		}
	}
}

func TestRPL_03_NoRequestCanSayWhereALogoutEnds(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-03")
	const evil = "https%3A%2F%2Fattacker.test%2F"
	w := newWorld(t, hintInForm())
	query := "?post_logout_redirect_uri=" + evil + "&returnTo=" + evil + "&redirect_uri=" + evil + "&client_id=evil&state=evil&id_token_hint=evil&sid=evil"
	header := http.Header{"X-Forwarded-Host": {"attacker.test"}, "X-Forwarded-Proto": {"http"}, "Forwarded": {"host=attacker.test"}, "X-Original-Url": {"https://attacker.test/"}, "Referer": {shopURL + "/?evil"}}
	fields := url.Values{"post_logout_redirect_uri": {"https://attacker.test/"}, "returnTo": {"https://attacker.test/"}, "client_id": {"evil"}, "state": {"evil"}}
	for what, logout := range map[string]func() *ua.Response{
		"a form": func() *ua.Response {
			return w.UA.Go(ua.Navigation{URL: w.Shop("/bff/logout" + query), From: w.Shop("/"), Form: fields, Header: header})
		},
		"a script": func() *ua.Response {
			call := w.CallOf("POST", "/bff/logout"+query)
			call.Body = []byte(`{"post_logout_redirect_uri":"https://attacker.test/","returnTo":"https://attacker.test/"}`)
			for name, values := range header {
				call.Header[name] = values
			}
			if r := w.UA.Fetch(call); r.Status != http.StatusOK || strings.Contains(r.Body, "evil") || strings.Contains(r.Body, "attacker") {
				t.Errorf("%s", r)
			}
			return w.UA.Go(ua.Navigation{URL: w.Shop("/bff/logout/continue" + query), From: w.Shop("/"), Header: header})
		},
	} {
		w.Login()
		w.AS.Forget()
		w.WantHome(logout())
		r := w.AS.Last(as.EndSession)
		if r == nil {
			t.Errorf("%s: the browser was not at the provider", what)
			continue
		}
		if r.Form.Get("post_logout_redirect_uri") != shopURL+"/" || strings.Contains(r.Body+r.URL.String(), "evil") || strings.Contains(r.Body, "attacker") {
			t.Errorf("%s: the provider was sent %s", what, r.Form.Get("post_logout_redirect_uri"))
		}
	}
	// Nor can the name of the host that was asked, where an ingress lets any through.
	w.Login()
	answer := w.UA.Raw(shopURL, "POST /bff/logout HTTP/1.1\r\nHost: attacker.test\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\nCookie: $COOKIES\r\nContent-Length: 0\r\n\r\n")
	if answer == "" || strings.Contains(answer, "attacker") {
		t.Errorf("%q", answer)
	}
}

func TestRPL_05_AStateThatComesBackMeansNothing(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-05")
	w := newWorld(t, hintInForm())
	for _, back := range []string{"/", "/?state=x", "/?state=", "/?state=https%3A%2F%2Fattacker.test%2F", "/?state=%2F%2Fattacker.test&state=y", "/?state=x&error=access_denied&returnTo=https%3A%2F%2Fattacker.test%2F"} {
		w.AtEndSession(func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Header().Set("Location", w.Shop(back))
			rw.WriteHeader(http.StatusSeeOther)
			return true
		})
		w.UA.Jar.Clear() // one browser that logs in so often is stopped
		w.Login()
		r := w.LogoutByForm()
		if r.URL.String() != w.Shop(back) || r.Status != http.StatusOK || !strings.Contains(r.Body, "the application") {
			t.Errorf("%s leads to %s at %s", back, r, r.URL)
		}
		if w.Cookie() != "" || w.Session().Authenticated {
			t.Errorf("%s: still logged in", back)
		}
	}
}

func TestRPL_06_TheSessionEndsHereFirst(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-06")
	w := newWorld(t, hintInForm(), replicas(2))
	l := w.LoginAs("alice")
	w.WantAlive(l)
	arrived, release := w.AS.Hold(as.EndSession)
	defer release()
	answer := l.Fetch(w.CallOf("POST", "/bff/logout"))
	if answer.Status != http.StatusOK || l.Jar.Value(cookieName) != "" {
		t.Fatalf("%s", answer)
	}
	w.WantEnded(l) // before anybody has been at the provider
	if n := len(w.AS.Requests(as.EndSession)); n != 0 {
		t.Fatalf("%d requests to the end_session_endpoint", n)
	}
	gone := make(chan *ua.Response, 1)
	go func() { gone <- l.Go(ua.Navigation{URL: w.Shop("/bff/logout/continue"), From: w.Shop("/")}) }()
	<-arrived // and it never comes back, as if the user had closed the tab there
	w.WantEnded(l)
	release()
	<-gone
}

func TestRPL_07_LoggingOutTwiceIsLoggingOutOnce(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-07")
	w := newWorld(t, hintInForm())
	w.Login()
	spent := w.Cookie()
	w.Logout()
	for what, r := range map[string]*ua.Response{
		"again":                 w.Call("POST", "/bff/logout"),
		"with the spent cookie": w.UA.Fetch(withCookie(w.CallOf("POST", "/bff/logout"), spent)),
		"who never logged in":   w.NewAgent().Fetch(w.CallOf("POST", "/bff/logout")),
		"a cookie of nobody":    w.NewAgent().Fetch(withCookie(w.CallOf("POST", "/bff/logout"), strings.Repeat("A", len(spent)))),
		"a cookie of nonsense":  w.NewAgent().Fetch(withCookie(w.CallOf("POST", "/bff/logout"), "x")),
	} {
		if r.Status != http.StatusOK || !strings.Contains(r.Body, `"logoutURL"`) {
			t.Errorf("%s: %s", what, r)
		}
	}
	// The rest of the logout can be had once, and by nobody else.
	stranger := w.NewAgent()
	if r := stranger.Go(ua.Navigation{URL: w.Shop("/bff/logout/continue"), From: w.Shop("/")}); r.URL.String() != shopURL+"/" || r.Status != http.StatusOK {
		t.Errorf("a stranger is led to %s: %s", r.URL, r)
	}
	w.Login()
	next := w.Logout()
	for range 3 {
		w.WantHome(w.UA.Go(ua.Navigation{URL: w.Shop(next), From: w.Shop("/")}))
	}
	hints := 0
	for _, r := range w.AS.Requests(as.EndSession) {
		if r.Form.Has("id_token_hint") {
			hints++
		}
	}
	if hints != 1 {
		t.Errorf("%d hints for one logout", hints)
	}
	w.LogoutByForm()
	if w.Session().Authenticated {
		t.Error("logged in")
	}
	revoked := map[string]bool{}
	for _, r := range w.Revocations(2) {
		if token := r.Form.Get("token"); revoked[token] {
			t.Error("a token was revoked twice")
		} else {
			revoked[token] = true
		}
	}
}

func TestRPL_08_AnEndpointThatIsNoneIsNotUsed(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-01", "RPL-08")
	for what, endpoint := range map[string]any{
		"plain http":     "http://id.provider.test/logout",
		"of a script":    "javascript:alert(1)",
		"of data":        "data:text/html,x",
		"relative":       "/logout",
		"without scheme": "//attacker.test/logout",
		"with a user":    "https://id.provider.test@attacker.test/",
		"with fragment":  "https://id.provider.test/logout#x",
		"no URL":         "https://%zz",
		"empty":          "",
		"null":           nil,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, secureProvider(), behaviour(func(b *as.Behaviour) {
				b.Metadata = func(m map[string]any) { m["end_session_endpoint"] = endpoint }
			}))
			w.Login()
			if target := w.Logout(); target != "/" && target != shopURL+"/" {
				t.Errorf("logoutURL is %q", target)
			}
			w.WantHome(w.UA.Navigate(w.Shop("/")))
			w.Login()
			w.WantHome(w.LogoutByForm())
			w.Login()
			w.WantHome(w.UA.Navigate(w.Shop(w.Session().LogoutURL)))
			w.Revocations(3) // the other endpoints are good, and are used
		})
	}
	t.Run("not even text", func(t *testing.T) { // with such metadata there is no login to end
		t.Parallel()
		w := newWorld(t, secureProvider(), behaviour(func(b *as.Behaviour) {
			b.Metadata = func(m map[string]any) { m["end_session_endpoint"] = []string{"https://attacker.test/"} }
		}))
		if r := w.Call("POST", "/bff/logout"); r.Status != http.StatusOK || strings.Contains(r.Body, "attacker") {
			t.Errorf("%s", r)
		}
	})
}

func TestRPL_09_WithoutAnEndpointTheLogoutIsLocal(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-09")
	for what, options := range map[string][]option{"with a hint": nil, "without": {withoutHint()}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(options, replicas(2), behaviour(func(b *as.Behaviour) { b.WithoutEndSession = true }))...)
			l := w.LoginAs("alice")
			r := l.Fetch(w.CallOf("POST", "/bff/logout"))
			if r.Status != http.StatusOK || !strings.Contains(r.Body, `"logoutURL":"`+shopURL+`/"`) && !strings.Contains(r.Body, `"logoutURL":"/"`) {
				t.Errorf("%s", r)
			}
			w.WantEnded(l)
			w.Revocations(1)
			w.Login()
			w.WantHome(w.LogoutByForm())
		})
	}
}

func TestRPL_10_AProviderThatIsAwayStopsNoLogout(t *testing.T) {
	t.Parallel()
	covers(t, "RPL-10", "RPL-06")
	down := func(w *world) {
		for _, at := range []as.Endpoint{as.Discovery, as.JWKS, as.EndSession, as.Revocation, as.Token} {
			w.AS.Fault(at, 1000, http.StatusServiceUnavailable)
		}
	}
	for what, options := range map[string][]option{"with a hint": nil, "without": {withoutHint()}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(options, hintInForm())...)
			l := w.LoginAs("alice")
			down(w)
			defer w.AS.Heal() // the sidecar's last word to it is the revocation
			if r := l.Fetch(w.CallOf("POST", "/bff/logout")); r.Status != http.StatusOK || l.Jar.Value(cookieName) != "" {
				t.Errorf("%s", r)
			}
			w.WantEnded(l)
		})
		t.Run(what+", from a sidecar that has never reached it", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(options, hintInForm())...)
			l := w.LoginAs("alice")
			down(w)
			defer w.AS.Heal()
			w.Start()
			w.Target(1)
			started := time.Now()
			r := l.Fetch(w.CallOf("POST", "/bff/logout"))
			if r.Status != http.StatusOK || l.Jar.Value(cookieName) != "" || strings.Contains(r.Body, w.AS.Address) {
				t.Errorf("%s", r)
			}
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			w.WantEnded(l)
		})
		t.Run(what+", while it does not answer", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(options, hintInForm())...)
			l := w.LoginAs("alice")
			for _, at := range []as.Endpoint{as.Discovery, as.EndSession, as.Revocation} {
				_, release := w.AS.Hold(at)
				defer release()
			}
			w.Start()
			w.Target(1)
			started := time.Now()
			if r := l.Fetch(w.CallOf("POST", "/bff/logout")); r.Status != http.StatusOK || l.Jar.Value(cookieName) != "" {
				t.Errorf("%s", r)
			}
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			w.WantEnded(l)
		})
	}
}
