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

func TestSEC_01_TheRedirectURIIsAlwaysTheSame(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-01", "OA-05")
	w := newWorld(t)
	for _, lines := range []string{
		"Host: shop.example.test\r\n", "Host: SHOP.example.test\r\n", "Host: attacker.test\r\n", "Host: shop.example.test:443\r\n",
		"Host: shop.example.test\r\nX-Forwarded-Host: attacker.test\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 81\r\nX-Forwarded-Prefix: /evil\r\nForwarded: host=attacker.test;proto=http\r\n",
	} {
		for _, target := range []string{"/bff/login", "/bff/login?redirect_uri=https://attacker.test/", "/bff/login?returnTo=/x&redirect_uri=https%3A%2F%2Fattacker.test"} {
			answer := w.UA.Raw(shopURL, "GET "+target+" HTTP/1.1\r\n"+lines+"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
			if strings.Contains(answer, "attacker") {
				t.Errorf("%s with\n%s leads to\n%s", target, lines, answer)
			}
			_, rest, _ := strings.Cut(answer, "Location: ")
			location, _, _ := strings.Cut(rest, "\r\n")
			if location == "" {
				continue // refused, which is fine
			}
			if u, err := url.Parse(location); err != nil || u.Query().Get("request_uri") == "" && u.Query().Get("redirect_uri") != callbackURL {
				t.Errorf("%s with\n%s leads to %s", target, lines, location)
			}
		}
	}
	w.Login()
	for _, r := range append(w.AS.Requests(as.PAR), w.AS.Grants("authorization_code")...) {
		if r.Form.Get("redirect_uri") != callbackURL {
			t.Errorf("redirect_uri=%s", r.Form.Get("redirect_uri"))
		}
	}
}

// elsewhere are return URLs that lead, or may be read as leading, to another
// origin or to script.
var elsewhere = []string{
	"//attacker.test", `/\attacker.test`, `\\attacker.test`, `\/attacker.test`, "/\t/attacker.test", "/\n/attacker.test", "/%09/attacker.test", "/%2f%2fattacker.test", "/%5cattacker.test",
	"https:attacker.test", "https:/attacker.test", "https://attacker.test", "http://shop.example.test/", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "blob:x", "file:///etc/passwd",
	"https://shop.example.test.attacker.test", "https://shop.example.test@attacker.test", "https://shop.example.test%23.attacker.test", `https://shop.example.test\@attacker.test`, "//shop.example.test@attacker.test/",
	"///attacker.test", "////attacker.test", "/.//attacker.test", "/..//attacker.test", "/x/..//attacker.test", "/x/../..//attacker.test", "./", "../x", "x", "?x", "#x", "/x\r\nSet-Cookie: a=b", "/x%0d%0aSet-Cookie: a=b", "\x00/x", "/\x00/attacker.test",
	"/\u2028/attacker.test", "\u3000//attacker.test", "/\uff0fattacker.test", "／／attacker.test", " //attacker.test", "\t//attacker.test", "/ /attacker.test", "//attacker%E3%80%82test", "/" + strings.Repeat("a", 8192), "",
	"/bff/logout", "/bff/login", "/bff/callback?code=x",
}

func TestSEC_02_NothingLeadsElsewhere(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-02")
	w := newWorld(t)
	w.Login()
	check := func(what string, r *ua.Response) {
		for _, hop := range append(r.Hops, r) {
			if hop.URL.Hostname() != hostOf(shopURL) {
				continue
			}
			location := hop.Header.Get("Location")
			if location != "" && !strings.HasPrefix(location, w.AS.Issuer+"/") {
				target := hop.Location()
				if target == nil || ua.OriginOf(target) != shopURL || strings.HasPrefix(location, "//") || strings.Contains(location, `\`) || strings.HasPrefix(strings.TrimLeft(target.Path, "/"), "attacker") && strings.HasPrefix(target.Path, "//") {
					t.Errorf("%s: leads to %q", what, location)
				}
			}
			if hop.Header.Get("Set-Cookie") == "a=b" || hop.Header.Get("Refresh") != "" {
				t.Errorf("%s: %v", what, hop.Header)
			}
			for _, attribute := range []string{`href="`, `url=`, `action="`, `src="`} {
				for rest := hop.Body; ; {
					_, after, found := strings.Cut(rest, attribute)
					if !found {
						break
					}
					value, _, _ := strings.Cut(after, `"`)
					if target, err := hop.URL.Parse(value); hop.URL.Path != "/" && (err != nil || ua.OriginOf(target) != shopURL && !strings.HasPrefix(value, w.AS.Issuer)) {
						t.Errorf("%s: the page %s leads to %q", what, hop.URL.Path, value)
					}
					rest = after
				}
			}
		}
		if host := r.URL.Hostname(); host != hostOf(shopURL) {
			t.Errorf("%s: the browser ends at %s", what, r.URL)
		}
	}
	a := w.NewAgent()
	for _, target := range elsewhere {
		escaped := url.QueryEscape(target)
		check("login to "+target, w.LoginAt(a, "returnTo="+escaped))
		check("twice, login to "+target, w.LoginAt(a, "returnTo=/x&returnTo="+escaped))
		for _, path := range []string{"/bff/logout?returnTo=", "/bff/logout?post_logout_redirect_uri=", "/bff/callback?state=x&returnTo=", "/bff/callback?error=access_denied&error_uri=", "/bff/login?iss=" + url.QueryEscape(w.AS.Issuer) + "&target_link_uri="} {
			check(path+target, a.Go(ua.Navigation{URL: w.Shop(path + escaped), From: w.Shop("/")}))
		}
	}
	// And what is of this site is reached.
	for _, target := range []string{"/orders?page=2&q=%20x", "/orders#top", "/%C3%BC"} {
		r := w.LoginAt(w.NewAgent(), "returnTo="+url.QueryEscape(target))
		if want, _ := url.Parse(target); r.URL.EscapedPath() != want.EscapedPath() || r.URL.RawQuery != want.RawQuery {
			t.Errorf("returnTo=%s has ended at %s", target, r.URL)
		}
	}
}

func TestSEC_03_ACallbackBelongsToOneBrowser(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-03", "SEC-06", "OIDC-04")
	w := newWorld(t)
	callback := callbackOf(w, w.NewAgent(), "")
	victim := w.NewAgent()
	for name, a := range map[string]*ua.Agent{"a browser without anything": victim, "one with a login of its own": w.NewAgent()} {
		if a != victim {
			callbackOf(w, a, "")
		}
		r := a.Go(ua.Navigation{URL: callback, From: attackerURL + "/"})
		if r.Status < 400 || a.Jar.Value(cookieName) != "" {
			t.Errorf("%s: %s", name, r)
		}
	}
	if n := len(w.AS.Requests(as.Token)); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

// callbackOf starts a login in a browser and returns the URL that the provider
// sends it back to, without going there.
func callbackOf(w *world, a *ua.Agent, query string) string {
	w.Helper()
	login := a.Go(ua.Navigation{URL: w.Shop("/bff/login?" + query), From: w.Shop("/"), Stay: true})
	if login.Location() == nil {
		w.Fatalf("login: %s", login)
	}
	answer := a.Go(ua.Navigation{URL: login.Location().String(), From: w.Shop("/"), Stay: true})
	if answer.Location() == nil {
		w.Fatalf("authorization request: %s", answer)
	}
	return answer.Location().String()
}

// spoiled is a callback URL with its parameters changed.
func spoiled(w *world, callback string, change func(url.Values)) string {
	w.Helper()
	u, err := url.Parse(callback)
	if err != nil {
		w.Fatal(err)
	}
	query := u.Query()
	change(query)
	u.RawQuery = query.Encode()
	return u.String()
}

func TestSEC_04_WithoutPKCEInTheMetadataAllThreeDefencesAreUsed(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-04", "OIDC-02")
	w := newWorld(t, behaviour(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) { delete(m, "code_challenge_methods_supported") }
	}))
	r := w.LoginAt(w.UA, "")
	w.WantLogin(r) // AS* demands state, nonce and PKCE
	for name, change := range map[string]func(url.Values){
		"state missing": func(v url.Values) { v.Del("state") }, "state empty": func(v url.Values) { v.Set("state", "") },
		"state wrong": func(v url.Values) { v.Set("state", flip(v.Get("state"))) },
	} {
		a := w.NewAgent()
		if r := a.Go(ua.Navigation{URL: spoiled(w, callbackOf(w, a, ""), change), From: w.AS.Issuer}); r.Status < 400 || a.Jar.Value(cookieName) != "" {
			t.Errorf("%s: %s", name, r)
		}
	}
	w.AS.Change(func(b *as.Behaviour) {
		b.IDToken = func(_ string, claims, _ map[string]any) string { claims["nonce"] = "other"; return "" }
	})
	a := w.NewAgent()
	if r := w.LoginAt(a, ""); r.Status < 400 || a.Jar.Value(cookieName) != "" {
		t.Errorf("nonce wrong: %s", r)
	}
}

func TestSEC_05_AStateIsGoodForOnce(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-05")
	w := newWorld(t)
	callback := callbackOf(w, w.UA, "")
	if r := w.UA.Go(ua.Navigation{URL: callback, From: w.AS.Issuer}); r.Status != http.StatusOK {
		t.Fatal(r)
	}
	before := len(w.AS.Requests(as.Token))
	if r := w.UA.Go(ua.Navigation{URL: callback, From: w.AS.Issuer}); r.Status < 400 {
		t.Errorf("again: %s", r)
	}
	if n := len(w.AS.Requests(as.Token)); n != before {
		t.Error("it was taken to the token endpoint again")
	}
	// A failed one is over as well.
	w.AS.Fault(as.Token, 1, http.StatusBadRequest)
	a := w.NewAgent()
	callback = callbackOf(w, a, "")
	a.Go(ua.Navigation{URL: callback, From: w.AS.Issuer})
	before = len(w.AS.Requests(as.Token))
	if r := a.Go(ua.Navigation{URL: callback, From: w.AS.Issuer}); r.Status < 400 || len(w.AS.Requests(as.Token)) != before {
		t.Errorf("after a failure: %s", r)
	}
}

func TestSEC_07_ACodeOfAnotherTransactionIsNoGood(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-07")
	w := newWorld(t)
	other := w.NewAgent()
	stolen, err := url.Parse(callbackOf(w, other, ""))
	if err != nil {
		t.Fatal(err)
	}
	mine := callbackOf(w, w.UA, "")
	r := w.UA.Go(ua.Navigation{URL: spoiled(w, mine, func(v url.Values) { v.Set("code", stolen.Query().Get("code")) }), From: w.AS.Issuer})
	w.WantNoLogin(r)
}

func TestSEC_08_EveryTransactionHasValuesOfItsOwn(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-08", "SEC-09", "OA-01", "OIDC-02")
	w := newWorld(t, behaviour(func(b *as.Behaviour) { b.WithoutPAR = true }))
	const logins = 1000
	seen := map[string]int{}
	for range logins {
		r := w.UA.Go(ua.Navigation{URL: w.Shop("/bff/login"), From: w.Shop("/"), Stay: true})
		query := r.Location().Query()
		if query.Get("code_challenge_method") != "S256" || len(query.Get("code_challenge")) != 43 {
			t.Fatalf("%s", r.Location())
		}
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			value := query.Get(name)
			if len(value) < 22 || len(value) > 64 {
				t.Fatalf("%s=%s has less than 128 bits, or more than 64 characters", name, value)
			}
			seen[value]++
		}
	}
	if len(seen) != 3*logins {
		t.Errorf("%d values are distinct, want %d", len(seen), 3*logins)
	}
	// Two tabs at once.
	w.UA.Jar.Clear()
	one, two := callbackOf(w, w.UA, "returnTo=/one"), callbackOf(w, w.UA, "returnTo=/two")
	for callback, path := range map[string]string{two: "/two", one: "/one"} {
		if r := w.UA.Go(ua.Navigation{URL: callback, From: w.AS.Issuer}); r.Status != http.StatusOK || r.URL.Path != path {
			t.Errorf("%s: %s at %s", path, r, r.URL)
		}
	}
	verifiers := map[string]bool{}
	for _, r := range w.AS.Grants("authorization_code") {
		verifiers[r.Form.Get("code_verifier")] = true // its form and fit are checked by AS*
	}
	if len(verifiers) != 2 {
		t.Errorf("%d verifiers for two logins", len(verifiers))
	}
}

