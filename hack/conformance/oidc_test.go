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

// unpushed takes pushed authorization requests away.
func unpushed() option { return behaviour(func(b *as.Behaviour) { b.WithoutPAR = true }) }

// formPost has answers posted.
func formPost() option {
	return policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ResponseMode = v1alpha1.ResponseModeFormPost })
}

// allowing lets pages set parameters of the authorization request.
func allowing(parameters ...v1alpha1.LoginParameter) option {
	return policy(func(s *v1alpha1.BFFPolicySpec) { s.Login.AllowedParameters = parameters })
}

func TestOIDC_01_03_TheAuthorizationRequest(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-01", "OIDC-03")
	for name, test := range map[string]struct {
		options []option
		mode    string // the response_mode that is sent
	}{
		"plain":             {[]option{unpushed()}, ""},
		"pushed":            {nil, ""},
		"plain, form_post":  {[]option{unpushed(), formPost()}, "form_post"},
		"pushed, form_post": {[]option{formPost()}, "form_post"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.options...)
			w.WantLogin(w.LoginAt(w.UA, ""))
			request := w.asked()
			for parameter, want := range map[string]string{"response_type": "code", "redirect_uri": callbackURL, "client_id": clientID} {
				if got := request[parameter]; len(got) != 1 || got[0] != want {
					t.Errorf("%s=%q, want %s", parameter, got, want)
				}
			}
			if scope := strings.Split(request.Get("scope"), " "); !slices.Contains(scope, "openid") {
				t.Errorf("scope=%q", scope)
			}
			if request.Get("response_mode") != test.mode || request.Has("response_mode") != (test.mode != "") {
				t.Errorf("response_mode=%q, want %q", request["response_mode"], test.mode)
			}
		})
	}
	prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.Scopes = []string{"profile", "email"} })).WantNoStart("openid")
}

func TestOIDC_04_ABrokenResponseIsNoLogin(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-04")
	w := newWorld(t)
	for name, change := range map[string]func(response url.Values){
		"nothing but state":       func(r url.Values) { r.Del("code") },
		"an empty code":           func(r url.Values) { r.Set("code", "") },
		"an empty error":          func(r url.Values) { r.Del("code"); r.Set("error", "") },
		"code and error":          func(r url.Values) { r.Set("error", "access_denied") },
		"no state":                func(r url.Values) { r.Del("state") },
		"an empty state":          func(r url.Values) { r.Set("state", "") },
		"the state in lower case": func(r url.Values) { r.Set("state", strings.ToLower(r.Get("state"))) },
		"half the state":          func(r url.Values) { r.Set("state", r.Get("state")[:20]) },
	} {
		w.Case(name, func() {
			w.UA.Jar.Clear()
			w.AS.Change(func(b *as.Behaviour) { b.AuthorizeResponse = func(response, _ url.Values) { change(response) } })
			w.WantNoLogin(w.LoginAt(w.UA, ""))
			if n := len(w.AS.Requests(as.Token)); n != 0 {
				w.Errorf("%d token requests", n)
			}
		})
	}
	w.AS.Change(func(b *as.Behaviour) { b.AuthorizeResponse = nil })
	w.UA.Jar.Clear()
	w.WantLogin(w.LoginAt(w.UA, ""))
}

func TestOIDC_06_WithoutAnIDTokenThereIsNoLogin(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-06")
	w := newWorld(t, askingUserInfo())
	for name, change := range map[string]func(body map[string]any){
		"missing":  func(body map[string]any) { delete(body, "id_token") },
		"null":     func(body map[string]any) { body["id_token"] = nil },
		"empty":    func(body map[string]any) { body["id_token"] = "" },
		"a number": func(body map[string]any) { body["id_token"] = 7 },
		"a list":   func(body map[string]any) { body["id_token"] = []any{body["id_token"]} },
		"misspelt": func(body map[string]any) { body["ID_TOKEN"] = body["id_token"]; delete(body, "id_token") },
	} {
		w.Case(name, func() {
			w.UA.Jar.Clear()
			w.AS.Change(func(b *as.Behaviour) { b.TokenResponse = func(_ string, body map[string]any) { change(body) } })
			before := w.Rejected("id_token_missing")
			w.WantNoLogin(w.LoginAt(w.UA, ""))
			w.Eventually("the log gives the reason", func() bool { return w.Rejected("id_token_missing") > before })
		})
	}
	w.AS.Change(func(b *as.Behaviour) { b.TokenResponse = nil })
	w.UA.Jar.Clear()
	w.WantLogin(w.LoginAt(w.UA, ""))
}

