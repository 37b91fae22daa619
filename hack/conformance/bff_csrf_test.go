//go:build conformance

package conformance

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// routes are all the paths at which a script can call something.
var routes = []string{"/api/x", "/api/readonly/x", "/open/x", "/bff/session"}

func TestBFF_25_26_ASiblingOriginReachesNoAPI(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-25", "BFF-26", "COOK-10", "FM-03")
	w := newWorld(t)
	w.Login()
	for _, from := range []string{siblingURL + "/", attackerURL + "/", "http://shop.example.test/", "https://shop.example.test:8443/"} {
		for _, path := range routes {
			w.UA.Go(ua.Navigation{URL: w.Shop(path), From: from, Form: url.Values{"a": {"1"}}})
			w.UA.Go(ua.Navigation{URL: w.Shop(path), From: from, Form: url.Values{}})
			w.UA.Go(ua.Navigation{URL: w.Shop(path), From: from})
			w.UA.Go(ua.Navigation{URL: w.Shop(path), From: from, Frame: true})
			for _, method := range []string{"GET", "HEAD", "POST"} { // fetch without CORS
				w.UA.Fetch(ua.Call{Method: method, URL: w.Shop(path), From: from, Header: http.Header{"Sec-Fetch-Mode": {"no-cors"}}})
				w.UA.Fetch(ua.Call{Method: method, URL: w.Shop(path), From: from, Header: http.Header{"X-Csrf": {"1"}}})
			}
		}
	}
	w.WantUpstream(0)
	if !w.Session().Authenticated {
		t.Error("the session has suffered")
	}
}

func TestBFF_26_ASiblingOriginReachesNoAPIFromARealBrowser(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-25", "BFF-26", "COOK-10", "GAP-05")
	w, b := withChromium(t)
	b.Login()
	b.Page(siblingURL+"/", `<!doctype html><title>sibling</title><form id="f" method="post" action="`+shopURL+`/api/x"><input name="a" value="1"></form>
		<form id="logout" method="post" action="`+shopURL+`/bff/logout"></form>`)
	b.Open(siblingURL + "/")
	b.Script(`Promise.allSettled([
		fetch("` + shopURL + `/api/a", {credentials: "include", mode: "no-cors"}),
		fetch("` + shopURL + `/api/b", {credentials: "include", mode: "no-cors", method: "POST", body: "x"}),
		fetch("` + shopURL + `/api/c", {credentials: "include", mode: "no-cors", method: "POST"}),
		fetch("` + shopURL + `/api/d", {credentials: "include", headers: {"X-CSRF": "1"}}),
		fetch("` + shopURL + `/bff/logout", {credentials: "include", mode: "no-cors", method: "POST"}),
		new Promise(done => { const i = new Image(); i.onload = i.onerror = done; i.src = "` + shopURL + `/api/e" }),
	]).then(() => "")`)
	for _, form := range []string{"f", "logout"} {
		b.Open(siblingURL + "/")
		b.Script(`(document.getElementById("` + form + `").submit(), "")`)
		b.WaitFor(shopURL)
	}
	w.WantUpstream(0)
	b.Open(shopURL + "/")
	if s := b.Session(); s == "" || !w.AS.Requests(as.Authorize)[0].Time.Before(w.AS.Last(as.Token).Time) || s == `{"authenticated":false}` {
		t.Errorf("the session has suffered: %s", s)
	}
}

func TestBFF_27_NoPreflightIsApproved(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-27")
	w := newWorld(t)
	w.Login()
	for _, origin := range []string{attackerURL, siblingURL, "null", "https://shop.example.test.attacker.test", "https://xshop.example.test", "http://shop.example.test", "https://shop.example.test:8443", ""} {
		for _, path := range append(routes, "/bff/logout", "/bff/login", "/bff/callback", "/page") {
			for _, method := range []string{"OPTIONS", "GET", "POST"} {
				call := ua.Call{Method: method, URL: w.Shop(path), From: attackerURL + "/", Header: http.Header{"Origin": {origin}}}
				if method == "OPTIONS" {
					call.Header.Set("Access-Control-Request-Method", "POST")
					call.Header.Set("Access-Control-Request-Headers", "x-csrf")
				}
				r := w.UA.Fetch(call)
				for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers"} {
					if v := r.Header.Get(name); v != "" {
						t.Errorf("%s %s from %q: %s: %s", method, path, origin, name, v)
					}
				}
			}
		}
	}
	w.WantUpstream(0)
}

func TestBFF_28_29_EveryCallNeedsTheHeader(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-28", "BFF-29", "BFF-30", "TMB-6", "FM-06")
	w := newWorld(t)
	w.Login()
	wrong := []http.Header{{}, {"X-Csrf": {""}}, {"X-Csrf": {"0"}}, {"X-Csrf": {"true"}}, {"X-Csrf": {"1", "1"}}, {"X-Csrf": {"1, 1"}}, {"X_csrf": {"1"}}}
	for _, path := range routes {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			for _, header := range wrong {
				r := w.UA.Fetch(ua.Call{Method: method, URL: w.Shop(path), Header: header})
				if r.Status < 400 || r.Status >= 500 {
					t.Errorf("%s %s with %v: %s", method, path, header, r)
				}
			}
		}
	}
	// Neither does it help to say nothing about where a call comes from.
	silent := http.Header{}
	for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Origin"} {
		silent[name] = nil
	}
	for _, path := range routes {
		for _, method := range []string{"GET", "POST"} {
			if r := w.UA.Fetch(ua.Call{Method: method, URL: w.Shop(path), Header: silent}); r.Status < 400 {
				t.Errorf("%s %s: %s", method, path, r)
			}
		}
	}
	if r := w.UA.Fetch(ua.Call{Method: "POST", URL: w.Shop("/bff/logout"), Header: silent}); r.Status < 400 {
		t.Errorf("logout: %s", r)
	}
	w.WantUpstream(0)
	if !w.Session().Authenticated {
		t.Error("the session has suffered")
	}
}
