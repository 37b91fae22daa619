package provider_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// everything is a life of a grant: push, code, refresh, revocation.
func everything(t *testing.T, server *providertest.Server, client *provider.Client) {
	t.Helper()
	got, err := login(t, server, client)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := client.Refresh(t.Context(), got.Tokens, token.Target{})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Revoke(t.Context(), renewed); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range server.Requests() {
		if !r.Authenticated {
			t.Errorf("%s: not authenticated", r.Path)
		}
		paths = append(paths, r.Path)
	}
	if got := strings.Join(paths, " "); got != "/par /token /token /revoke /revoke" {
		t.Errorf("requests: %s", got)
	}
}

// BFF-01, OA-06, OIDC-05, PAR-01, SEC-21: each method, at each endpoint, and no
// other. The provider refuses a request with more than one.
func TestClientAuthentication(t *testing.T) {
	key := ellipticKey(t)
	all := clientauth.Credentials{ // those a method does not need must not be used
		Secret: secret.New(providertest.ClientSecret), PrivateKey: signingKey(t, key), ServiceAccountToken: secret.New("MARKER.service.account"),
	}
	for _, method := range []v1alpha1.ClientAuthenticationMethod{
		v1alpha1.ClientSecretBasic, v1alpha1.ClientSecretPost, v1alpha1.ClientSecretJWT, v1alpha1.PrivateKeyJWT, v1alpha1.WorkloadIdentity,
	} {
		t.Run(string(method), func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{PAR: true})
			server.RegisterKey(key.Public())
			server.RegisterAssertion("MARKER.service.account")
			everything(t, server, clientOf(server, func(c *provider.Config) {
				c.Provider.ClientAuthentication.Method = method
				c.Credentials = func() clientauth.Credentials { return all }
			}))

			// BFF-01: without credentials nothing is sent.
			without := clientOf(server, func(c *provider.Config) {
				c.Provider.ClientAuthentication.Method = method
				c.Credentials = func() clientauth.Credentials { return clientauth.Credentials{} }
			})
			before := len(server.Requests())
			_, err := without.Refresh(t.Context(), token.Set{Refresh: "x"}, token.Target{})
			wantFailure(t, err, provider.ReasonCredentials)
			wantFailure(t, without.Revoke(t.Context(), token.Set{Refresh: "x"}), provider.ReasonCredentials)
			if len(server.Requests()) != before {
				t.Error("a request was sent without credentials")
			}
		})
	}
}

// A rotated secret is used for the next call, and a wrong one is not tried
// another way.
func TestRotatedSecret(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	var current atomic.Value
	current.Store("old")
	client := clientOf(server, func(c *provider.Config) {
		c.Credentials = func() clientauth.Credentials {
			return clientauth.Credentials{Secret: secret.New(current.Load().(string))}
		}
	})
	_, err := login(t, server, client)
	wantFailure(t, err, provider.ReasonClientRefused)
	current.Store(providertest.ClientSecret)
	if _, err := login(t, server, client); err != nil {
		t.Fatalf("after the secret was rotated: %v", err)
	}
	if n := len(server.Requests()); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// JWTA-01 to JWTA-06, PAR-08, FAPI-05: at every endpoint a fresh assertion for
// the issuer.
func TestAssertions(t *testing.T) {
	key := ellipticKey(t)
	for audience, row := range map[v1alpha1.AssertionAudience]struct {
		suffix string
		typ    any
	}{
		v1alpha1.AudienceIssuer:        {"", "client-authentication+jwt"},
		v1alpha1.AudienceTokenEndpoint: {"/token", nil},
	} {
		t.Run(string(audience), func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{PAR: true})
			server.RegisterKey(key.Public())
			everything(t, server, clientOf(server, func(c *provider.Config) {
				c.Provider.ClientAuthentication = v1alpha1.ClientAuthentication{Method: v1alpha1.PrivateKeyJWT, AssertionAudience: audience}
				c.Credentials = func() clientauth.Credentials { return clientauth.Credentials{PrivateKey: signingKey(t, key)} }
			}))
			seen := map[any]bool{}
			for _, r := range server.Requests() {
				header, claims := decoded(t, r.Form.Get("client_assertion"))
				if claims["aud"] != server.Issuer+row.suffix || header["typ"] != row.typ || seen[claims["jti"]] {
					t.Errorf("%s: header %v, claims %v", r.Path, header, claims)
				}
				seen[claims["jti"]] = true
			}
		})
	}
}

