package api_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/hack/demo/api"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
)

const audience = "shop-api"

func shop(audience ...string) idp.Client {
	return idp.Client{ID: "shop", Secret: "s", RedirectURIs: []string{"http://localhost:8080/bff/callback"}, Audience: audience}
}

// logIn runs the code flow at a provider.
func logIn(t *testing.T, server *idptest.Server, user string) *oauth2.Token {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	base := "http://" + server.Addr
	client := oauth2.Config{ClientID: "shop", ClientSecret: "s", RedirectURL: "http://localhost:8080/bff/callback",
		Scopes: []string{"openid", "offline_access"}, Endpoint: oauth2.Endpoint{AuthURL: base + "/authorize", TokenURL: base + "/token"}}
	verifier := oauth2.GenerateVerifier()
	location, err := idptest.SignIn(t.Context(), &http.Client{Jar: jar}, client.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)),
		user, user+"-demo-pw")
	if err != nil {
		t.Fatal(err)
	}
	token, err := client.Exchange(t.Context(), location.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func call(t *testing.T, h http.Handler, method, path, body string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func decode(t *testing.T, response *http.Response) (answer api.Answer, raw string) {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return answer, string(body)
}

func start(t *testing.T) (*idptest.Server, http.Handler) {
	t.Helper()
	server := idptest.Start(t, idp.Config{Clients: []idp.Client{shop(audience)}})
	return server, api.New(api.Config{Issuer: server.Issuer, Audience: audience})
}

func TestCallsWithoutAGoodTokenAreRefused(t *testing.T) {
	server, h := start(t)
	good := logIn(t, server, "alice")

	other := idptest.Start(t, idp.Config{Clients: []idp.Client{shop(audience)}})
	foreign := logIn(t, other, "alice").AccessToken

	elsewhere := idptest.Start(t, idp.Config{Clients: []idp.Client{shop("another-api")}})
	wrongAudience := logIn(t, elsewhere, "alice").AccessToken
	picky := api.New(api.Config{Issuer: elsewhere.Issuer, Audience: audience})

	head, rest, _ := strings.Cut(good.AccessToken, ".")
	payload, signature, _ := strings.Cut(rest, ".")

	for name, test := range map[string]struct {
		h      http.Handler
		header []string
		want   string // WWW-Authenticate
	}{
		"no token":               {h, nil, "Bearer"},
		"an empty token":         {h, []string{"Authorization", "Bearer "}, "Bearer"},
		"another scheme":         {h, []string{"Authorization", "Basic " + good.AccessToken}, "Bearer"},
		"two tokens":             {h, []string{"Authorization", "Bearer " + good.AccessToken, "Authorization", "Bearer " + good.AccessToken}, "Bearer"},
		"a token in a cookie":    {h, []string{"Cookie", "access_token=" + good.AccessToken}, "Bearer"},
		"nonsense":               {h, []string{"Authorization", "Bearer nonsense"}, `Bearer error="invalid_token"`},
		"a broken signature":     {h, []string{"Authorization", "Bearer " + head + "." + payload + "." + strings.Repeat("A", len(signature))}, `Bearer error="invalid_token"`},
		"alg none":               {h, []string{"Authorization", "Bearer eyJhbGciOiJub25lIn0." + payload + "."}, `Bearer error="invalid_token"`},
		"an ID token":            {h, []string{"Authorization", "Bearer " + good.Extra("id_token").(string)}, `Bearer error="invalid_token"`},
		"another issuer's token": {h, []string{"Authorization", "Bearer " + foreign}, `Bearer error="invalid_token"`},
		"another API's token":    {picky, []string{"Authorization", "Bearer " + wrongAudience}, `Bearer error="invalid_token"`},
	} {
		t.Run(name, func(t *testing.T) {
			response := call(t, test.h, http.MethodGet, "/api/orders", "", test.header...)
			if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") != test.want {
				t.Errorf("status %d, WWW-Authenticate %q; want 401 and %q", response.StatusCode, response.Header.Get("WWW-Authenticate"), test.want)
			}
			if got := response.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %q", got)
			}
		})
	}
	if got := call(t, h, http.MethodGet, "/api/orders", "", "Authorization", "bearer "+good.AccessToken).StatusCode; got != http.StatusOK {
		t.Errorf("the good token: status %d", got)
	}
}

