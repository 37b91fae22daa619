package provider_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

func TestExchange(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	before := time.Now()
	got, err := login(t, server, provider.New(configFor(server)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != server.Issuer || got.Subject != "alice" || got.SID != "provider-session" || got.Claims["name"] != "Alice Liddell" {
		t.Errorf("issuer %q, subject %q, sid %q, claims %v", got.Issuer, got.Subject, got.SID, got.Claims)
	}
	set := got.Tokens
	if set.Access.Token == "" || set.Access.Type != token.Bearer || set.Refresh == "" || set.ID == "" || set.Key != nil {
		t.Errorf("tokens missing: %v", set)
	}
	if set.Access.ObtainedAt.Before(before) || got.AuthTime.IsZero() {
		t.Errorf("obtained at %v, authenticated at %v", set.Access.ObtainedAt, got.AuthTime)
	}
	if lifetime := set.Access.Expiry.Sub(before); lifetime < 60*time.Second || lifetime > 70*time.Second {
		t.Errorf("the access token lives %v, want 60s", lifetime)
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
		"ID token is no JWT":           {response(set("id_token", "MARKER")), provider.ReasonIDTokenMalformed},
		"IDT-01 encrypted":             {response(set("id_token", providertest.Encrypted())), provider.ReasonIDTokenEncrypted},
		"OA-07 DPoP without a proof":   {response(set("token_type", "DPoP")), provider.ReasonTokenType},
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
		}), provider.ReasonIDTokenAlgorithm},
		"BCL-21 a logout token": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignTyped(jose.RS256, "logout+jwt", c)
		}), provider.ReasonIDTokenType},
		"an access token": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignTyped(jose.RS256, "application/AT+JWT", c)
		}), provider.ReasonIDTokenType},
		"IDT-08 HS256 with the public key": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignWith(jose.HS256, x509.MarshalPKCS1PublicKey(s.PublicKey()), "key-0", c)
		}), provider.ReasonIDTokenAlgorithm},
		"IDT-08 HS256 with the client secret": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignWith(jose.HS256, []byte(providertest.ClientSecret), "key-0", c)
		}), provider.ReasonIDTokenAlgorithm},
		"IDT-07 an algorithm that is not advertised": {signed(func(s *providertest.Server, c map[string]any) string {
			return s.SignAs(jose.PS256, c)
		}), provider.ReasonIDTokenAlgorithm},
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
		"invalid_scope":           {serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 400, "invalid_scope") }), provider.ReasonTarget},
		"invalid_grant":           {serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 400, "invalid_grant") }), provider.ReasonGrantRefused},
		"invalid_client":          {serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 401, "invalid_client") }), provider.ReasonClientRefused},
		"a code of its own":       {serve("/token", func(w http.ResponseWriter) { providertest.Fail(w, 400, "MARKER") }), provider.ReasonRefused},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, row.b)
			got, err := login(t, server, provider.New(configFor(server)))
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
			got, err := login(t, server, provider.New(configFor(server)))
			if err != nil {
				t.Fatal(err)
			}
			if name == "OA-08 no expires_in" && !got.Tokens.Access.Expiry.IsZero() {
				t.Errorf("an expiry was made up: %v", got.Tokens.Access.Expiry)
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
	if _, err := login(t, server, provider.New(configFor(server))); err != nil {
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
	_, err = client.Exchange(t.Context(), provider.ExchangeRequest{Code: codeFor(t, server, target), CodeVerifier: oauth2.GenerateVerifier(), Nonce: "n"})
	wantFailure(t, err, provider.ReasonGrantRefused)
}

// A redirect of the token endpoint would carry the client secret away.
func TestTokenEndpointRedirectIsNotFollowed(t *testing.T) {
	elsewhere := providertest.Start(t, providertest.Behaviour{})
	server := providertest.Start(t, serve("/token", redirectTo(elsewhere.Issuer+"/token")))
	_, err := login(t, server, provider.New(configFor(server)))
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
	_, err := login(t, server, provider.New(config))
	wantFailure(t, err, provider.ReasonUnreachable)
	if !errors.Is(err, provider.ErrUnavailable) || time.Since(start) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

// FT-06, FAPI-19, IDT-03, IDT-09: what the policy allows, and no more.
func TestPolicyOfIDTokens(t *testing.T) {
	elliptic := ellipticKey(t)
	es256 := func(s *providertest.Server, c map[string]any) string {
		return s.SignAs(jose.ES256, c) // at_hash has SHA-256 too
	}
	only := func(algorithms ...v1alpha1.SigningAlgorithm) func(*provider.Config) {
		return func(c *provider.Config) { c.Provider.IDTokenSigningAlgorithms = algorithms }
	}
	late := func(c map[string]any) { c["exp"] = time.Now().Add(-2 * time.Minute).Unix() }
	both := func(c map[string]any) { c["aud"] = []string{providertest.ClientID, "partner"} }
	for name, row := range map[string]struct {
		b      providertest.Behaviour
		key    crypto.Signer
		config func(*provider.Config)
		want   provider.Reason
	}{
		"ES256 agreed on":         {b: providertest.Behaviour{Sign: es256}, key: elliptic, config: only("ES256")},
		"ES256 not agreed on":     {b: providertest.Behaviour{Sign: es256}, key: elliptic, want: provider.ReasonIDTokenAlgorithm},
		"RS256 not agreed on":     {config: only("PS256", "ES256"), want: provider.ReasonIDTokenAlgorithm},
		"a trusted audience":      {b: providertest.Behaviour{Claims: both}, config: func(c *provider.Config) { c.Provider.TrustedAudiences = []string{"partner"} }},
		"an untrusted audience":   {b: providertest.Behaviour{Claims: both}, config: func(c *provider.Config) { c.Provider.TrustedAudiences = []string{"bank"} }, want: provider.ReasonIDTokenAudience},
		"late within the skew":    {b: providertest.Behaviour{Claims: late}, config: skew(3 * time.Minute)},
		"late outside of it":      {b: providertest.Behaviour{Claims: late}, want: provider.ReasonIDTokenExpired},
		"a second late, no skew":  {b: providertest.Behaviour{Claims: func(c map[string]any) { c["exp"] = time.Now().Add(-time.Second).Unix() }}, config: skew(0), want: provider.ReasonIDTokenExpired},
		"an advertised algorithm": {b: providertest.Behaviour{Sign: es256, Metadata: func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []string{"RS256", "ES256"} }}, key: elliptic},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, row.b)
			if row.key != nil {
				server.UseKey(row.key, "elliptic")
			}
			_, err := login(t, server, clientOf(server, row.config))
			if row.want != "" {
				wantFailure(t, err, row.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func skew(d time.Duration) func(*provider.Config) {
	return func(c *provider.Config) { c.Provider.ClockSkew = &metav1.Duration{Duration: d} }
}