func TestSEC_09_PlainPKCEIsNotForUs(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-09", "OA-02")
	w := newWorld(t, behaviour(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} }
	}))
	w.WantNoLogin(w.LoginAt(w.UA, ""))
	for _, r := range w.AS.Requests(as.Authorize) {
		if r.Param("code_challenge_method") == "plain" {
			t.Error("plain was used")
		}
	}
	refusing := newWorld(t, behaviour(func(b *as.Behaviour) {
		b.WithoutPAR = true
		b.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{as.Authorize: func(rw http.ResponseWriter, r *http.Request) bool {
			http.Redirect(rw, r, callbackURL+"?"+url.Values{"error": {"invalid_request"}, "error_description": {"transform algorithm not supported"}, "state": {r.URL.Query().Get("state")}}.Encode(), http.StatusFound)
			return true
		}}
	}))
	r := refusing.LoginAt(refusing.UA, "")
	refusing.WantNoLogin(r)
	if n := len(refusing.AS.Requests(as.Authorize)); n != 1 {
		t.Errorf("%d authorization requests, want one", n)
	}
}

func TestSEC_10_NoTokenIsUsedBeforeTheNonceWasChecked(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-10")
	for name, nonce := range map[string]any{"wrong": "other", "missing": nil, "empty": "", "a number": 1} {
		w := newWorld(t,
			policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.UserInfo = v1alpha1.Enabled }),
			behaviour(func(b *as.Behaviour) {
				b.IDToken = func(_ string, claims, _ map[string]any) string {
					claims["nonce"] = nonce
					if nonce == nil {
						delete(claims, "nonce")
					}
					return ""
				}
			}))
		t.Log(name)
		w.WantNoLogin(w.LoginAt(w.UA, ""))
	}
}