func TestExpiredTokenIsRefused(t *testing.T) {
	server := idptest.Start(t, idp.Config{Clients: []idp.Client{shop(audience)}, AccessTokenLifetime: time.Second})
	h := api.New(api.Config{Issuer: server.Issuer, Audience: audience})
	token := logIn(t, server, "alice").AccessToken
	deadline := time.Now().Add(10 * time.Second)
	for call(t, h, http.MethodGet, "/api/whoami", "", "Authorization", "Bearer "+token).StatusCode != http.StatusUnauthorized {
		if time.Now().After(deadline) {
			t.Fatal("a token of one second is accepted after ten")
		}
		time.Sleep(50 * time.Millisecond) // between polls
	}
}

func TestAnswerTellsWhatTheAPISaw(t *testing.T) {
	server, h := start(t)
	first := logIn(t, server, "alice")
	response := call(t, h, http.MethodGet, "/api/whoami?secret=q", "", "Authorization", "Bearer "+first.AccessToken,
		"Cookie", "session=cookie-value; other=x", "X-Custom", "header-value")
	if response.StatusCode != http.StatusOK || response.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, Cache-Control %q", response.StatusCode, response.Header.Get("Cache-Control"))
	}
	answer, raw := decode(t, response)
	if answer.Claims["sub"] != "alice" || answer.Claims["iss"] != server.Issuer || answer.Claims["client_id"] != "shop" {
		t.Errorf("claims %v", answer.Claims)
	}
	if answer.Token.ID == "" || answer.Token.ExpiresAt.Sub(answer.Token.IssuedAt).Round(time.Second) != time.Minute {
		t.Errorf("token %+v", answer.Token)
	}
	seen := answer.Request
	if seen.Method != http.MethodGet || seen.Path != "/api/whoami" || !seen.Cookie || !slices.Equal(seen.Cookies, []string{"session", "other"}) ||
		!slices.Contains(seen.Headers, "Authorization") || !slices.Contains(seen.Headers, "X-Custom") {
		t.Errorf("request %+v", seen)
	}
	for _, secret := range []string{first.AccessToken, strings.Split(first.AccessToken, ".")[2], "cookie-value", "header-value"} {
		if strings.Contains(raw, secret) {
			t.Errorf("the answer repeats %q", secret)
		}
	}

	second, _ := decode(t, call(t, h, http.MethodGet, "/api/whoami", "", "Authorization", "Bearer "+logIn(t, server, "alice").AccessToken))
	if second.Token.ID == answer.Token.ID || second.Request.Cookie || len(second.Request.Cookies) != 0 {
		t.Errorf("a new token without a cookie gives %+v", second)
	}
}

