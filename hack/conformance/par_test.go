//go:build conformance

package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/ua"
)

// pushing sets when the authorization request is pushed.
func pushing(mode v1alpha1.PushedAuthorizationRequests) option {
	return policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.PushedAuthorizationRequests = mode })
}

// pushAnswer has the PAR endpoint answer in this way and no other.
func (w *world) pushAnswer(status int, body string, header http.Header) {
	w.AS.Change(func(b *as.Behaviour) {
		b.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{as.PAR: func(rw http.ResponseWriter, _ *http.Request) bool {
			for name, values := range header {
				rw.Header()[name] = values
			}
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(body)) // to our own test
			return true
		}}
	})
}

// begun begins a login and returns where the browser is sent.
func (w *world) begun(a *ua.Agent, query string) *url.URL {
	w.Helper()
	r := a.Go(ua.Navigation{URL: w.Shop("/bff/login" + query), From: w.Shop("/"), Stay: true})
	if r.Status != http.StatusSeeOther || r.Location() == nil {
		w.Fatalf("the login does not begin: %s", r)
	}
	return r.Location()
}

func TestPAR_01_02_04_06_ARequestIsPushedWhole(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-01", "PAR-02", "PAR-04", "PAR-06")
	w := newWorld(t, secureProvider(), policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Login.AllowedParameters = []v1alpha1.LoginParameter{"login_hint"}
	}))
	const hint = "jörg+töst@example.com"
	w.WantLogin(w.LoginAt(w.UA, url.Values{"login_hint": {hint}}.Encode()))

	pushed, exchange, authorized := w.AS.Last(as.PAR), w.AS.Last(as.Token), w.AS.Last(as.Authorize)
	if pushed.Method != http.MethodPost || pushed.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(pushed.Query) > 0 {
		t.Errorf("%s with %q and %d parameters in the URL", pushed.Method, pushed.Header.Get("Content-Type"), len(pushed.Query))
	}
	if pushed.Header.Get("Authorization") == "" || pushed.Header.Get("Authorization") != exchange.Header.Get("Authorization") {
		t.Error("the client authenticates otherwise than at the token endpoint")
	}
	for name, want := range map[string]string{"client_id": clientID, "response_type": "code", "redirect_uri": callbackURL, "code_challenge_method": "S256", "login_hint": hint} {
		if got := pushed.Form.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"scope", "state", "nonce", "code_challenge"} {
		if pushed.Form.Get(name) == "" {
			t.Errorf("%s is not pushed", name)
		}
	}
	if pushed.Form.Has("request_uri") {
		t.Error("request_uri is pushed")
	}
	if len(authorized.Query) != 2 || authorized.Query.Get("client_id") != clientID || authorized.Query.Get("request_uri") == "" {
		t.Errorf("the browser carries %v, want client_id and request_uri alone", authorized.Query)
	}

	// What protects a login is new in each.
	w.begun(w.NewAgent(), "")
	again := w.AS.Last(as.PAR)
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if again.Form.Get(name) == pushed.Form.Get(name) {
			t.Errorf("%s is used twice", name)
		}
	}
}

func TestPAR_01_NothingIsPushedInClear(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-01")
	inClear := rs.Start(t, rs.Options{})
	advertised := behaviour(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) { m["pushed_authorization_request_endpoint"] = inClear.URL + "/par" }
	})
	for _, mode := range []v1alpha1.PushedAuthorizationRequests{v1alpha1.PushAuto, v1alpha1.PushRequired} {
		w := newWorld(t, secureProvider(), advertised, pushing(mode))
		if r := w.LoginAt(w.UA, ""); mode == v1alpha1.PushRequired {
			w.WantNoLogin(r)
		} else {
			w.WantLogin(r)
		}
		if n := len(inClear.Requests()); n != 0 {
			t.Errorf("%s: %d requests without TLS", mode, n)
		}
	}
}

func TestPAR_03_TheNameOfARequestIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-03")
	for name, uri := range map[string]string{
		"a URN":               "urn:example:bwc4JK-ESC0w8acc191e-Y1LTC2",
		"2 kB":                "urn:example:" + strings.Repeat("x", 2000),
		"reserved characters": "urn:example:a+b/c?d=e&f=g;h#i%2Fj k",
		"https with a query":  "https://id.provider.test/requests?id=1&client_id=other&x=%26",
		"not ASCII":           "urn:example:größe",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, pushing(v1alpha1.PushRequired), behaviour(func(b *as.Behaviour) {
				b.PushResponse = func(body map[string]any) { body["request_uri"] = uri }
			}))
			w.WantLogin(w.LoginAt(w.UA, ""))
			if got := w.AS.Last(as.Authorize).Query; got.Get("request_uri") != uri || len(got) != 2 {
				t.Errorf("the browser carries %v", got)
			}
		})
	}
}

