package provider_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

func TestExchange(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	before := time.Now()
	got, err := login(t, provider.New(configFor(server)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != server.Issuer || got.Subject != "alice" || got.SID != "provider-session" || got.Claims["name"] != "Alice Liddell" {
		t.Errorf("issuer %q, subject %q, sid %q, claims %v", got.Issuer, got.Subject, got.SID, got.Claims)
	}
	if set := got.Tokens; set.Access == "" || set.Refresh == "" || set.ID == "" {
		t.Errorf("tokens missing: %v", set)
	}
	if lifetime := got.Tokens.AccessExpiry.Sub(before); lifetime < 60*time.Second || lifetime > 70*time.Second {
		t.Errorf("the access token lives %v, want 60s", lifetime)
	}
}

// OA-06, OIDC-05: one way to authenticate, the registered one, with a secret
// full of odd characters that is read when it is used.
func TestClientAuthentication(t *testing.T) {
	for _, method := range []v1alpha1.ClientAuthenticationMethod{v1alpha1.ClientSecretBasic, v1alpha1.ClientSecretPost} {
		t.Run(string(method), func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{})
			var current atomic.Value
			current.Store("old")
			config := configFor(server)
			config.Method = method
			config.Secret = func() secret.String { return secret.New(current.Load().(string)) }
			client := provider.New(config)

			_, err := login(t, client)
			wantFailure(t, err, provider.ReasonClientRefused)
			current.Store(providertest.ClientSecret)
			got, err := login(t, client)
			if err != nil {
				t.Fatalf("after the secret was rotated: %v", err)
			}
			if _, err := client.Refresh(t.Context(), got.Tokens); err != nil {
				t.Error(err)
			}
			if err := client.Revoke(t.Context(), got.Tokens.Refresh); err != nil {
				t.Error(err)
			}

			for _, r := range server.Requests() {
				inHeader, inBody := r.User != "" || r.Secret != "", r.Form.Has("client_secret")
				if inHeader != (method == v1alpha1.ClientSecretBasic) || inBody != (method == v1alpha1.ClientSecretPost) {
					t.Errorf("%s: authenticated in the header %t, in the body %t", r.Path, inHeader, inBody)
				}
			}
			if n := len(server.Requests()); n != 4 {
				t.Errorf("%d requests, want 4: the client must not try again another way", n)
			}

			// BFF-01: without a secret nothing is sent.
			current.Store("")
			_, err = login(t, client)
			wantFailure(t, err, provider.ReasonClientSecret)
			wantFailure(t, client.Revoke(t.Context(), "x"), provider.ReasonClientSecret)
			if n := len(server.Requests()); n != 4 {
				t.Error("a request was sent without a client secret")
			}
		})
	}
}