func TestOrders(t *testing.T) {
	server, h := start(t)
	alice, bob := logIn(t, server, "alice").AccessToken, logIn(t, server, "bob").AccessToken
	list := func(token string) []api.Order {
		answer, _ := decode(t, call(t, h, http.MethodGet, "/api/orders", "", "Authorization", "Bearer "+token))
		if len(answer.Catalogue) == 0 {
			t.Error("no catalogue")
		}
		return answer.Orders
	}
	place := func(token, body string) *http.Response {
		return call(t, h, http.MethodPost, "/api/orders", body, "Authorization", "Bearer "+token, "Content-Type", "application/json; charset=utf-8")
	}

	before, bobs := list(alice), list(bob)
	if len(before) != 3 || len(bobs) != 3 {
		t.Fatalf("alice starts with %d orders and bob with %d, want 3", len(before), len(bobs))
	}
	response := place(alice, `{"sku":"mug","quantity":2}`)
	answer, _ := decode(t, response)
	if response.StatusCode != http.StatusCreated || answer.Order == nil || answer.Order.Cents != 2900 {
		t.Fatalf("status %d, order %+v", response.StatusCode, answer.Order)
	}
	if after := list(alice); len(after) != 4 || after[0].ID != answer.Order.ID {
		t.Errorf("the new order is not first of four: %+v", after)
	}
	if after := list(bob); len(after) != 3 {
		t.Errorf("bob has %d orders now", len(after))
	}
	for range 50 {
		place(alice, `{"sku":"pen","quantity":1}`)
	}
	if after := list(alice); len(after) != 12 || after[0].Product.SKU != "pen" {
		t.Errorf("%d orders are kept, want the 12 newest", len(after))
	}

	for body, want := range map[string]int{
		`{"sku":"yacht","quantity":1}`:                 http.StatusUnprocessableEntity,
		`{"sku":"mug","quantity":0}`:                   http.StatusUnprocessableEntity,
		`{"sku":"mug","quantity":10}`:                  http.StatusUnprocessableEntity,
		`{"sku":"mug","quantity":1,"x":1}`:             http.StatusBadRequest,
		`{`:                                            http.StatusBadRequest,
		`{"sku":"` + strings.Repeat("x", 5<<10) + `"}`: http.StatusBadRequest,
	} {
		if got := place(bob, body).StatusCode; got != want {
			t.Errorf("%.40s: status %d, want %d", body, got, want)
		}
	}
	form := call(t, h, http.MethodPost, "/api/orders", "sku=mug", "Authorization", "Bearer "+bob, "Content-Type", "application/x-www-form-urlencoded")
	if form.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a form: status %d", form.StatusCode)
	}
	if after := list(bob); len(after) != 3 {
		t.Errorf("a refused order was placed: %d", len(after))
	}
}

// The API may start before the identity provider.
func TestProviderAway(t *testing.T) {
	var away atomic.Bool
	away.Store(true)
	server := idptest.StartBehind(t, idp.Config{Clients: []idp.Client{shop(audience)}}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if away.Load() {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	h := api.New(api.Config{Issuer: server.Issuer, Audience: audience})
	response := call(t, h, http.MethodGet, "/api/whoami", "", "Authorization", "Bearer some.jwt.token")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
	}
	away.Store(false)
	token := logIn(t, server, "alice").AccessToken
	if got := call(t, h, http.MethodGet, "/api/whoami", "", "Authorization", "Bearer "+token).StatusCode; got != http.StatusOK {
		t.Errorf("after the provider has come: status %d", got)
	}
}

// One issuer, two networks: the API dials the provider where the issuer's name does not lead.
func TestConnectTo(t *testing.T) {
	const issuer = "http://id.localhost:1" // nothing listens there
	server := idptest.Start(t, idp.Config{Issuer: issuer, Clients: []idp.Client{shop(audience)}})
	token := logIn(t, server, "alice").AccessToken
	if got := call(t, api.New(api.Config{Issuer: issuer, Audience: audience}), http.MethodGet, "/api/whoami", "", "Authorization", "Bearer "+token); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without ConnectTo: status %d", got.StatusCode)
	}
	if _, _, err := net.SplitHostPort(server.Addr); err != nil {
		t.Fatal(err)
	}
	h := api.New(api.Config{Issuer: issuer, Audience: audience, ConnectTo: server.Addr})
	answer, _ := decode(t, call(t, h, http.MethodGet, "/api/whoami", "", "Authorization", "Bearer "+token))
	if answer.Claims["iss"] != issuer {
		t.Errorf("claims %v", answer.Claims)
	}
	if u, _ := url.Parse(issuer); u.Host == server.Addr {
		t.Error("this test proves nothing")
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	server, h := start(t)
	token := logIn(t, server, "alice").AccessToken
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/api/other", http.StatusNotFound},
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodDelete, "/api/orders", http.StatusMethodNotAllowed},
		{http.MethodPost, "/api/whoami", http.StatusMethodNotAllowed},
	} {
		if got := call(t, h, test.method, test.path, "", "Authorization", "Bearer "+token).StatusCode; got != test.want {
			t.Errorf("%s %s: status %d, want %d", test.method, test.path, got, test.want)
		}
	}
}