func TestOIDC_10_AUserIsAnIssuerAndASubject(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-10")
	w := newWorld(t)
	login := func(a *ua.Agent, subject string) {
		w.AS.Change(func(b *as.Behaviour) {
			b.User = as.User{Subject: subject, Claims: map[string]any{"name": "Alice", "email": "alice@example.com", "email_verified": true, "preferred_username": "alice"}}
		})
		if r := w.LoginAt(a, ""); r.Status != http.StatusOK || !w.SessionAt(a).Authenticated {
			t.Fatalf("login: %s", r)
		}
	}
	// The same name, user name and address, in another case the same subject.
	subjects := []string{"alice", "Alice", "alice@example.com", "bob"}
	agents := map[string]*ua.Agent{}
	for _, subject := range subjects {
		agents[subject] = w.NewAgent()
		login(agents[subject], subject)
	}
	for i, gone := range subjects {
		response, body := w.BackChannel(w.AS.LogoutToken(func(claims, _ map[string]any) { claims["sub"] = gone }))
		if response.StatusCode != http.StatusOK {
			t.Fatalf("back-channel logout: %s %s", response.Status, body)
		}
		for j, subject := range subjects {
			if in := w.SessionAt(agents[subject]).Authenticated; in != (j > i) {
				t.Errorf("after the logout of %v, %s is logged in: %v", subjects[:i+1], subject, in)
			}
		}
	}
}

func TestOIDC_10_TheSameSubjectAtAnotherIssuerIsSomebodyElse(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-10")
	w := newWorld(t)
	w.Login()
	// Whether the cookie of that login is worth a session, whatever the browser does
	// with it.
	call := withCookie(w.CallOf("GET", "/bff/session"), w.Cookie())
	first := func() bool { return strings.Contains(w.NewAgent().Fetch(call).Body, `"authenticated":true`) }

	// The policy moves on to another provider, at which there is an alice too.
	other := as.Start(t, as.Options{Client: w.AS.Registered(), Leaks: w.Leaks})
	w.Repolicy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.IssuerURL = other.Issuer })
	w.Eventually("logins go to the other provider", func() bool {
		to := w.NewAgent().Go(ua.Navigation{URL: w.Shop("/bff/login"), From: w.Shop("/"), Stay: true}).Location()
		return to != nil && strings.HasPrefix(to.String(), other.Issuer)
	})
	second := w.NewAgent()
	if w.LoginAt(second, ""); !w.SessionAt(second).Authenticated {
		t.Fatal("not logged in at the other provider")
	}
	// The session of before is nobody's here, and its token goes nowhere.
	if first() {
		t.Error("alice of the first provider passes for alice of the other one")
	}
	w.WantProblem(w.Call("GET", "/api/x"), http.StatusUnauthorized)
	w.WantUpstream(0)
	other.Register(func(c *as.Client) {
		c.BackChannelLogoutURI, c.BackChannelAddress = w.Shop("/bff/backchannel-logout"), w.Replicas[0].Traffic
	})
	status, body, err := other.SendLogoutToken(other.LogoutToken(func(claims, _ map[string]any) { claims["sub"] = "alice" }))
	if err != nil || status != http.StatusOK {
		t.Fatalf("back-channel logout: %d %s, %v", status, body, err)
	}
	if w.SessionAt(second).Authenticated {
		t.Error("alice of the other provider is still logged in")
	}
	w.Repolicy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.IssuerURL = w.AS.Issuer })
	w.Eventually("alice of the first provider is logged in, whom the other one has not logged out", first)
	if violations := other.Violations(); len(violations) > 0 {
		t.Errorf("the other provider was sent what no specification allows: %q", violations)
	}
}

