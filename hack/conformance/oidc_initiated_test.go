//go:build conformance

package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// initiate has another site send a browser to log in here, by a link or by a
// form (OpenID Connect Core section 4).
func (w *world) initiate(a *ua.Agent, post bool, parameters url.Values) *ua.Response {
	w.Helper()
	if post {
		return a.Go(ua.Navigation{URL: w.Shop("/bff/login"), From: attackerURL + "/", Form: parameters})
	}
	return a.Go(ua.Navigation{URL: w.Shop("/bff/login?" + parameters.Encode()), From: attackerURL + "/"})
}

func TestOIDC_16_AThirdPartyMayInitiateALogin(t *testing.T) {
	t.Parallel()
	// Module oidcc-client-test-3rd-party-init-login.
	covers(t, "OIDC-16", "CT-35")
	for name, options := range map[string][]option{"query": nil, "form_post": {formPost()}} {
		for _, post := range []bool{false, true} {
			t.Run(map[bool]string{false: "GET, ", true: "POST, "}[post]+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, append(slices.Clone(options), askingUserInfo())...)
				w.WantLogin(w.initiate(w.UA, post, url.Values{"iss": {w.AS.Issuer}}))
				if n := len(w.AS.Requests(as.UserInfo)); n != 1 {
					t.Errorf("UserInfo was asked %d times, want once", n)
				}
				w.UA.Jar.Clear()
				r := w.initiate(w.UA, post, url.Values{
					"iss": {w.AS.Issuer}, "login_hint": {"alice@example.com"}, "target_link_uri": {w.Shop("/orders?page=2#top")},
					"lti_message_hint": {"x"}, "client_id": {"other"}, "unknown": {"a", "b"}, "returnTo": {"/elsewhere"},
				})
				w.WantLogin(r)
				if r.URL.String() != w.Shop("/orders?page=2#top") {
					t.Errorf("the browser ends at %s", r.URL)
				}
				if got := w.asked()["login_hint"]; !slices.Equal(got, []string{"alice@example.com"}) {
					t.Errorf("login_hint=%q", got)
				}
			})
		}
	}
}

func TestOIDC_16_ALoginAtAnotherProviderIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-16")
	w := newWorld(t)
	for _, post := range []bool{false, true} {
		for name, issuers := range map[string][]string{
			"another": {"https://other.test"}, "with a slash": {w.AS.Issuer + "/"}, "in capitals": {strings.ToUpper(w.AS.Issuer)},
			"empty": {""}, "twice": {w.AS.Issuer, w.AS.Issuer}, "with another": {w.AS.Issuer, "https://other.test"}, "missing": nil,
		} {
			if !post && issuers == nil {
				continue // that is a page of ours
			}
			r := w.initiate(w.NewAgent(), post, url.Values{"iss": issuers, "login_hint": {"alice"}})
			if r.Status != http.StatusBadRequest || strings.Contains(r.Body, "other.test") {
				t.Errorf("%s, POST %v: %s", name, post, r)
			}
		}
	}
	if n := len(w.AS.Requests(as.Authorize)) + len(w.AS.Requests(as.PAR)); n != 0 {
		t.Errorf("%d authorization requests", n)
	}
}

