package provider_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// loggedIn is a client with the tokens of a login.
func loggedIn(t *testing.T, server *providertest.Server, change func(*provider.Config)) (*provider.Client, token.Set) {
	t.Helper()
	client := clientOf(server, change)
	got, err := login(t, server, client)
	if err != nil {
		t.Fatal(err)
	}
	return client, got.Tokens
}

// OA-09, CT-33: what the provider sends replaces what was there, what it leaves
// out stays; three times over.
func TestRefresh(t *testing.T) {
	for name, row := range map[string]struct {
		change             func(map[string]any)
		rotates, renewsIDs bool
	}{
		"everything new":       {func(map[string]any) {}, true, true},
		"no new refresh token": {func(r map[string]any) { delete(r, "refresh_token") }, false, true},
		"no new ID token":      {func(r map[string]any) { delete(r, "id_token") }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{})
			client, old := loggedIn(t, server, nil)
			server.Behave(providertest.Behaviour{Response: row.change, Claims: func(c map[string]any) { c["jti"] = time.Now().UnixNano() }})
			for range 3 {
				got, err := client.Refresh(t.Context(), old, token.Target{})
				if err != nil {
					t.Fatal(err)
				}
				if got.Access.Token == "" || got.Access == old.Access {
					t.Error("no new access token")
				}
				if (got.Refresh != old.Refresh) != row.rotates || got.Refresh == "" {
					t.Error("the refresh token is not the one to use next")
				}
				if (got.ID != old.ID) != row.renewsIDs || got.ID == "" {
					t.Error("the ID token is not the newest one")
				}
				requests := server.Requests()
				if sent := requests[len(requests)-1].Form.Get("refresh_token"); sent != old.Refresh {
					t.Error("a spent refresh token was sent")
				}
				old = got
			}
		})
	}
}

