package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

// LT-04, BCL-06, BCL-18: logout tokens of all kinds of providers.
func TestLogoutTokenAccepted(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client := provider.New(configFor(server))
	for name, row := range map[string]struct {
		raw          string
		subject, sid string
	}{
		"user and session": {server.LogoutToken(nil), "alice", "provider-session"},
		"session":          {server.LogoutToken(func(c map[string]any) { delete(c, "sub") }), "", "provider-session"},
		"user":             {server.LogoutToken(func(c map[string]any) { delete(c, "sid") }), "alice", ""},
		"unknown claims":   {server.LogoutToken(func(c map[string]any) { c["x"] = 1 }), "alice", "provider-session"},
		"audience list":    {server.LogoutToken(func(c map[string]any) { c["aud"] = []string{"shop"} }), "alice", "provider-session"},
		"no type":          {server.SignTyped(jose.RS256, "", server.LogoutClaims()), "alice", "provider-session"},
		"type JWT":         {server.SignTyped(jose.RS256, "JWT", server.LogoutClaims()), "alice", "provider-session"},
		"media type":       {server.SignTyped(jose.RS256, "application/Logout+JWT", server.LogoutClaims()), "alice", "provider-session"},
		"other events too": {server.LogoutToken(func(c map[string]any) { c["events"].(map[string]any)["x"] = 1 }), "alice", "provider-session"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client.VerifyLogoutToken(t.Context(), row.raw)
			if err != nil {
				t.Fatal(err)
			}
			if got.Issuer != server.Issuer || got.Subject != row.subject || got.SID != row.sid || got.JTI == "" || !got.Expiry.After(time.Now()) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// LT-05 to LT-11, BCL-02 to BCL-09: everything else, each with its own reason.
func TestLogoutTokenRefused(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client := provider.New(configFor(server))
	set := func(name string, value any) string {
		return server.LogoutToken(func(c map[string]any) { c[name] = value })
	}
	without := func(names ...string) string {
		return server.LogoutToken(func(c map[string]any) {
			for _, name := range names {
				delete(c, name)
			}
		})
	}
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for name, row := range map[string]struct {
		raw  string
		want provider.Reason
	}{
		"nothing":                     {"", provider.ReasonLogoutMalformed},
		"no JWT":                      {"MARKER", provider.ReasonLogoutMalformed},
		"BCL-02 encrypted":            {providertest.Encrypted(), provider.ReasonLogoutEncrypted},
		"LT-05 unsigned":              {providertest.Unsigned(`{}`), provider.ReasonLogoutAlgorithm},
		"LT-06 other algorithm":       {server.SignTyped(jose.PS256, "logout+jwt", server.LogoutClaims()), provider.ReasonLogoutAlgorithm},
		"BCL-04 shared secret":        {server.SignWith(jose.HS256, []byte(providertest.ClientSecret), "key-0", server.LogoutClaims()), provider.ReasonLogoutAlgorithm},
		"BCL-03 foreign key":          {server.SignWith(jose.RS256, providertest.OtherKey(), "key-0", server.LogoutClaims()), provider.ReasonLogoutSignature},
		"BCL-03 changed":              {splice(server.LogoutToken(nil), server.LogoutToken(nil)), provider.ReasonLogoutSignature},
		"BCL-18 access token":         {server.SignTyped(jose.RS256, "at+jwt", server.LogoutClaims()), provider.ReasonLogoutType},
		"BCL-18 proof":                {server.SignTyped(jose.RS256, "dpop+jwt", server.LogoutClaims()), provider.ReasonLogoutType},
		"LT-07 issuer":                {set("iss", "https://evil.example.com"), provider.ReasonLogoutIssuer},
		"no issuer":                   {without("iss"), provider.ReasonLogoutIssuer},
		"LT-08 audience":              {set("aud", "bank"), provider.ReasonLogoutAudience},
		"BCL-05 a second audience":    {set("aud", []string{"shop", "bank"}), provider.ReasonLogoutAudience},
		"no audience":                 {without("aud"), provider.ReasonLogoutAudience},
		"BCL-05 expired":              {set("exp", ago(time.Minute)), provider.ReasonLogoutExpired},
		"BCL-05 no expiry":            {without("exp"), provider.ReasonLogoutMalformed},
		"BCL-05 not issued":           {without("iat"), provider.ReasonLogoutMalformed},
		"BCL-05 issued in the future": {set("iat", ago(-time.Hour)), provider.ReasonLogoutNotYet},
		"valid in the future":         {set("nbf", ago(-time.Hour)), provider.ReasonLogoutNotYet},
		"BCL-06 nobody":               {without("sub", "sid"), provider.ReasonLogoutSubject},
		"BCL-06 empty session":        {set("sid", ""), provider.ReasonLogoutSubject},
		"BCL-06 empty user":           {set("sub", ""), provider.ReasonLogoutSubject},
		"BCL-06 user is a number":     {set("sub", 1), provider.ReasonLogoutMalformed},
		"LT-09 no event":              {without("events"), provider.ReasonLogoutEvent},
		"LT-10 other event":           {set("events", map[string]any{"x": map[string]any{}}), provider.ReasonLogoutEvent},
		"BCL-07 event is a string":    {set("events", map[string]any{providertest.LogoutEvent: "yes"}), provider.ReasonLogoutEvent},
		"BCL-07 events are a string":  {set("events", providertest.LogoutEvent), provider.ReasonLogoutEvent},
		"LT-11 nonce":                 {set("nonce", "n"), provider.ReasonLogoutNonce},
		"BCL-09 no jti":               {without("jti"), provider.ReasonLogoutID},
		"BCL-09 empty jti":            {set("jti", ""), provider.ReasonLogoutID},
		"BCL-21 an ID token":          {server.Sign(server.IDClaims("n")), provider.ReasonLogoutEvent},
		"BCL-21 an ID token with an event": {server.LogoutToken(func(c map[string]any) {
			c["nonce"] = "n"
		}), provider.ReasonLogoutNonce},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client.VerifyLogoutToken(t.Context(), row.raw)
			wantFailure(t, err, row.want)
			if got != (provider.LogoutToken{}) || provider.IsTemporary(err) {
				t.Errorf("got %+v, temporary %t", got, provider.IsTemporary(err))
			}
		})
	}
}

// BCL-03, CT-31: a key that came up since is fetched, once.
func TestLogoutTokenAfterKeyRotation(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client, _ := loggedIn(t, server, nil)
	server.RotateKey()
	for range 2 {
		if _, err := client.VerifyLogoutToken(t.Context(), server.LogoutToken(nil)); err != nil {
			t.Error(err)
		}
	}
	if n := server.Count("/keys"); n != 2 {
		t.Errorf("keys were fetched %d times, want 2", n)
	}
	server.Behave(serve("/keys", func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) }))
	server.UseKey(ellipticKey(t), "key-2")
	_, err := provider.New(configFor(server)).VerifyLogoutToken(t.Context(), server.SignTyped(jose.ES256, "logout+jwt", server.LogoutClaims()))
	wantFailure(t, err, provider.ReasonLogoutAlgorithm) // not agreed on, whoever has signed it
}