// decoded are the header and the claims of a JWT.
func decoded(t *testing.T, jwt string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatal("not a JWT")
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			t.Fatal("not a JWT")
		}
	}
	return header, claims
}

// JWTA-08: assertions and request objects are signed by what the provider takes,
// and not at all if it takes nothing that the key can do.
func TestSigningAlgorithms(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		assertions, objects       []string
		wantAssertion, wantObject string
		want                      provider.Reason
	}{
		"it does not say":   {wantAssertion: "PS256", wantObject: "PS256"},
		"each its own":      {[]string{"HS256", "RS256"}, []string{"none", "RS256", "PS256"}, "RS256", "PS256", ""},
		"no assertion":      {assertions: []string{"HS256", "ES256"}, want: provider.ReasonClientRefused},
		"no request object": {objects: []string{"none", "ES256"}, want: provider.ReasonRequestObject},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{PAR: true, Metadata: func(m map[string]any) {
				m["token_endpoint_auth_signing_alg_values_supported"], m["request_object_signing_alg_values_supported"] = row.assertions, row.objects
			}})
			server.RegisterKey(key.Public())
			client := clientOf(server, func(c *provider.Config) {
				c.Provider.ClientAuthentication.Method, c.Provider.RequestObject = v1alpha1.PrivateKeyJWT, v1alpha1.RequestObjectSigned
				c.Credentials = func() clientauth.Credentials { return clientauth.Credentials{PrivateKey: signingKey(t, key)} }
			})
			_, err := login(t, server, client)
			if row.want != "" {
				wantFailure(t, err, row.want)
				if !errors.Is(err, clientauth.ErrAlgorithm) || len(server.Requests()) != 0 {
					t.Errorf("%d requests, and %v", len(server.Requests()), err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			pushed := server.Requests()[0].Form
			assertion, _ := decoded(t, pushed.Get("client_assertion"))
			object, _ := decoded(t, pushed.Get("request"))
			if assertion["alg"] != row.wantAssertion || object["alg"] != row.wantObject {
				t.Errorf("the assertion is signed by %v, the request object by %v", assertion["alg"], object["alg"])
			}
		})
	}
}

// MTLS-01, MTLS-02, MTLS-05: the certificate is shown where the provider asks
// for it, and a renewed one is shown next.
func TestCertificate(t *testing.T) {
	server := providertest.StartTLS(t, providertest.Behaviour{Metadata: func(m map[string]any) {
		m["pushed_authorization_request_endpoint"] = m["issuer"].(string) + "/par"
		m["token_endpoint"] = "https://token.example.com/nobody-is-here"
		m["mtls_endpoint_aliases"] = map[string]any{"token_endpoint": m["issuer"].(string) + "/token"}
	}, PAR: true})
	credentials, certificate := certificateFor(t, "old")
	server.RegisterCertificate(certificate)
	var current atomic.Pointer[clientauth.Credentials]
	current.Store(&credentials)
	client := clientOf(server, func(c *provider.Config) {
		c.Provider.ClientAuthentication.Method = v1alpha1.SelfSignedTLSClientAuth
		c.Credentials = func() clientauth.Credentials { return *current.Load() }
	})
	everything(t, server, client)
	for _, r := range server.Requests() {
		if r.Form.Get("client_id") != "shop" {
			t.Errorf("%s: client_id %q", r.Path, r.Form.Get("client_id"))
		}
	}

	renewed, certificate := certificateFor(t, "new")
	server.RegisterCertificate(certificate)
	current.Store(&renewed)
	if _, err := login(t, server, client); err != nil {
		t.Errorf("with the renewed certificate: %v", err)
	}

	current.Store(&clientauth.Credentials{})
	_, err := client.Refresh(t.Context(), token.Set{Refresh: "x"}, token.Target{})
	wantFailure(t, err, provider.ReasonCredentials)
}