func TestSEC_11_TokensInTheFrontChannelAreIgnored(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-11", "OA-04")
	w := newWorld(t)
	add := func(v url.Values) {
		v.Set("access_token", "front-channel-token")
		v.Set("id_token", "x.y.z")
		v.Set("token_type", "Bearer")
	}
	r := w.UA.Go(ua.Navigation{URL: spoiled(w, callbackOf(w, w.UA, ""), func(v url.Values) { add(v); v.Del("code") }), From: w.AS.Issuer})
	w.WantNoLogin(r)
	// Beside a code they are unknown parameters at most.
	r = w.UA.Go(ua.Navigation{URL: spoiled(w, callbackOf(w, w.UA, ""), add), From: w.AS.Issuer})
	if r.Status < 400 {
		w.Call("GET", "/api/x")
		if got := w.RS.Last(); got == nil || strings.Contains(got.Head, "front-channel") {
			t.Errorf("the API was sent %v", got)
		}
	}
}

func TestSEC_12_13_14_MixUp(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-12", "SEC-13", "SEC-14", "BFF-43")
	// Two providers: A is honest, and the one that this policy names, B, says that
	// A's authorization endpoint is its own.
	w := prepare(t, mayViolate(), behaviour(func(b *as.Behaviour) { b.WithoutPAR = true }))
	honest := as.Start(t, as.Options{Client: w.AS.Registered(), Leaks: w.Leaks})
	w.AS.Change(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) { m["authorization_endpoint"] = honest.URL(as.Authorize) }
	})
	w.Start() // which may read the metadata at once
	r := w.LoginAt(w.UA, "")
	w.WantNoLogin(r)
	if len(honest.Requests(as.Authorize)) == 0 {
		t.Fatal("the browser was not sent to the other provider")
	}
	if n := len(w.AS.Requests(as.Token)) + len(honest.Requests(as.Token)); n != 0 {
		t.Errorf("%d token requests: a code of one provider went to another", n)
	}

	mixed := newWorld(t)
	for _, issuer := range []string{"https://other.test", honest.Issuer, mixed.AS.Issuer + "/", strings.ToUpper(mixed.AS.Issuer), ""} {
		a := mixed.NewAgent()
		r := a.Go(ua.Navigation{URL: spoiled(mixed, callbackOf(mixed, a, ""), func(v url.Values) { v.Set("iss", issuer) }), From: mixed.AS.Issuer})
		if r.Status < 400 || a.Jar.Value(cookieName) != "" {
			t.Errorf("iss=%s: %s", issuer, r)
		}
	}
	if n := len(mixed.AS.Requests(as.Token)); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

