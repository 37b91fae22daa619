package provider_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

func binding(mode v1alpha1.DPoPMode) func(*provider.Config) {
	return func(c *provider.Config) {
		c.Provider.DPoP, c.Provider.UserInfo, c.Provider.PushedAuthorizationRequests = mode, v1alpha1.Enabled, v1alpha1.PushAuto
	}
}

// FT-01, DPOP-05, DPOP-07, DPOP-14, DPOP-18: a grant bound to one key, at a
// provider that wants nonces and changes them.
func TestDPoP(t *testing.T) {
	for name, nonce := range map[string]string{"without nonces": "", "with nonces": "nonce-1"} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{DPoP: true, RequirePAR: true, Nonce: nonce})
			client := clientOf(server, binding(v1alpha1.DPoPRequired))
			got, err := login(t, server, client)
			if err != nil {
				t.Fatal(err)
			}
			set := got.Tokens
			key, err := dpop.ParseKey(set.Key)
			if err != nil || set.Access.Type != token.DPoP || got.Claims["nickname"] != "ally" {
				t.Fatalf("token type %q, key %v", set.Access.Type, err)
			}
			if jkt := server.AuthorizationRequests()[0].Parameters.Get("dpop_jkt"); jkt != key.Thumbprint() {
				t.Errorf("dpop_jkt %q, want %q", jkt, key.Thumbprint())
			}
			if nonce != "" {
				server.Behave(providertest.Behaviour{DPoP: true, RequirePAR: true, Nonce: "nonce-2"})
			}
			renewed, err := client.Refresh(t.Context(), set, token.Target{})
			if err != nil {
				t.Fatal(err)
			}
			if renewed.Access.Type != token.DPoP || !slices.Equal(renewed.Key, set.Key) {
				t.Error("the refreshed token is bound to another key")
			}
			if renewed, err = client.Refresh(t.Context(), renewed, token.Target{Resource: "https://a.example.com/"}); err != nil {
				t.Fatal(err)
			}
			if a, _ := renewed.For(token.Target{Resource: "https://a.example.com/"}); a.Type != token.DPoP {
				t.Errorf("the narrowed token is of type %q", a.Type)
			}
			if err := client.Revoke(t.Context(), renewed); err != nil {
				t.Error(err)
			}
		})
	}
}

// DPOP-01, DPOP-12, JWTA-05: the request that is made again for its nonce has a
// proof and an assertion of its own. The provider takes each jti once.
func TestNonceRetryIsFresh(t *testing.T) {
	key := ellipticKey(t)
	server := providertest.Start(t, providertest.Behaviour{DPoP: true, Nonce: "nonce-1"})
	server.RegisterKey(key.Public())
	client := clientOf(server, func(c *provider.Config) {
		c.Provider.DPoP = v1alpha1.DPoPRequired
		c.Provider.ClientAuthentication.Method = v1alpha1.PrivateKeyJWT
		c.Credentials = func() clientauth.Credentials { return clientauth.Credentials{PrivateKey: signingKey(t, key)} }
	})
	if _, err := login(t, server, client); err != nil {
		t.Fatal(err)
	}
	requests := server.Requests()
	if len(requests) != 2 {
		t.Fatalf("%d requests, want one and another with the nonce", len(requests))
	}
	_, first := decoded(t, requests[0].Header.Get("DPoP"))
	_, second := decoded(t, requests[1].Header.Get("DPoP"))
	if first["jti"] == second["jti"] || first["nonce"] != nil || second["nonce"] != "nonce-1" {
		t.Errorf("proofs %v and %v", first, second)
	}
	_, first = decoded(t, requests[0].Form.Get("client_assertion"))
	_, second = decoded(t, requests[1].Form.Get("client_assertion"))
	if first["jti"] == second["jti"] {
		t.Error("an assertion was sent twice")
	}
	// DPOP-14: the nonce is remembered.
	if _, err := login(t, server, client); err != nil || len(server.Requests()) != 3 {
		t.Errorf("%d requests, error %v", len(server.Requests()), err)
	}
}

