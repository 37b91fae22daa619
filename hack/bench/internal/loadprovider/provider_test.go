package loadprovider_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadprovider"
)

const callback = "https://shop.example.com/bff/callback"

func start(t *testing.T) *loadprovider.Provider {
	t.Helper()
	p, err := loadprovider.Start(t.Context(), loadprovider.Options{
		ClientID: "shop", ClientSecret: "secret", RedirectURI: callback, AccessTokenSize: 1024, AccessTokenLife: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// client is a relying party made of the usual libraries.
func client(t *testing.T, p *loadprovider.Provider) (*oauth2.Config, *oidc.IDTokenVerifier) {
	t.Helper()
	discovered, err := oidc.NewProvider(t.Context(), p.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	config := &oauth2.Config{ClientID: "shop", ClientSecret: "secret", RedirectURL: callback, Endpoint: discovered.Endpoint(), Scopes: []string{"openid"}}
	return config, discovered.Verifier(&oidc.Config{ClientID: "shop", SupportedSigningAlgs: []string{"ES256"}})
}

// authorize plays the browser.
func authorize(t *testing.T, target string) (answer url.Values, sid string) {
	t.Helper()
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	location, err := response.Location()
	if err != nil {
		t.Fatalf("status %d: %v", response.StatusCode, err)
	}
	return location.Query(), response.Header.Get(loadprovider.SIDHeader)
}

func TestALoginAsTheLibrariesDoIt(t *testing.T) {
	t.Parallel()
	p := start(t)
	config, verifier := client(t, p)
	secret := oauth2.GenerateVerifier()
	answer, sid := authorize(t, config.AuthCodeURL("state", oauth2.S256ChallengeOption(secret), oidc.Nonce("nonce")))
	if answer.Get("state") != "state" || answer.Get("iss") != p.Issuer {
		t.Fatalf("the answer is %v", answer)
	}
	ctx := context.Background()
	tokens, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(secret))
	if err != nil {
		t.Fatal(err)
	}
	if len(tokens.AccessToken) != 1024 {
		t.Errorf("the access token has %d bytes", len(tokens.AccessToken))
	}
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := verifier.Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ SID, Nonce string }
	if err := idToken.Claims(&claims); err != nil || claims.SID != sid || sid == "" || claims.Nonce != "nonce" {
		t.Errorf("claims %+v, sid %q, error %v", claims, sid, err)
	}
	if _, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(secret)); err == nil {
		t.Error("a code was good twice")
	}
	renewed, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: tokens.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	if renewed.AccessToken == tokens.AccessToken || renewed.RefreshToken == tokens.RefreshToken {
		t.Error("a refresh gave nothing new")
	}
	got := p.Counts()
	if got.Connections < 1 {
		t.Error("no connection was counted")
	}
	if got.Connections = 0; got != (loadprovider.Counts{Authorized: 1, Redeemed: 1, Refreshed: 1, Refused: 1}) {
		t.Errorf("%+v", got)
	}
}

func TestWrongClientsGetNothing(t *testing.T) {
	t.Parallel()
	p := start(t)
	secret := oauth2.GenerateVerifier()
	for name, change := range map[string]func(*oauth2.Config) (verifier, refreshToken string){
		"another verifier": func(*oauth2.Config) (string, string) { return oauth2.GenerateVerifier(), "" },
		"another secret":   func(c *oauth2.Config) (string, string) { c.ClientSecret = "guessed"; return secret, "" },
		"another redirect": func(c *oauth2.Config) (string, string) {
			c.RedirectURL = "https://evil.example.com/"
			return secret, ""
		},
		"a made-up refresh token": func(*oauth2.Config) (string, string) { return secret, "1.1.ABC.DEF" },
	} {
		config, _ := client(t, p)
		answer, _ := authorize(t, config.AuthCodeURL("state", oauth2.S256ChallengeOption(secret)))
		verifier, refreshToken := change(config)
		var err error
		if refreshToken != "" {
			_, err = config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: refreshToken}).Token()
		} else {
			_, err = config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
		}
		if err == nil {
			t.Errorf("%s: got tokens", name)
		}
	}
}

func TestALogoutTokenIsSigned(t *testing.T) {
	t.Parallel()
	p := start(t)
	_, verifier := client(t, p)
	raw, err := p.LogoutToken("session-7")
	if err != nil {
		t.Fatal(err)
	}
	logout, err := verifier.VerifyLogout(t.Context(), raw)
	if err != nil || logout.SessionID != "session-7" || logout.TokenID == "" {
		t.Errorf("%+v, %v", logout, err)
	}
}