func TestPAR_03_WhatIsNotCreatedIsNotUsed(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-03")
	w := newWorld(t, pushing(v1alpha1.PushRequired))
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"another status":  {http.StatusOK, `{"request_uri":"urn:example:x","expires_in":60}`},
		"no content":      {http.StatusNoContent, ``},
		"a redirect":      {http.StatusSeeOther, `{"request_uri":"urn:example:x","expires_in":60}`},
		"no request_uri":  {http.StatusCreated, `{"expires_in":60}`},
		"an empty one":    {http.StatusCreated, `{"request_uri":"","expires_in":60}`},
		"a number":        {http.StatusCreated, `{"request_uri":7,"expires_in":60}`},
		"no JSON":         {http.StatusCreated, `request_uri=urn:example:x`},
		"nothing":         {http.StatusCreated, ``},
		"an error in 201": {http.StatusCreated, `{"error":"invalid_request"}`},
	} {
		w.pushAnswer(answer.status, answer.body, http.Header{"Location": {w.RS.URL + "/"}})
		if r := w.LoginAt(w.NewAgent(), ""); r.Status < 400 || r.URL.Host != hostOf(shopURL) {
			t.Errorf("%s: %s", name, r)
		}
	}
	if n := len(w.AS.Requests(as.Authorize)); n != 0 {
		t.Errorf("%d authorization requests", n)
	}
	w.WantUpstream(0)
}

func TestPAR_05_EveryLoginIsPushedAnew(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-05")
	w := newWorld(t)
	seen := map[string]bool{}
	for range 3 { // the third time by the browser's back and forward
		page := w.UA.Go(ua.Navigation{URL: w.Shop("/bff/login"), From: w.Shop("/"), Stay: true})
		if page.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("a browser may keep the redirect: Cache-Control %q", page.Header.Get("Cache-Control"))
		}
		seen[page.Location().Query().Get("request_uri")] = true
	}
	// One that the provider has refused is not tried again.
	w.AS.Change(func(b *as.Behaviour) {
		b.AuthorizeResponse = func(response, _ url.Values) { response.Del("code"); response.Set("error", "server_error") }
	})
	if r := w.LoginAt(w.UA, ""); r.Status < 400 {
		t.Errorf("%s", r)
	}
	w.AS.Change(func(b *as.Behaviour) { b.AuthorizeResponse = nil })
	w.WantLogin(w.LoginAt(w.UA, ""))
	for _, r := range w.AS.Requests(as.Authorize) {
		seen[r.Query.Get("request_uri")] = true
	}
	if n := len(w.AS.Requests(as.PAR)); len(seen) != 5 || n != 5 {
		t.Errorf("%d different request_uri of %d pushes, want 5 of 5", len(seen), n)
	}
}

func TestPAR_06_AnotherBrowsersRequestLogsNobodyIn(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-06")
	w := newWorld(t)
	attacker := w.NewAgent()
	swapped := w.begun(attacker, "")
	w.begun(w.UA, "") // a login of the user's own is open
	w.WantNoLogin(w.UA.Navigate(swapped.String()))
	if n := len(w.AS.Requests(as.Token)); n != 0 {
		t.Errorf("%d codes were redeemed", n)
	}
}

func TestPAR_07_PolicyAndProviderDecideTogether(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-07")
	without := func(b *as.Behaviour) { b.WithoutPAR = true }
	required := func(b *as.Behaviour) { b.RequirePAR = true }
	both := func(b *as.Behaviour) {
		b.WithoutPAR = true
		b.Metadata = func(m map[string]any) { m["require_pushed_authorization_requests"] = true }
	}
	offered := func(*as.Behaviour) {}
	const pushed, plain, refused = "pushed", "plain", "refused"
	for _, test := range []struct {
		mode     v1alpha1.PushedAuthorizationRequests
		provider func(*as.Behaviour)
		want     string
	}{
		{"", offered, pushed}, {v1alpha1.PushAuto, offered, pushed}, {v1alpha1.PushAuto, without, plain}, {v1alpha1.PushAuto, required, pushed}, {v1alpha1.PushAuto, both, refused},
		{v1alpha1.PushRequired, offered, pushed}, {v1alpha1.PushRequired, without, refused}, {v1alpha1.PushRequired, required, pushed},
		{v1alpha1.PushDisabled, offered, plain}, {v1alpha1.PushDisabled, without, plain}, {v1alpha1.PushDisabled, required, refused},
	} {
		w := newWorld(t, pushing(test.mode), behaviour(test.provider))
		r := w.LoginAt(w.UA, "")
		got := refused
		switch authorized := w.AS.Last(as.Authorize); {
		case authorized != nil && authorized.Query.Has("request_uri"):
			got = pushed
		case authorized != nil:
			got = plain
		}
		if got != test.want || len(w.AS.Requests(as.PAR)) > 1 {
			t.Errorf("%s: %s with %d pushes, want %s: %s", test.mode, got, len(w.AS.Requests(as.PAR)), test.want, r)
		}
		if test.want == refused {
			w.WantNoLogin(r)
		} else {
			w.WantLogin(r)
		}
	}
}