func TestOIDC_14_ASilentLoginThatNeedsTheUserEndsWhereItBegan(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-14")
	for _, options := range [][]option{{}, {formPost()}} {
		w := newWorld(t, append(options, allowing("prompt"))...)
		for _, code := range []string{"login_required", "interaction_required", "consent_required", "account_selection_required"} {
			w.AS.Change(func(b *as.Behaviour) {
				b.LoggedOut = true
				b.AuthorizeResponse = func(response, _ url.Values) { response.Set("error", code) }
			})
			silent := func() {
				w.AS.Forget()
				r := w.LoginAt(w.UA, "prompt=none&returnTo=/orders%3Fpage%3D2")
				if r.Status != http.StatusOK || r.URL.String() != shopURL+"/orders?page=2" {
					t.Errorf("%s: the browser ends at %s: %s", code, r.URL, r)
				}
				if n := len(w.AS.Requests(as.Authorize)); n != 1 {
					t.Errorf("%s: %d authorization requests, want one", code, n)
				}
				if n := len(w.AS.Requests(as.Token)); n != 0 {
					t.Errorf("%s: %d token requests", code, n)
				}
				for _, c := range w.UA.Jar.All() {
					if strings.HasPrefix(c.Name, transactions) {
						t.Errorf("%s: the transaction is still open", code)
					}
				}
			}
			w.UA.Jar.Clear()
			silent()
			if w.Cookie() != "" || w.Session().Authenticated {
				t.Errorf("%s: there is a session", code)
			}
			// Who has a session here keeps it.
			w.AS.Change(func(b *as.Behaviour) { b.LoggedOut, b.AuthorizeResponse = false, nil })
			w.Login()
			before := w.Cookie()
			w.AS.Change(func(b *as.Behaviour) {
				b.LoggedOut = true
				b.AuthorizeResponse = func(response, _ url.Values) { response.Set("error", code) }
			})
			silent()
			if w.Cookie() != before || !w.Session().Authenticated {
				t.Errorf("%s: the session has ended", code)
			}
		}
		w.UA.Jar.Clear()
		w.AS.Change(func(b *as.Behaviour) { b.LoggedOut, b.AuthorizeResponse = false, nil })
		w.WantLogin(w.LoginAt(w.UA, "prompt=none"))
	}
}

func TestOIDC_15_OfflineAccessAsksForConsent(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-15")
	scopes := func(names ...string) option {
		return policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.Scopes = names })
	}
	for name, test := range map[string]struct {
		options []option
		query   string
		want    []string
	}{
		"offline_access":               {[]option{scopes("openid", "offline_access")}, "", []string{"consent"}},
		"offline_access, not pushed":   {[]option{scopes("openid", "offline_access"), unpushed()}, "", []string{"consent"}},
		"no offline_access":            {[]option{scopes("openid", "profile")}, "", nil},
		"a silent login":               {[]option{scopes("openid", "offline_access")}, "prompt=none", []string{"none"}},
		"a page that asks for consent": {[]option{scopes("openid", "profile")}, "prompt=consent", []string{"consent"}},
		"the policy says it needs none": {[]option{scopes("openid", "offline_access"), policy(func(s *v1alpha1.BFFPolicySpec) {
			s.Provider.AuthorizationParameters = []v1alpha1.AuthorizationParameter{{Name: "prompt", Value: "select_account"}}
		})}, "", []string{"select_account"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(test.options, allowing("prompt"))...)
			w.WantLogin(w.LoginAt(w.UA, test.query))
			if got := strings.Fields(w.asked().Get("prompt")); !slices.Equal(got, test.want) {
				t.Errorf("prompt=%q, want %q", got, test.want)
			}
		})
	}
}