// DPOP-12: one more attempt, and then it is over.
func TestNonceRetryStops(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{DPoP: true})
	client, set := loggedIn(t, server, func(c *provider.Config) { c.Provider.DPoP = v1alpha1.DPoPRequired })
	before := server.Count("/token")
	server.Behave(serve("/token", func(w http.ResponseWriter) {
		w.Header().Set("DPoP-Nonce", "never-enough")
		providertest.Fail(w, http.StatusBadRequest, "use_dpop_nonce")
	}))
	_, err := client.Refresh(t.Context(), set, token.Target{})
	wantFailure(t, err, provider.ReasonProofRefused)
	if n := server.Count("/token") - before; n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// DPOP-08: a Bearer token where one bound to a key was wanted.
func TestBearerInPlaceOfDPoP(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	_, err := login(t, server, clientOf(server, binding(v1alpha1.DPoPRequired)))
	wantFailure(t, err, provider.ReasonNotBound)

	client := clientOf(server, binding(v1alpha1.DPoPPreferred))
	got, err := login(t, server, client)
	if err != nil || got.Tokens.Access.Type != token.Bearer || got.Tokens.Key != nil {
		t.Fatalf("error %v", err)
	}
	renewed, err := client.Refresh(t.Context(), got.Tokens, token.Target{})
	if err != nil || renewed.Access.Type != token.Bearer || renewed.Key != nil {
		t.Errorf("error %v", err)
	}
}

// DPOP-09: a key that is lost costs no session. What was bound to it is gone.
func TestLostKey(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{DPoP: true})
	client, set := loggedIn(t, server, binding(v1alpha1.DPoPRequired))
	target := token.Target{Resource: "https://a.example.com/"}
	set, err := client.Refresh(t.Context(), set, target)
	if err != nil {
		t.Fatal(err)
	}
	set.Key = []byte("unreadable")
	renewed, err := client.Refresh(t.Context(), set, token.Target{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dpop.ParseKey(renewed.Key); err != nil {
		t.Error("there is no new key")
	}
	if _, ok := renewed.For(target); ok {
		t.Error("a token that is bound to the lost key was kept")
	}
	if _, ok := set.For(target); !ok {
		t.Error("the old set was changed")
	}
}

// DPOP-09, DPOP-16: a key that the provider does not take any more is replaced.
func TestOutdatedKey(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{DPoP: true, Metadata: func(m map[string]any) {
		m["dpop_signing_alg_values_supported"] = []string{"EdDSA"}
	}})
	client, set := loggedIn(t, server, binding(v1alpha1.DPoPRequired))
	outdated, err := dpop.NewKey([]string{"ES256"})
	if err != nil {
		t.Fatal(err)
	}
	set.Key = outdated.Marshal()
	renewed, err := client.Refresh(t.Context(), set, token.Target{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := dpop.ParseKey(renewed.Key)
	if err != nil || !key.TakenBy([]string{"EdDSA"}) {
		t.Errorf("the key is %v, %v", key, err)
	}
}

// DPOP-16: a key too large for a cookie is made when the code comes.
func TestLargeKey(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{DPoP: true, Metadata: func(m map[string]any) {
		m["dpop_signing_alg_values_supported"] = []string{"PS256"}
	}})
	client := clientOf(server, binding(v1alpha1.DPoPRequired))
	if key, err := client.NewKey(t.Context()); key != nil || err != nil {
		t.Errorf("a key for the cookie: %v, %v", key, err)
	}
	got, err := login(t, server, client)
	if err != nil || got.Tokens.Access.Type != token.DPoP {
		t.Errorf("error %v", err)
	}
}

func TestNoKey(t *testing.T) {
	disabled := providertest.Start(t, providertest.Behaviour{DPoP: true})
	if key, err := clientOf(disabled, nil).NewKey(t.Context()); key != nil || err != nil {
		t.Errorf("a key though the policy wants none: %v, %v", key, err)
	}
	odd := func(m map[string]any) { m["dpop_signing_alg_values_supported"] = []string{"MARKER"} }
	server := providertest.Start(t, providertest.Behaviour{DPoP: true, Metadata: odd})
	_, err := login(t, server, clientOf(server, binding(v1alpha1.DPoPRequired)))
	wantFailure(t, err, provider.ReasonKey)
	if len(server.Requests()) != 0 {
		t.Error("the code was spent")
	}
	server.Behave(providertest.Behaviour{Metadata: odd})
	if got, err := login(t, server, clientOf(server, func(c *provider.Config) {
		c.Provider.DPoP = v1alpha1.DPoPPreferred
	})); err != nil || got.Tokens.Access.Type != token.Bearer {
		t.Errorf("preferred: %v", err)
	}
}