func TestPAR_07_09_ARefusedPush(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-07", "PAR-09")
	demanded := behaviour(func(b *as.Behaviour) { b.RequirePAR = true })
	for name, agreement := range map[string]struct {
		options []option
		plain   []int // statuses after which the parameters go with the browser
	}{
		"required by the policy":   {[]option{pushing(v1alpha1.PushRequired)}, nil},
		"required by the provider": {[]option{demanded}, nil},
		"available":                {nil, []int{400, 401, 403, 404, 405, 413}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, agreement.options...)
			for _, status := range []int{400, 401, 403, 404, 405, 413, 429, 500, 502, 503} {
				w.AS.Forget()
				w.pushAnswer(status, `{"error":"invalid_request","error_description":"MARKER <b>of the provider</b>"}`, nil)
				r := w.LoginAt(w.NewAgent(), "")
				wants := 0
				if slices.Contains(agreement.plain, status) {
					wants = 1
				}
				if pushes, authorized := len(w.AS.Requests(as.PAR)), len(w.AS.Requests(as.Authorize)); pushes != 1 || authorized != wants {
					t.Errorf("%d: %d pushes and %d authorization requests, want 1 and %d", status, pushes, authorized, wants)
				}
				if wants == 0 && (r.Status < 400 || r.URL.Host != hostOf(shopURL) || !strings.Contains(r.Header.Get("Content-Type"), "text/html") || strings.Contains(r.Body, "MARKER")) {
					t.Errorf("%d: %s of %s", status, r, r.Header.Get("Content-Type"))
				}
			}
			w.AS.Change(func(b *as.Behaviour) { b.Answer = nil })
			w.WantLogin(w.LoginAt(w.UA, "")) // nothing is remembered of it
		})
	}
}

func TestPAR_09_TheUserIsToldWhenToComeBack(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-09")
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		w := newWorld(t)
		w.pushAnswer(status, `{"error":"temporarily_unavailable"}`, http.Header{"Retry-After": {"77"}})
		r := w.LoginAt(w.UA, "")
		w.WantNoLogin(r)
		if wait, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || wait < 70 || wait > 77 {
			t.Errorf("%d: Retry-After %q, the provider said 77", status, r.Header.Get("Retry-After"))
		}
	}
}

func TestPAR_08_AnAssertionIsForTheIssuer(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-08", "JWTA-03", "PAR-01")
	w := newWorld(t, newClientKey(t).option(), pushing(v1alpha1.PushRequired))
	w.Login()
	for _, r := range []*as.Request{w.AS.Last(as.PAR), w.AS.Last(as.Token)} {
		header, claims := w.assertion(r)
		if claims["aud"] != w.AS.Issuer || header["kid"] != "client-key-1" {
			t.Errorf("%s: aud is %v, kid is %v", r.Endpoint, claims["aud"], header["kid"])
		}
	}
}

func TestPAR_10_TheKeyIsToldOnThePush(t *testing.T) {
	t.Parallel()
	covers(t, "PAR-10", "DPOP-18")
	w := newWorld(t, bound(), pushing(v1alpha1.PushRequired))
	w.Login()
	pushed, exchange := w.AS.Last(as.PAR), w.AS.Last(as.Token)
	key := w.thumbprint(exchange)
	if pushed.Form.Get("dpop_jkt") != key {
		t.Errorf("dpop_jkt is %q, the token was asked for with %q", pushed.Form.Get("dpop_jkt"), key)
	}
	if pushed.Header.Get("DPoP") != "" && w.thumbprint(pushed) != key {
		t.Error("dpop_jkt and the proof on the push are of different keys")
	}
	if token := w.AS.Tokens()[0]; token.Thumbprint != key {
		t.Errorf("the token is bound to %q, want %q", token.Thumbprint, key)
	}
}