func TestSEC_22_EndpointsFollowTheMetadata(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-22")
	w := newWorld(t) // AS* has paths that nobody can guess
	w.Login()
	if len(w.AS.Requests(as.Token)) != 1 || len(w.AS.Requests(as.JWKS)) == 0 {
		t.Error("the endpoints of the metadata were not used")
	}
}

func TestSEC_23_TheCallbackNeedsHTTPS(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-23")
	for _, public := range []string{"http://shop.example.test", "http://10.0.0.1", "http://localhost.example.test", "http://127.0.0.1.example.test"} {
		prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.PublicURL = public })).WantNoStart("spec.publicURL", "https")
	}
}

func TestSEC_27_AfterAPostComes303(t *testing.T) {
	t.Parallel()
	covers(t, "SEC-27")
	w := newWorld(t)
	w.Login()
	r := w.UA.Go(ua.Navigation{URL: w.Shop("/bff/logout"), From: w.Shop("/"), Form: url.Values{}, Stay: true})
	if r.Status != http.StatusSeeOther {
		t.Errorf("logout by a form: %s", r)
	}
	posted := newWorld(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ResponseMode = v1alpha1.ResponseModeFormPost }))
	login := posted.Login()
	callback := login.Hop("/bff/callback")
	if callback == nil || callback.Request.Method != http.MethodPost || callback.Status == http.StatusTemporaryRedirect || callback.Status == http.StatusPermanentRedirect {
		t.Errorf("form_post: the callback is %s", callback)
	}
}
