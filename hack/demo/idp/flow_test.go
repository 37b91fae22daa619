package idp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
)

const callback = "http://localhost:8080/bff/callback"

var shop = idp.Client{
	ID:                     "shop",
	Secret:                 "shop+secret/with=odd&chars%",
	RedirectURIs:           []string{callback},
	PostLogoutRedirectURIs: []string{"http://localhost:8080/"},
	Audience:               []string{"shop-api"},
}

// relyingParty is a client of the provider, made of the libraries that the sidecar uses.
type relyingParty struct {
	t       *testing.T
	idp     *idptest.Server
	browser *http.Client
	oauth   oauth2.Config
	issuer  *oidc.Provider
}

func newRelyingParty(t *testing.T, client idp.Client, config idp.Config) *relyingParty {
	t.Helper()
	config.Clients = append(config.Clients, client)
	server := idptest.Start(t, config)
	jar, _ := cookiejar.New(nil)
	rp := &relyingParty{t: t, idp: server, browser: &http.Client{Jar: jar, Timeout: 10 * time.Second}}

	var err error
	rp.issuer, err = oidc.NewProvider(t.Context(), server.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := rp.issuer.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if client.AuthMethod == "client_secret_post" {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	rp.oauth = oauth2.Config{ClientID: client.ID, ClientSecret: client.Secret, Endpoint: endpoint, RedirectURL: callback,
		Scopes: []string{"openid", "profile", "email", "offline_access"}}
	return rp
}

func (rp *relyingParty) authorize(user, password string, options ...oauth2.AuthCodeOption) (code, verifier string) {
	rp.t.Helper()
	verifier = oauth2.GenerateVerifier()
	options = append(options, oauth2.S256ChallengeOption(verifier), oidc.Nonce("n-1"))
	location, err := idptest.SignIn(rp.t.Context(), rp.browser, rp.oauth.AuthCodeURL("s-1", options...), user, password)
	if err != nil {
		rp.t.Fatal(err)
	}
	q := location.Query()
	if got := location.Scheme + "://" + location.Host + location.Path; got != callback {
		rp.t.Fatalf("browser was sent to %q, want %q", got, callback)
	}
	if q.Get("state") != "s-1" || q.Get("iss") != rp.idp.Issuer || q.Get("error") != "" {
		rp.t.Fatalf("authorization response %v: want our state, iss and no error", q)
	}
	return q.Get("code"), verifier
}

func (rp *relyingParty) logIn() *oauth2.Token {
	rp.t.Helper()
	code, verifier := rp.authorize("alice", "alice-demo-pw")
	token, err := rp.oauth.Exchange(rp.t.Context(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		rp.t.Fatal(err)
	}
	return token
}

func (rp *relyingParty) refresh(refreshToken string) (*oauth2.Token, error) {
	return rp.oauth.TokenSource(rp.t.Context(), &oauth2.Token{RefreshToken: refreshToken}).Token()
}

func (rp *relyingParty) idToken(token *oauth2.Token) (*oidc.IDToken, map[string]any) {
	rp.t.Helper()
	raw, _ := token.Extra("id_token").(string)
	verified, err := rp.issuer.Verifier(&oidc.Config{ClientID: rp.oauth.ClientID}).Verify(rp.t.Context(), raw)
	if err != nil {
		rp.t.Fatal(err)
	}
	claims := map[string]any{}
	if err := verified.Claims(&claims); err != nil {
		rp.t.Fatal(err)
	}
	return verified, claims
}

func errorCode(err error) string {
	var retrieve *oauth2.RetrieveError
	if errors.As(err, &retrieve) {
		return retrieve.ErrorCode
	}
	return ""
}

func TestCodeFlow(t *testing.T) {
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		t.Run(method, func(t *testing.T) {
			client := shop
			client.AuthMethod = method
			rp := newRelyingParty(t, client, idp.Config{})
			token := rp.logIn()

			id, claims := rp.idToken(token)
			if id.Subject != "alice" || id.Nonce != "n-1" || len(id.Audience) != 1 || id.Audience[0] != "shop" {
				t.Errorf("ID token: sub %q nonce %q aud %q", id.Subject, id.Nonce, id.Audience)
			}
			if err := id.VerifyAccessToken(token.AccessToken); err != nil {
				t.Errorf("at_hash: %v", err)
			}
			for claim, want := range map[string]any{"name": "Alice Liddell", "email": "alice@example.com",
				"email_verified": true, "preferred_username": "alice"} {
				if claims[claim] != want {
					t.Errorf("claim %s is %v, want %v", claim, claims[claim], want)
				}
			}
			for _, claim := range []string{"sid", "auth_time", "roles", "amr"} {
				if claims[claim] == nil {
					t.Errorf("claim %s is missing", claim)
				}
			}

			access, err := rp.issuer.Verifier(&oidc.Config{ClientID: "shop-api"}).Verify(t.Context(), token.AccessToken)
			if err != nil {
				t.Fatalf("access token is not a JWT for the API: %v", err)
			}
			if lifetime := access.Expiry.Sub(access.IssuedAt).Round(time.Second); lifetime != time.Minute || token.ExpiresIn != 60 {
				t.Errorf("access token lives %v and expires_in says %d, want a minute", lifetime, token.ExpiresIn)
			}
			if _, err := rp.issuer.Verifier(&oidc.Config{ClientID: "shop-api"}).Verify(t.Context(), token.Extra("id_token").(string)); err == nil {
				t.Error("the ID token passes for an access token")
			}

			info, err := rp.issuer.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
			if err != nil || info.Subject != "alice" || info.Email != "alice@example.com" {
				t.Errorf("UserInfo: %+v, %v", info, err)
			}
		})
	}
}

func TestScopesDecideWhatIsReleased(t *testing.T) {
	rp := newRelyingParty(t, shop, idp.Config{})
	rp.oauth.Scopes = []string{"openid"}
	token := rp.logIn()
	_, claims := rp.idToken(token)
	for _, claim := range []string{"name", "email", "roles"} {
		if claims[claim] != nil {
			t.Errorf("claim %s is released without its scope", claim)
		}
	}
	if token.RefreshToken != "" {
		t.Error("a refresh token was issued without offline_access")
	}
}

// RFC 9700 section 4.14.2.
func TestRefreshRotates(t *testing.T) {
	rp := newRelyingParty(t, shop, idp.Config{})
	first := rp.logIn()
	_, before := rp.idToken(first)

	second, err := rp.refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Error("a refresh must yield new tokens")
	}
	if _, after := rp.idToken(second); after["sid"] != before["sid"] || after["auth_time"] != before["auth_time"] {
		t.Errorf("ID token after the refresh is of another session: %v, was %v", after, before)
	}
	if _, err := rp.refresh(first.RefreshToken); errorCode(err) != "invalid_grant" {
		t.Errorf("spent refresh token: %v, want invalid_grant", err)
	}
	if _, err := rp.refresh(second.RefreshToken); errorCode(err) != "invalid_grant" {
		t.Errorf("reuse must revoke the family, but its last token gets %v", err)
	}
	if _, err := rp.issuer.UserInfo(t.Context(), oauth2.StaticTokenSource(second)); err == nil {
		t.Error("reuse must revoke the family's access tokens")
	}
	if got := rp.idp.Count(idp.EventReplay); got != 1 {
		t.Errorf("%d replays reported, want 1", got)
	}
	if got := rp.idp.Count(idp.EventRefresh); got != 3 {
		t.Errorf("%d refreshes reported, want 3", got)
	}
}

// What standards row GAP-06 protects a client from.
func TestOfConcurrentRefreshesOneAtMostSucceeds(t *testing.T) {
	rp := newRelyingParty(t, shop, idp.Config{})
	token := rp.logIn()
	var wg sync.WaitGroup
	results := make(chan error, 20)
	for range cap(results) {
		wg.Go(func() {
			_, err := rp.refresh(token.RefreshToken)
			results <- err
		})
	}
	wg.Wait()
	close(results)
	succeeded := 0
	for err := range results {
		if err == nil {
			succeeded++
		} else if errorCode(err) != "invalid_grant" {
			t.Errorf("loser got %v, want invalid_grant", err)
		}
	}
	if succeeded > 1 {
		t.Errorf("%d refreshes with one token succeeded", succeeded)
	}
}

// RFC 6749 section 4.1.2.
func TestCodeWorksOnce(t *testing.T) {
	rp := newRelyingParty(t, shop, idp.Config{})
	code, verifier := rp.authorize("alice", "alice-demo-pw")
	token, err := rp.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rp.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(verifier)); errorCode(err) != "invalid_grant" {
		t.Errorf("second use of a code: %v, want invalid_grant", err)
	}
	if _, err := rp.refresh(token.RefreshToken); errorCode(err) != "invalid_grant" {
		t.Errorf("a replayed code must revoke what it yielded, but the refresh token gets %v", err)
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	other := shop
	other.ID, other.Secret = "other", "other-secret"

	exchange := func(rp *relyingParty, change func(*oauth2.Config), verifier func(string) string) error {
		code, v := rp.authorize("alice", "alice-demo-pw")
		config := rp.oauth
		change(&config)
		_, err := config.Exchange(rp.t.Context(), code, oauth2.VerifierOption(verifier(v)))
		return err
	}
	right := func(v string) string { return v }
	wrong := func(string) string { return oauth2.GenerateVerifier() }

	for name, test := range map[string]struct {
		change   func(*oauth2.Config)
		verifier func(string) string
		want     string
	}{
		"a wrong secret":                {func(c *oauth2.Config) { c.ClientSecret = "guess" }, right, "invalid_client"},
		"an unknown client":             {func(c *oauth2.Config) { c.ClientID = "stranger" }, right, "invalid_client"},
		"the method not registered":     {func(c *oauth2.Config) { c.Endpoint.AuthStyle = oauth2.AuthStyleInParams }, right, "invalid_client"},
		"a code of another client":      {func(c *oauth2.Config) { c.ClientID, c.ClientSecret = other.ID, other.Secret }, right, "invalid_grant"},
		"another redirect URI":          {func(c *oauth2.Config) { c.RedirectURL += "x" }, right, "invalid_grant"},
		"a wrong verifier":              {func(*oauth2.Config) {}, wrong, "invalid_grant"},
		"no verifier":                   {func(*oauth2.Config) {}, func(string) string { return "" }, "invalid_request"},
		"credentials in the query part": {func(c *oauth2.Config) { c.Endpoint.TokenURL += "?client_id=shop" }, right, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			rp := newRelyingParty(t, shop, idp.Config{Clients: []idp.Client{other}})
			if err := exchange(rp, test.change, test.verifier); errorCode(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestRefreshTokenOfAnotherClientIsRefused(t *testing.T) {
	other := shop
	other.ID, other.Secret = "other", "other-secret"
	rp := newRelyingParty(t, shop, idp.Config{Clients: []idp.Client{other}})
	token := rp.logIn()

	thief := *rp
	thief.oauth.ClientID, thief.oauth.ClientSecret = other.ID, other.Secret
	if _, err := thief.refresh(token.RefreshToken); errorCode(err) != "invalid_grant" {
		t.Errorf("got %v, want invalid_grant", err)
	}
	if _, err := rp.refresh(token.RefreshToken); err != nil {
		t.Errorf("the rightful client is refused after that: %v", err)
	}
}

func TestAdministratorLogsUserOut(t *testing.T) {
	rp := newRelyingParty(t, shop, idp.Config{})
	token := rp.logIn()
	rp.idp.LogOut("alice")
	if _, err := rp.refresh(token.RefreshToken); errorCode(err) != "invalid_grant" {
		t.Errorf("refresh: %v, want invalid_grant", err)
	}
	location, err := idptest.SignIn(t.Context(), rp.browser, rp.oauth.AuthCodeURL("s", oauth2.SetAuthURLParam("prompt", "none"),
		oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), "", "")
	if err != nil || location.Query().Get("error") != "login_required" {
		t.Errorf("the browser is still logged in: %v, %v", location, err)
	}
}

// One issuer, two networks: browser and client reach the provider at different addresses.
func TestIssuerIsConfiguredAndNotDerived(t *testing.T) {
	const issuer = "http://id.localhost:8090"
	server := idptest.Start(t, idp.Config{Issuer: issuer, Clients: []idp.Client{shop}})
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Addr)
	}}}
	for _, host := range []string{"id.localhost:8090", "idp.id.svc:8090", "evil.example"} {
		r, _ := http.NewRequest(http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
		r.Host = host
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("Forwarded", "host=evil.example;proto=https")
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		var document map[string]any
		if err := json.Unmarshal(body, &document); err != nil {
			t.Fatal(err)
		}
		for key, value := range document {
			if url, ok := value.(string); ok && !strings.HasPrefix(url, issuer) {
				t.Errorf("Host %s: %s is %q", host, key, url)
			}
		}
		if document["issuer"] != issuer || document["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("Host %s: %v", host, document)
		}
	}
}