// Token responses and ID tokens that must not log anybody in.
func TestExchangeRefuses(t *testing.T) {
	claims := func(change func(map[string]any)) providertest.Behaviour {
		return providertest.Behaviour{Claims: change}
	}
	response := func(change func(map[string]any)) providertest.Behaviour {
		return providertest.Behaviour{Response: change}
	}
	signed := func(sign func(*providertest.Server, map[string]any) string) providertest.Behaviour {
		return providertest.Behaviour{Sign: sign}
	}
	set := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	without := func(name string) func(map[string]any) {
		return func(m map[string]any) { delete(m, name) }
	}
	for name, row := range map[string]struct {
		b    providertest.Behaviour
		want provider.Reason
	}{
		"OIDC-06 no ID token":          {response(without("id_token")), provider.ReasonIDTokenMissing},
		"OIDC-06 ID token is a number": {response(set("id_token", 1)), provider.ReasonIDTokenMissing},
		"ID token is no JWT":           {response(set("id_token", "MARKER")), provider.ReasonIDTokenSignature},
		"OA-07 token type mac":         {response(set("token_type", "mac")), provider.ReasonTokenType},
		"OA-07 no token type":          {response(without("token_type")), provider.ReasonTokenType},
		"no access token":              {response(without("access_token")), provider.ReasonResponse},
		"access token with line break": {response(set("access_token", "MARKER\r\nX: y")), provider.ReasonResponse},
		"error with status 200":        {response(set("error", "invalid_grant")), provider.ReasonResponse},
		"CT-02 issuer":                 {claims(set("iss", "https://evil.example.com")), provider.ReasonIDTokenIssuer},
		"CT-03 no subject":             {claims(without("sub")), provider.ReasonIDTokenSubject},
		"CT-04 audience":               {claims(set("aud", "bank")), provider.ReasonIDTokenAudience},
		"CT-05 no audience":            {claims(without("aud")), provider.ReasonIDTokenAudience},
		"FT-05 a second audience":      {claims(set("aud", []string{providertest.ClientID, "bank"})), provider.ReasonIDTokenAudience},
		"IDT-05 authorized party":      {claims(set("azp", "bank")), provider.ReasonIDTokenAuthorizedParty},
		"CT-06 no iat":                 {claims(without("iat")), provider.ReasonIDTokenMalformed},
		"FT-07 expired":                {claims(set("exp", time.Now().Add(-5*time.Minute).Unix())), provider.ReasonIDTokenExpired},
		"FT-07 no expiry":              {claims(without("exp")), provider.ReasonIDTokenMalformed},
		"CT-14 nonce":                  {claims(set("nonce", "another")), provider.ReasonIDTokenNonce},
		"FT-08 no nonce":               {claims(without("nonce")), provider.ReasonIDTokenNonce},
		"IDT-17 at_hash":               {claims(set("at_hash", providertest.AccessHash("another"))), provider.ReasonIDTokenAccessHash},
		"IDT-17 at_hash is empty":      {claims(set("at_hash", "")), provider.ReasonIDTokenAccessHash},
		"CT-10 alg none": {signed(func(_ *providertest.Server, c map[string]any) string {
			payload, _ := json.Marshal(c)
			return providertest.Unsigned(string(payload))
		}), provider.ReasonIDTokenSignature},
		"IDT-08 HS256 with the public key": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignWith(jose.HS256, x509.MarshalPKCS1PublicKey(s.PublicKey()), "key-0", c)
		}), provider.ReasonIDTokenSignature},
		"IDT-08 HS256 with the client secret": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignWith(jose.HS256, []byte(providertest.ClientSecret), "key-0", c)
		}), provider.ReasonIDTokenSignature},
		"IDT-07 an algorithm that is not advertised": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignAs(jose.PS256, c)
		}), provider.ReasonIDTokenSignature},
		"IDT-06 a foreign key under a known id": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignWith(jose.RS256, providertest.OtherKey(), "key-0", c)
		}), provider.ReasonIDTokenSignature},
		"IDT-06 a foreign key without an id": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignWith(jose.RS256, providertest.OtherKey(), "", c)
		}), provider.ReasonIDTokenSignature},
		"IDT-16 the key comes with the token": {signed(func(s *providertest.Server, c map[string]any) string {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: providertest.OtherKey()}, &jose.SignerOptions{EmbedJWK: true})
			if err != nil {
				panic(err)
			}
			payload, _ := json.Marshal(c)
			jws, _ := signer.Sign(payload)
			compact, _ := jws.CompactSerialize()
			return compact
		}), provider.ReasonIDTokenSignature},
		"CT-11 a changed claim": {signed(func(s *providertest.Server, c map[string]any) string {
			genuine, other := s.Sign(c), maps.Clone(c)
			other["sub"] = "bob"
			return splice(genuine, s.Sign(other))
		}), provider.ReasonIDTokenSignature},
		"keys are no keys": {serve("/keys", func(w http.ResponseWriter) { _, _ = w.Write([]byte("MARKER")) }), provider.ReasonKeys},
		"no keys":          {serve("/keys", func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"keys":[]}`)) }), provider.ReasonKeys},
		"shared keys": {serve("/keys", func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"key-0"}]}`))
		}), provider.ReasonKeys},
		"keys unavailable":        {serve("/keys", func(w http.ResponseWriter) { http.Error(w, "MARKER", http.StatusServiceUnavailable) }), provider.ReasonStatus},
		"keys too long":           {serve("/keys", oversized), provider.ReasonUnreachable},
		"token endpoint cut":      {serve("/token", cutShort), provider.ReasonUnreachable},
		"token endpoint garbage":  {serve("/token", garbage), provider.ReasonUnreachable},
		"token endpoint too long": {serve("/token", oversized), provider.ReasonUnreachable},
		"token endpoint HTML":     {serve("/token", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>MARKER")) }), provider.ReasonResponse},
		"token endpoint 404":      {serve("/token", func(w http.ResponseWriter) { http.Error(w, "MARKER", 404) }), provider.ReasonResponse},
		"token endpoint 503":      {serve("/token", func(w http.ResponseWriter) { http.Error(w, "MARKER", http.StatusServiceUnavailable) }), provider.ReasonStatus},
		"token endpoint 429":      {serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 429, "slow_down") }), provider.ReasonStatus},
		"invalid_grant":           {serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 400, "invalid_grant") }), provider.ReasonGrantRefused},
		"invalid_client":          {serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 401, "invalid_client") }), provider.ReasonClientRefused},
		"a code of its own":       {serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 400, "MARKER") }), provider.ReasonRefused},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, row.b)
			got, err := login(t, provider.New(configFor(server)))
			wantFailure(t, err, row.want)
			if got != nil {
				t.Error("somebody was logged in")
			}
		})
	}
}

