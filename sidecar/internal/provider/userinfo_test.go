package provider_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

func withUserInfo(c *provider.Config) { c.Provider.UserInfo = v1alpha1.Enabled }

// OIDC-07, CT-24: plain or signed, it adds what the ID token does not say, and
// nothing that is about the login.
func TestUserInfo(t *testing.T) {
	for name, b := range map[string]providertest.Behaviour{
		"JSON": {}, "signed": {SignedUserInfo: true},
		"signed, without iss and aud": {SignedUserInfo: true, UserInfo: func(c map[string]any) { delete(c, "iss"); delete(c, "aud") }},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, b)
			got, err := login(t, server, clientOf(server, withUserInfo))
			if err != nil {
				t.Fatal(err)
			}
			if got.Claims["nickname"] != "ally" || got.Claims["name"] != "Alice Liddell" || got.Claims["sub"] != "alice" {
				t.Errorf("claims %v", got.Claims)
			}
			if _, there := got.Claims["acr"]; there || got.ACR != "" {
				t.Error("the UserInfo endpoint has spoken of the authentication")
			}
		})
	}
	server := providertest.Start(t, providertest.Behaviour{})
	if _, err := login(t, server, clientOf(server, nil)); err != nil || server.Count("/userinfo") != 0 {
		t.Errorf("asked %d times though it is disabled, error %v", server.Count("/userinfo"), err)
	}
}

// OIDC-08, OIDC-09, CT-13: nobody is logged in by an answer that is about
// somebody else, or not the provider's.
func TestUserInfoRefuses(t *testing.T) {
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	jwt := func(make func(*providertest.Server) string) func(*providertest.Server) providertest.Behaviour {
		return func(s *providertest.Server) providertest.Behaviour {
			return serve("/userinfo", func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/jwt")
				_, _ = io.WriteString(w, make(s))
			})
		}
	}
	always := func(b providertest.Behaviour) func(*providertest.Server) providertest.Behaviour {
		return func(*providertest.Server) providertest.Behaviour { return b }
	}
	for name, row := range map[string]struct {
		b    func(*providertest.Server) providertest.Behaviour
		want provider.Reason
	}{
		"OIDC-08 another user":         {always(providertest.Behaviour{UserInfo: set("sub", "bob")}), provider.ReasonUserInfoSubject},
		"OIDC-08 another case":         {always(providertest.Behaviour{UserInfo: set("sub", "Alice")}), provider.ReasonUserInfoSubject},
		"OIDC-08 no user":              {always(providertest.Behaviour{UserInfo: func(c map[string]any) { delete(c, "sub") }}), provider.ReasonUserInfoSubject},
		"OIDC-08 another user, signed": {always(providertest.Behaviour{SignedUserInfo: true, UserInfo: set("sub", "bob")}), provider.ReasonUserInfoSubject},
		"OIDC-09 for somebody else":    {always(providertest.Behaviour{SignedUserInfo: true, UserInfo: set("aud", "bank")}), provider.ReasonUserInfoAudience},
		"OIDC-09 from somebody else":   {always(providertest.Behaviour{SignedUserInfo: true, UserInfo: set("iss", "https://evil.example.com")}), provider.ReasonUserInfoIssuer},
		"OIDC-09 encrypted":            {jwt(func(*providertest.Server) string { return providertest.Encrypted() }), provider.ReasonUserInfoEncrypted},
		"OIDC-09 unsigned":             {jwt(func(*providertest.Server) string { return providertest.Unsigned(`{"sub":"alice"}`) }), provider.ReasonUserInfoAlgorithm},
		"OIDC-09 JSON called a JWT":    {jwt(func(*providertest.Server) string { return `{"sub":"alice"}` }), provider.ReasonUserInfoResponse},
		"OIDC-09 another algorithm":    {jwt(func(s *providertest.Server) string { return s.SignAs(jose.PS256, map[string]any{"sub": "alice"}) }), provider.ReasonUserInfoAlgorithm},
		"OIDC-09 wrong key": {jwt(func(s *providertest.Server) string {
			return s.SignWith(jose.RS256, providertest.OtherKey(), "key-0", map[string]any{"sub": "alice"})
		}), provider.ReasonUserInfoSignature},
		"a JWT called JSON": {always(serve("/userinfo", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "MARKER.a.b")
		})), provider.ReasonUserInfoResponse},
		"HTML":                          {always(serve("/userinfo", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>MARKER") })), provider.ReasonUserInfoResponse},
		"401":                           {always(serve("/userinfo", func(w http.ResponseWriter) { http.Error(w, "MARKER", http.StatusUnauthorized) })), provider.ReasonUserInfoRefused},
		"503":                           {always(serve("/userinfo", func(w http.ResponseWriter) { http.Error(w, "MARKER", http.StatusServiceUnavailable) })), provider.ReasonStatus},
		"cut short":                     {always(serve("/userinfo", cutShort)), provider.ReasonUnreachable},
		"no endpoint":                   {always(providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "userinfo_endpoint") }}), provider.ReasonUserInfoMissing},
		"SEC-10 wrong nonce, not asked": {always(providertest.Behaviour{Claims: set("nonce", "another")}), provider.ReasonIDTokenNonce},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{})
			server.Behave(row.b(server))
			got, err := login(t, server, clientOf(server, withUserInfo))
			wantFailure(t, err, row.want)
			if got != nil {
				t.Error("somebody was logged in")
			}
			if row.want == provider.ReasonIDTokenNonce && server.Count("/userinfo") != 0 {
				t.Error("a token was used before it was verified")
			}
		})
	}
}