func TestOIDC_17_TargetLinksLeadNowhereElse(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-17")
	w := newWorld(t)
	links := slices.Clone(elsewhere)
	for _, path := range elsewhere {
		links = append(links, shopURL+path) // such as https://shop.example.test.attacker.test, or with //attacker.test as its path
	}
	links = append(links, siblingURL+"/", "http://shop.example.test/", "https://shop.example.test:444/", "https://shop.example.test:/x", "HTTPS://shop.example.test/",
		"https://SHOP.example.test/", "https://alice@shop.example.test/", "https://shop.example.test./", "wss://shop.example.test/", " "+shopURL+"/", "https:///shop.example.test/")
	good := map[string]string{
		"": "/", shopURL: "/", shopURL + "?x": "/?x", shopURL + "#x": "/#x", shopURL + "/orders/%C3%BC?a=//b": "/orders/%C3%BC?a=//b",
		// Of our own endpoints nobody comes back from a login to one.
		shopURL + "/bff/logout": "/", shopURL + "/bff/login": "/", shopURL + "/bff/callback?code=x": "/",
	}
	for _, post := range []bool{false, true} {
		for _, link := range links {
			if _, fine := good[link]; fine {
				continue
			}
			r := w.initiate(w.NewAgent(), post, url.Values{"iss": {w.AS.Issuer}, "target_link_uri": {link}})
			if r.Status != http.StatusBadRequest {
				t.Errorf("%q, POST %v: %s at %s", link, post, r, r.URL)
			}
		}
		if r := w.initiate(w.NewAgent(), post, url.Values{"iss": {w.AS.Issuer}, "target_link_uri": {shopURL + "/", attackerURL + "/"}}); r.Status != http.StatusBadRequest {
			t.Errorf("two links: %s", r)
		}
	}
	if n := len(w.AS.Requests(as.Authorize)) + len(w.AS.Requests(as.PAR)); n != 0 {
		t.Errorf("%d authorization requests", n)
	}
	for link, want := range good {
		if r := w.initiate(w.NewAgent(), false, url.Values{"iss": {w.AS.Issuer}, "target_link_uri": {link}}); r.Status != http.StatusOK || r.URL.String() != shopURL+want {
			t.Errorf("%q: %s at %s", link, r, r.URL)
		}
	}
}

func TestOIDC_18_ALinkShapesNoRequestAndIsNotFramed(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-18")
	w := newWorld(t, allowing("prompt", "login_hint", "acr_values", "max_age", "ui_locales"))
	w.WantLogin(w.LoginAt(w.UA, ""))
	usual := w.asked()
	for _, post := range []bool{false, true} {
		a := w.NewAgent()
		r := w.initiate(a, post, url.Values{
			"iss": {w.AS.Issuer}, "scope": {"openid admin"}, "acr_values": {"0"}, "prompt": {"none"}, "max_age": {"999999"}, "ui_locales": {"xx"},
			"redirect_uri": {attackerURL}, "response_type": {"token"}, "response_mode": {"fragment"}, "client_id": {"evil"}, "state": {"evil"}, "nonce": {"evil"},
			"code_challenge": {"evil"}, "code_challenge_method": {"plain"}, "resource": {"https://evil.test/"}, "claims": {"{}"}, "request": {"x"}, "request_uri": {"urn:x"},
			"id_token_hint": {"x"}, "display": {"touch"},
		})
		if r.Status != http.StatusOK || a.Jar.Value(cookieName) == "" {
			t.Errorf("POST %v: %s", post, r)
		}
		request := w.asked()
		for _, fresh := range []string{"state", "nonce", "code_challenge"} {
			if len(request[fresh]) != 1 || request.Get(fresh) == "evil" || request.Get(fresh) == usual.Get(fresh) {
				t.Errorf("POST %v: %s=%q", post, fresh, request[fresh])
			}
			request[fresh] = usual[fresh]
		}
		if request.Encode() != usual.Encode() {
			t.Errorf("POST %v: the request is\n%s, usually it is\n%s", post, request.Encode(), usual.Encode())
		}
		initiation := r.Hop("/bff/login")
		policy := initiation.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "frame-ancestors 'none'") || initiation.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("POST %v: the page that goes on may be framed: %v", post, initiation.Header)
		}
		framed := w.NewAgent()
		frame := ua.Navigation{URL: w.Shop("/bff/login?iss=" + url.QueryEscape(w.AS.Issuer)), From: attackerURL + "/", Frame: true}
		if post {
			frame.URL, frame.Form = w.Shop("/bff/login"), url.Values{"iss": {w.AS.Issuer}}
		}
		before := len(w.AS.Requests(as.Authorize))
		if r := framed.Go(frame); r.Status < 400 || len(w.AS.Requests(as.Authorize)) != before {
			t.Errorf("POST %v, framed: %s", post, r)
		}
	}
}

// What the policy demands of every login, a link cannot lessen.
func TestOIDC_18_ALinkCannotLessenThePolicy(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-18")
	w := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Login.AllowedParameters, s.Login.ACRValues = []v1alpha1.LoginParameter{"acr_values"}, []string{"2"}
	}))
	r := w.initiate(w.UA, false, url.Values{"iss": {w.AS.Issuer}, "acr_values": {"1"}})
	w.WantLogin(r)
	if got := w.asked().Get("acr_values"); got != "2" {
		t.Errorf("the provider was asked for acr_values=%q", got)
	}
}
