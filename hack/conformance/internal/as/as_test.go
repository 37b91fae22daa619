package as_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

const callback = "https://app.test/callback"

func start(t *testing.T) *as.Server {
	t.Helper()
	return as.Start(t, as.Options{Client: as.Client{ID: "app", Secret: "MARKER-app-secret", Method: "client_secret_basic",
		RedirectURIs: []string{callback}, PostLogoutRedirectURIs: []string{"https://app.test/"}}})
}

// client is an independent relying party: what AS* is held against.
type client struct {
	t        *testing.T
	provider *oidc.Provider
	config   oauth2.Config
}

func newClient(t *testing.T, s *as.Server) *client {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), s.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return &client{t, provider, oauth2.Config{ClientID: "app", ClientSecret: "MARKER-app-secret", RedirectURL: callback, Endpoint: endpoint,
		Scopes: []string{"openid", "offline_access"}}}
}

// authorize goes through the authorization endpoint and returns what comes back.
func (c *client) authorize(verifier string, options ...oauth2.AuthCodeOption) url.Values {
	c.t.Helper()
	target := c.config.AuthCodeURL("state-0123456789", append([]oauth2.AuthCodeOption{oidc.Nonce("nonce-0123456789"), oauth2.S256ChallengeOption(verifier)}, options...)...)
	r := get(c.t, target)
	location, err := r.Location()
	if err != nil {
		c.t.Fatalf("%s: %s", r.Status, r.body)
	}
	if !strings.HasPrefix(location.String(), callback+"?") {
		c.t.Fatalf("sent back to %s", location)
	}
	return location.Query()
}

type response struct {
	*http.Response
	body string
}

func get(t *testing.T, target string) response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, request)
}

func post(t *testing.T, target string, form url.Values, change func(*http.Request)) response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(request)
	}
	return do(t, request)
}

func do(t *testing.T, request *http.Request) response {
	t.Helper()
	r, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{r, string(body)}
}

func TestAnIndependentClientGetsThroughEverything(t *testing.T) {
	s := start(t)
	c := newClient(t, s)
	verifier := oauth2.GenerateVerifier()
	answer := c.authorize(verifier)
	if answer.Get("state") != "state-0123456789" || answer.Get("iss") != s.Issuer {
		t.Errorf("%v", answer)
	}
	tokens, err := c.config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := c.provider.Verifier(&oidc.Config{ClientID: "app"}).Verify(t.Context(), raw)
	if err != nil || idToken.Nonce != "nonce-0123456789" || idToken.Subject != "alice" {
		t.Fatalf("%+v, %v", idToken, err)
	}
	if err := idToken.VerifyAccessToken(tokens.AccessToken); err != nil {
		t.Error(err)
	}
	info, err := c.provider.UserInfo(t.Context(), oauth2.StaticTokenSource(tokens))
	if err != nil || info.Subject != "alice" {
		t.Errorf("%v, %v", info, err)
	}
	expired := *tokens
	expired.Expiry = time.Now().Add(-time.Minute)
	renewed, err := c.config.TokenSource(t.Context(), &expired).Token()
	if err != nil || renewed.AccessToken == tokens.AccessToken || renewed.RefreshToken == tokens.RefreshToken {
		t.Errorf("%v", err)
	}
	basic := func(r *http.Request) { r.SetBasicAuth("app", "MARKER-app-secret") }
	if r := post(t, s.URL(as.Revocation), url.Values{"token": {renewed.RefreshToken}}, basic); r.StatusCode != http.StatusOK {
		t.Errorf("revocation: %s", r.Status)
	}
	if _, live := s.TokenInfo(renewed.AccessToken); live {
		t.Error("the access token has survived the revocation")
	}
	r := post(t, s.URL(as.EndSession), url.Values{"id_token_hint": {raw}, "post_logout_redirect_uri": {"https://app.test/"}, "state": {"s"}}, nil)
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "https://app.test/?state=s" {
		t.Errorf("logout: %s to %s", r.Status, r.Header.Get("Location"))
	}
	if v := s.Violations(); len(v) != 0 {
		t.Errorf("violations: %q", v)
	}
	for _, secret := range []string{tokens.AccessToken, tokens.RefreshToken, raw, answer.Get("code"), verifier} {
		if len(s.Leaks.InBrowser("x"+secret+"x")) == 0 {
			t.Errorf("the leak scan does not know %.20s…", secret)
		}
	}
}