// BFF-13: the provider's own invalid_grant ends a grant. Nothing else does.
func TestRefreshFailures(t *testing.T) {
	fail := func(status int, code string) providertest.Behaviour {
		return serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, status, code) })
	}
	set := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	for name, row := range map[string]struct {
		b           providertest.Behaviour
		want        provider.Reason
		ended       bool
		other       bool // user
		unavailable bool
	}{
		"invalid_grant":                    {b: fail(400, "invalid_grant"), want: provider.ReasonGrantRefused, ended: true},
		"invalid_grant, unauthorized":      {b: fail(401, "invalid_grant"), want: provider.ReasonGrantRefused, ended: true},
		"invalid_grant in an outage":       {b: fail(503, "invalid_grant"), want: provider.ReasonStatus, unavailable: true},
		"invalid_grant, too many requests": {b: fail(429, "invalid_grant"), want: provider.ReasonStatus, unavailable: true},
		"invalid_grant, forbidden":         {b: fail(403, "invalid_grant"), want: provider.ReasonResponse},
		"invalid_grant with status 200":    {b: fail(200, "invalid_grant"), want: provider.ReasonResponse},
		"invalid_client":                   {b: fail(401, "invalid_client"), want: provider.ReasonClientRefused},
		"unauthorized_client":              {b: fail(400, "unauthorized_client"), want: provider.ReasonClientRefused},
		"invalid_request":                  {b: fail(400, "invalid_request"), want: provider.ReasonRefused},
		"400 without a code":               {b: serve("/token", func(w http.ResponseWriter) { http.Error(w, "MARKER invalid_grant", 400) }), want: provider.ReasonRefused},
		"500":                              {b: fail(500, "server_error"), want: provider.ReasonStatus, unavailable: true},
		"503":                              {b: serve("/token", func(w http.ResponseWriter) { http.Error(w, "MARKER", http.StatusServiceUnavailable) }), want: provider.ReasonStatus, unavailable: true},
		"429":                              {b: fail(429, "slow_down"), want: provider.ReasonStatus, unavailable: true},
		"time-out":                         {b: hang("/token"), want: provider.ReasonUnreachable, unavailable: true},
		"cut short":                        {b: serve("/token", cutShort), want: provider.ReasonUnreachable, unavailable: true},
		"not HTTP":                         {b: serve("/token", garbage), want: provider.ReasonUnreachable, unavailable: true},
		"OA-07 token type mac":             {b: providertest.Behaviour{Response: set("token_type", "mac")}, want: provider.ReasonTokenType},
		"RES-06 invalid_target":            {b: fail(400, "invalid_target"), want: provider.ReasonTarget},
		"CT-34 ID token of another user":   {b: providertest.Behaviour{Claims: set("sub", "bob")}, want: provider.ReasonIDTokenChanged, other: true},
		"CT-34 ID token of another issuer": {b: providertest.Behaviour{Claims: set("iss", "https://evil.example.com")}, want: provider.ReasonIDTokenIssuer, other: true},
		"OIDC-11 other audience":           {b: providertest.Behaviour{Claims: set("aud", "bank")}, want: provider.ReasonIDTokenAudience, other: true},
		"OIDC-11 other nonce":              {b: providertest.Behaviour{Claims: set("nonce", "another")}, want: provider.ReasonIDTokenNonce, other: true},
		"OIDC-11 other auth_time":          {b: providertest.Behaviour{Claims: set("auth_time", 1)}, want: provider.ReasonAuthTimeChanged, other: true},
		"OIDC-11 issued before":            {b: providertest.Behaviour{Claims: set("iat", 1)}, want: provider.ReasonIDTokenChanged, other: true},
		"OIDC-11 expired":                  {b: providertest.Behaviour{Claims: set("exp", 1)}, want: provider.ReasonIDTokenExpired, other: true},
		"IDT-17 at_hash":                   {b: providertest.Behaviour{Claims: set("at_hash", "another")}, want: provider.ReasonIDTokenAccessHash, other: true},
		"unsigned ID token":                {b: providertest.Behaviour{Response: set("id_token", providertest.Unsigned(`{}`))}, want: provider.ReasonIDTokenAlgorithm, other: true},
		"encrypted ID token":               {b: providertest.Behaviour{Response: set("id_token", providertest.Encrypted())}, want: provider.ReasonIDTokenEncrypted, other: true},
		"BCL-21 a logout token": {b: providertest.Behaviour{Sign: func(s *providertest.Server, _ map[string]any) string {
			return s.LogoutToken(nil)
		}}, want: provider.ReasonIDTokenType, other: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{})
			client, old := loggedIn(t, server, func(c *provider.Config) { c.Timeout = 500 * time.Millisecond })
			server.Behave(row.b)
			got, err := client.Refresh(t.Context(), old, token.Target{})
			wantFailure(t, err, row.want)
			if got.Access.Token != "" || got.Refresh != "" || got.ID != "" {
				t.Error("tokens were returned with the error")
			}
			if ended := errors.Is(err, token.ErrInvalidGrant); ended != row.ended {
				t.Errorf("matches token.ErrInvalidGrant: %t, want %t", ended, row.ended)
			}
			if other := errors.Is(err, token.ErrOtherUser); other != row.other {
				t.Errorf("matches token.ErrOtherUser: %t, want %t", other, row.other)
			}
			if errors.Is(err, token.ErrInvalidTarget) {
				t.Error("matches token.ErrInvalidTarget, though there was no target")
			}
			if unavailable := errors.Is(err, provider.ErrUnavailable); unavailable != row.unavailable {
				t.Errorf("matches ErrUnavailable: %t, want %t", unavailable, row.unavailable)
			}
		})
	}
}

// A refused code says nothing about a refresh token.
func TestRefusedCodeIsNoRefusedRefreshToken(t *testing.T) {
	server := providertest.Start(t, serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 400, "invalid_grant") }))
	_, err := login(t, server, provider.New(configFor(server)))
	if errors.Is(err, token.ErrInvalidGrant) {
		t.Errorf("error %v", err)
	}
}