// splice puts the payload of one JWT between header and signature of another.
func splice(outer, inner string) string {
	o, i := strings.Split(outer, "."), strings.Split(inner, ".")
	return strings.Join([]string{o[0], i[1], o[2]}, ".")
}

func TestExchangeAccepts(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"OA-07 bearer in lower case":  func(r map[string]any) { r["token_type"] = "bearer" },
		"OA-07 BEARER in upper case":  func(r map[string]any) { r["token_type"] = "BEARER" },
		"OA-08 no expires_in":         func(r map[string]any) { delete(r, "expires_in") },
		"OA-08 other scope":           func(r map[string]any) { r["scope"] = "openid" },
		"OA-04 unknown members":       func(r map[string]any) { r["x"] = map[string]any{"y": 1} },
		"no refresh token":            func(r map[string]any) { delete(r, "refresh_token") },
		"expires_in is a string":      func(r map[string]any) { r["expires_in"] = "60" },
		"expires_in beyond all bound": func(r map[string]any) { r["expires_in"] = 1 << 62 },
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{Response: change})
			got, err := login(t, provider.New(configFor(server)))
			if err != nil {
				t.Fatal(err)
			}
			if name == "OA-08 no expires_in" && !got.Tokens.AccessExpiry.IsZero() {
				t.Errorf("an expiry was made up: %v", got.Tokens.AccessExpiry)
			}
		})
	}
}

// CT-07, OIDC-13: a token need not name its key.
func TestIDTokenWithoutKeyID(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	server.RotateKey()
	server.Behave(providertest.Behaviour{Sign: func(s *providertest.Server, c map[string]any) string {
		return s.SignWith(jose.RS256, providertest.OtherKey(), "", c)
	}})
	if _, err := login(t, provider.New(configFor(server))); err != nil {
		t.Error(err)
	}
}

// SEC-07: the provider binds a code to its verifier, and the client sends the
// one that belongs to the transaction.
func TestCodeOfAnotherTransaction(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client := provider.New(configFor(server))
	target, err := client.AuthorizationURL(t.Context(), provider.AuthorizationRequest{State: "s", Nonce: "n", CodeVerifier: oauth2.GenerateVerifier()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Exchange(t.Context(), codeFor(t, target), oauth2.GenerateVerifier(), "n")
	wantFailure(t, err, provider.ReasonGrantRefused)
}

// A redirect of the token endpoint would carry the client secret away.
func TestTokenEndpointRedirectIsNotFollowed(t *testing.T) {
	elsewhere := providertest.Start(t, providertest.Behaviour{})
	server := providertest.Start(t, serve("/token", redirectTo(elsewhere.Issuer+"/token")))
	_, err := login(t, provider.New(configFor(server)))
	wantFailure(t, err, provider.ReasonResponse)
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

func TestHangingTokenEndpoint(t *testing.T) {
	server := providertest.Start(t, hang("/token"))
	config := configFor(server)
	config.Timeout = 200 * time.Millisecond
	start := time.Now()
	_, err := login(t, provider.New(config))
	wantFailure(t, err, provider.ReasonUnreachable)
	if !errors.Is(err, provider.ErrUnavailable) || time.Since(start) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}