func TestWhatIsWrongIsRefusedAndWrittenDown(t *testing.T) {
	basic := func(r *http.Request) { r.SetBasicAuth("app", "MARKER-app-secret") }
	for name, attempt := range map[string]func(*testing.T, *as.Server, *client) response{
		"code used twice": func(t *testing.T, _ *as.Server, c *client) response {
			verifier := oauth2.GenerateVerifier()
			code := c.authorize(verifier).Get("code")
			if _, err := c.config.Exchange(context.Background(), code, oauth2.VerifierOption(verifier)); err != nil {
				t.Fatal(err)
			}
			return post(t, c.config.Endpoint.TokenURL, exchange(code, verifier), basic)
		},
		"no client authentication": func(t *testing.T, _ *as.Server, c *client) response {
			verifier := oauth2.GenerateVerifier()
			return post(t, c.config.Endpoint.TokenURL, exchange(c.authorize(verifier).Get("code"), verifier), nil)
		},
		"two methods": func(t *testing.T, _ *as.Server, c *client) response {
			verifier := oauth2.GenerateVerifier()
			form := exchange(c.authorize(verifier).Get("code"), verifier)
			form.Set("client_secret", "MARKER-app-secret")
			return post(t, c.config.Endpoint.TokenURL, form, basic)
		},
		"wrong secret": func(t *testing.T, _ *as.Server, c *client) response {
			return post(t, c.config.Endpoint.TokenURL, exchange("x", "y"), func(r *http.Request) { r.SetBasicAuth("app", "no") })
		},
		"duplicate parameter": func(t *testing.T, _ *as.Server, c *client) response {
			form := exchange("x", "y")
			form.Add("code", "z")
			return post(t, c.config.Endpoint.TokenURL, form, basic)
		},
		"other redirect_uri": func(t *testing.T, _ *as.Server, c *client) response {
			verifier := oauth2.GenerateVerifier()
			form := exchange(c.authorize(verifier).Get("code"), verifier)
			form.Set("redirect_uri", callback+"/")
			return post(t, c.config.Endpoint.TokenURL, form, basic)
		},
		"password grant": func(t *testing.T, _ *as.Server, c *client) response {
			return post(t, c.config.Endpoint.TokenURL, url.Values{"grant_type": {"password"}, "username": {"a"}, "password": {"b"}}, basic)
		},
		"redirect_uri not registered": func(t *testing.T, _ *as.Server, c *client) response {
			c.config.RedirectURL = "https://evil.test/"
			return get(t, c.config.AuthCodeURL("state", oidc.Nonce("n"), oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))
		},
		"request_uri made up": func(t *testing.T, s *as.Server, _ *client) response {
			return get(t, s.URL(as.Authorize)+"?client_id=app&request_uri=urn:x")
		},
		"hint made up": func(t *testing.T, s *as.Server, _ *client) response {
			r := post(t, s.URL(as.EndSession), url.Values{"id_token_hint": {"x.y.z"}, "post_logout_redirect_uri": {"https://app.test/"}}, nil)
			if r.StatusCode == http.StatusOK { // a page, and no redirect
				r.StatusCode = http.StatusBadRequest
			}
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			r := attempt(t, s, newClient(t, s))
			if r.StatusCode != http.StatusBadRequest && r.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %s", r.Status, r.body)
			}
			if len(s.Violations()) == 0 {
				t.Error("not written down")
			}
		})
	}
}

func exchange(code, verifier string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {callback}}
}

func TestARefreshTokenUsedTwiceRevokesItsFamily(t *testing.T) {
	s := start(t)
	c := newClient(t, s)
	verifier := oauth2.GenerateVerifier()
	tokens, err := c.config.Exchange(t.Context(), c.authorize(verifier).Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	refresh := func(value string) response {
		return post(t, c.config.Endpoint.TokenURL, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {value}},
			func(r *http.Request) { r.SetBasicAuth("app", "MARKER-app-secret") })
	}
	first := refresh(tokens.RefreshToken)
	var next struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(first.body), &next); err != nil || next.RefreshToken == "" {
		t.Fatalf("%s, %v", first.body, err)
	}
	if r := refresh(tokens.RefreshToken); r.StatusCode != http.StatusBadRequest || !strings.Contains(r.body, "invalid_grant") {
		t.Errorf("used twice: %s %s", r.Status, r.body)
	}
	if r := refresh(next.RefreshToken); r.StatusCode != http.StatusBadRequest {
		t.Errorf("its successor lives on: %s", r.Status)
	}
	if _, live := s.TokenInfo(tokens.AccessToken); live {
		t.Error("the access token lives on")
	}
}

func TestFaultsHappenOnceEach(t *testing.T) {
	s := start(t)
	s.Fault(as.Discovery, 2, http.StatusServiceUnavailable, http.Header{"Retry-After": {"1"}})
	for i, want := range []int{503, 503, 200} {
		if r := get(t, s.Issuer+"/.well-known/openid-configuration"); r.StatusCode != want {
			t.Errorf("request %d: %s, want %d", i, r.Status, want)
		}
	}
	s.Drop(as.Discovery, 1)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Issuer+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := http.DefaultTransport.RoundTrip(request); err == nil {
		_ = r.Body.Close()
		t.Errorf("not dropped: %s", r.Status)
	}
	arrived, release := s.Hold(as.Discovery)
	done := make(chan int)
	go func() { done <- get(t, s.Issuer+"/.well-known/openid-configuration").StatusCode }()
	<-arrived
	select {
	case <-done:
		t.Error("not held")
	default:
	}
	release()
	if status := <-done; status != http.StatusOK {
		t.Errorf("held, then %d", status)
	}
}