func TestRefreshWithoutRefreshToken(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	_, err := provider.New(configFor(server)).Refresh(t.Context(), token.Set{Access: token.Access{Token: "a"}}, token.Target{})
	wantFailure(t, err, provider.ReasonNoRefreshToken)
	if len(server.Requests()) != 0 {
		t.Error("the provider was asked")
	}
}

// RES-04, RES-07: a token for one resource stands beside that of the login, and
// the refresh token moves on.
func TestRefreshForATarget(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{Rotate: true})
	client, old := loggedIn(t, server, func(c *provider.Config) {
		c.Provider.Resources = []string{"https://orders.example.com/", "https://stock.example.com/"}
	})
	orders := token.Target{Resource: "https://orders.example.com/", Scopes: []string{"read", "list"}}
	stock := token.Target{Resource: "https://stock.example.com/"}
	first, err := client.Refresh(t.Context(), old, orders)
	if err != nil {
		t.Fatal(err)
	}
	second, err := client.Refresh(t.Context(), first, stock)
	if err != nil {
		t.Fatal(err)
	}
	forOrders, _ := second.For(orders)
	forStock, _ := second.For(stock)
	if second.Access != old.Access || forOrders.Token == "" || forStock.Token == "" || forOrders == forStock || len(first.Narrowed) != 1 {
		t.Errorf("the tokens are mixed up: %d after the first refresh, %d after the second", len(first.Narrowed), len(second.Narrowed))
	}
	requests := server.Requests()
	for i, want := range []struct{ resource, scope, refresh string }{
		{orders.Resource, "read list", old.Refresh}, {stock.Resource, "", first.Refresh},
	} {
		form := requests[len(requests)-2+i].Form
		if len(form["resource"]) != 1 || form.Get("resource") != want.resource || form.Get("scope") != want.scope || form.Get("refresh_token") != want.refresh {
			t.Errorf("request %d: resource %q, scope %q", i, form["resource"], form["scope"])
		}
	}
}

// RES-06: a resource the provider gives no token for hurts no grant.
func TestRefusedTarget(t *testing.T) {
	for _, code := range []string{"invalid_target", "invalid_scope"} {
		server := providertest.Start(t, providertest.Behaviour{})
		client, old := loggedIn(t, server, nil)
		server.Behave(serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 400, code) }))
		_, err := client.Refresh(t.Context(), old, token.Target{Resource: "https://orders.example.com/"})
		wantFailure(t, err, provider.ReasonTarget)
		if !errors.Is(err, token.ErrInvalidTarget) || errors.Is(err, token.ErrInvalidGrant) {
			t.Errorf("%s: error %v", code, err)
		}
	}
}

// Without keys the refresh token is not spent: its answer could not be verified.
func TestNoRefreshWithoutKeys(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{Rotate: true})
	_, old := loggedIn(t, server, nil)
	restarted := provider.New(configFor(server))
	server.Behave(serve("/keys", func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) }))
	before := server.Count("/token")
	_, err := restarted.Refresh(t.Context(), old, token.Target{})
	wantFailure(t, err, provider.ReasonStatus)
	if !provider.IsTemporary(err) || server.Count("/token") != before {
		t.Errorf("%d requests of the token endpoint, error %v", server.Count("/token")-before, err)
	}
}

// OIDC-12: a new key that cannot be had yet is nobody's fault.
func TestRefreshWithANewKeyInAKeysOutage(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client, old := loggedIn(t, server, nil)
	server.RotateKey()
	server.Behave(serve("/keys", func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) }))
	_, err := client.Refresh(t.Context(), old, token.Target{})
	wantFailure(t, err, provider.ReasonKeysOutdated)
	if errors.Is(err, token.ErrOtherUser) || !provider.IsTemporary(err) {
		t.Errorf("error %v", err)
	}
}
