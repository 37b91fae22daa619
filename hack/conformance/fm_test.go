//go:build conformance

package conformance

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

func TestFM_01_UnknownValuesCountAsMissing(t *testing.T) {
	t.Parallel()
	covers(t, "FM-01", "FM-06")
	w := newWorld(t)
	w.Login()
	call := w.CallOf("GET", "/api/x")
	call.Header["Sec-Fetch-Site"], call.Header["Sec-Fetch-Mode"], call.Header["Sec-Fetch-Dest"] = []string{"foo"}, []string{"bar"}, []string{"baz"}
	if r := w.UA.Fetch(call); r.Status != http.StatusOK {
		t.Errorf("with the header X-CSRF: %s", r)
	}
	w.RS.Forget()
	delete(call.Header, "X-Csrf")
	if r := w.UA.Fetch(call); r.Status != http.StatusForbidden {
		t.Errorf("without: %s", r)
	}
	w.WantUpstream(0)
}

func TestFM_03_04_OnlyOurOwnPagesCallAPIs(t *testing.T) {
	t.Parallel()
	covers(t, "FM-03", "FM-04")
	w := newWorld(t)
	w.Login()
	for _, site := range []string{"cross-site", "same-site", "none"} {
		for _, path := range routes {
			for _, method := range []string{"GET", "POST"} {
				call := w.CallOf(method, path)
				call.Header.Set("Sec-Fetch-Site", site)
				if r := w.UA.Fetch(call); r.Status != http.StatusForbidden {
					t.Errorf("%s %s, %s: %s", method, path, site, r)
				}
			}
		}
	}
	w.WantUpstream(0)
	// Typed in, a page is fine.
	if r := w.UA.Navigate(w.Shop("/deep/page")); r.Status != http.StatusOK {
		t.Error(r)
	}
}

func TestFM_05_LoginsAreNotFramed(t *testing.T) {
	t.Parallel()
	covers(t, "FM-05", "GAP-12", "OIDC-18")
	w := newWorld(t)
	callback := callbackOf(w, w.UA, "")
	for _, destination := range []string{"iframe", "frame", "object", "embed", "image", "script"} {
		for _, to := range []string{w.Shop("/bff/login"), callback} {
			r := w.UA.Go(ua.Navigation{URL: to, From: w.Shop("/"), Frame: true, Stay: true, Header: http.Header{"Sec-Fetch-Dest": {destination}}})
			if r.Status < 400 || r.Location() != nil {
				t.Errorf("%s as %s: %s", r.URL.Path, destination, r)
			}
		}
	}
	for _, mode := range []string{"cors", "no-cors", "same-origin", "websocket"} {
		r := w.UA.Fetch(ua.Call{URL: w.Shop("/bff/login"), Header: http.Header{"Sec-Fetch-Mode": {mode}}})
		if r.Status < 400 {
			t.Errorf("mode %s: %s", mode, r)
		}
	}
	if n := len(w.AS.Requests(as.Token)); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

func TestFM_07_09_NonBrowsersAndOldBrowsersAreServedByTheirHeaders(t *testing.T) {
	t.Parallel()
	covers(t, "FM-07", "FM-09", "FM-06")
	w := newWorld(t)
	w.Login()
	// No Fetch Metadata at all, as in Safari before 16.4: the header does it.
	call := w.CallOf("POST", "/api/x")
	for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
		call.Header[name] = nil
	}
	if r := w.UA.Fetch(call); r.Status != http.StatusOK {
		t.Errorf("an old browser calls: %s", r)
	}
	old := w.NewAgent()
	none := http.Header{"Sec-Fetch-Site": nil, "Sec-Fetch-Mode": nil, "Sec-Fetch-Dest": nil, "Sec-Fetch-User": nil}
	if r := old.Go(ua.Navigation{URL: w.Shop("/bff/login"), Header: none}); r.Status != http.StatusOK || old.Jar.Value(cookieName) == "" {
		t.Errorf("an old browser logs in: %s", r)
	}
	// Forged metadata buys nothing without a session.
	w.RS.Forget()
	w.WantProblem(w.NewAgent().Fetch(w.CallOf("GET", "/api/x")), http.StatusUnauthorized, "no_session")
	w.WantUpstream(0)
}

func TestFM_08_AnswersThatDifferSaySo(t *testing.T) {
	t.Parallel()
	covers(t, "FM-08")
	w := newWorld(t)
	for _, path := range []string{"/bff/login?returnTo=//e", "/bff/callback?state=x"} {
		page, problem := w.UA.Navigate(w.Shop(path)), w.Call("GET", path)
		if page.Header.Get("Content-Type") == problem.Header.Get("Content-Type") {
			t.Errorf("%s: a person and a script get the same", path)
		}
		for _, r := range []*ua.Response{page, problem} {
			if vary := strings.Join(r.Header.Values("Vary"), ","); !strings.Contains(vary, "Sec-Fetch-Mode") {
				t.Errorf("%s: Vary %q", r, vary)
			}
		}
	}
}
