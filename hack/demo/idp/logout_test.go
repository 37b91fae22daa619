package idp_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
)

// visit plays the browser at the end session endpoint, without following redirects.
func (rp *relyingParty) visit(method, path string, form url.Values, header ...string) (*http.Response, string) {
	rp.t.Helper()
	target, body := rp.idp.Issuer+path, ""
	if method == http.MethodGet {
		target += "?" + form.Encode()
	} else {
		body = form.Encode()
	}
	r, err := http.NewRequestWithContext(rp.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		rp.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	browser := *rp.browser
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := browser.Do(r)
	if err != nil {
		rp.t.Fatal(err)
	}
	defer response.Body.Close()
	page, _ := io.ReadAll(response.Body)
	return response, string(page)
}

func (rp *relyingParty) loggedIn() bool {
	rp.t.Helper()
	location, err := idptest.SignIn(rp.t.Context(), rp.browser, rp.oauth.AuthCodeURL("s", oauth2.SetAuthURLParam("prompt", "none"),
		oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), "", "")
	if err != nil {
		rp.t.Fatal(err)
	}
	return location.Query().Get("error") == ""
}

// OpenID Connect RP-Initiated Logout, rows RPL-01 to RPL-05 from the provider's side.
func TestLogout(t *testing.T) {
	const home = "http://localhost:8080/"
	t.Run("with a hint, the session ends at once", func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			rp := newRelyingParty(t, shop, idp.Config{})
			token := rp.logIn()
			response, _ := rp.visit(method, "/end-session", url.Values{"id_token_hint": {token.Extra("id_token").(string)},
				"post_logout_redirect_uri": {home}, "state": {"s-2"}})
			if got := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || got != home+"?state=s-2" {
				t.Errorf("%s: status %d, Location %q", method, response.StatusCode, got)
			}
			if rp.loggedIn() {
				t.Errorf("%s: the browser is still logged in", method)
			}
			if _, err := rp.refresh(token.RefreshToken); errorCode(err) != "invalid_grant" {
				t.Errorf("%s: the refresh token gets %v", method, err)
			}
		}
	})
	t.Run("without one, the user is asked", func(t *testing.T) {
		rp := newRelyingParty(t, shop, idp.Config{})
		rp.logIn()
		response, page := rp.visit(http.MethodGet, "/end-session", url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {home}})
		if response.StatusCode != http.StatusOK || !strings.Contains(page, "Sign out?") || !strings.Contains(page, "alice") || !rp.loggedIn() {
			t.Fatalf("status %d, logged in %v, page %s", response.StatusCode, rp.loggedIn(), page)
		}
		form := url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {home}}
		if response, _ := rp.visit(http.MethodPost, "/end-session/confirm", form, "Sec-Fetch-Site", "cross-site"); response.StatusCode != http.StatusForbidden || !rp.loggedIn() {
			t.Errorf("another site can confirm: status %d, logged in %v", response.StatusCode, rp.loggedIn())
		}
		if response, _ := rp.visit(http.MethodPost, "/end-session/confirm", form); response.Header.Get("Location") != home || rp.loggedIn() {
			t.Errorf("Location %q, logged in %v", response.Header.Get("Location"), rp.loggedIn())
		}
	})
	t.Run("of one browser leaves another alone", func(t *testing.T) {
		rp := newRelyingParty(t, shop, idp.Config{})
		token := rp.logIn()
		other := *rp
		other.browser = &http.Client{}
		otherToken := other.logIn()
		rp.visit(http.MethodGet, "/end-session", url.Values{"id_token_hint": {token.Extra("id_token").(string)}})
		if _, err := rp.refresh(otherToken.RefreshToken); err != nil {
			t.Errorf("the other browser's grant: %v", err)
		}
	})
	t.Run("goes nowhere that is not registered", func(t *testing.T) {
		rp := newRelyingParty(t, shop, idp.Config{})
		token := rp.logIn()
		for _, uri := range []string{"https://evil.example/", home + "x", "//evil.example", "javascript:alert(1)"} {
			for name, form := range map[string]url.Values{
				"hint": {"id_token_hint": {token.Extra("id_token").(string)}}, "client_id": {"client_id": {"shop"}}, "nothing": {},
			} {
				form.Set("post_logout_redirect_uri", uri)
				if response, _ := rp.visit(http.MethodGet, "/end-session", form); response.Header.Get("Location") != "" {
					t.Errorf("%s with %s: sent to %q", uri, name, response.Header.Get("Location"))
				}
			}
		}
	})
	t.Run("with a forged hint ends nothing", func(t *testing.T) {
		rp := newRelyingParty(t, shop, idp.Config{})
		token := rp.logIn()
		raw := token.Extra("id_token").(string)
		forged := raw[:strings.LastIndex(raw, ".")+1] + strings.Repeat("A", 342)
		if response, _ := rp.visit(http.MethodGet, "/end-session", url.Values{"id_token_hint": {forged}}); response.StatusCode != http.StatusBadRequest || !rp.loggedIn() {
			t.Errorf("status %d, logged in %v", response.StatusCode, rp.loggedIn())
		}
	})
	t.Run("is idempotent", func(t *testing.T) {
		rp := newRelyingParty(t, shop, idp.Config{})
		token := rp.logIn()
		form := url.Values{"id_token_hint": {token.Extra("id_token").(string)}, "post_logout_redirect_uri": {home}}
		for range 2 {
			if response, _ := rp.visit(http.MethodGet, "/end-session", form); response.Header.Get("Location") != home {
				t.Errorf("status %d, Location %q", response.StatusCode, response.Header.Get("Location"))
			}
		}
		if response, page := rp.visit(http.MethodGet, "/end-session", nil); response.StatusCode != http.StatusOK || !strings.Contains(page, "Signed out") {
			t.Errorf("without anything: status %d", response.StatusCode)
		}
	})
}
