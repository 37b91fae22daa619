package provider

import (
	"slices"
	"strings"
	"testing"
)

func TestMetadata(t *testing.T) {
	good := func() metadata {
		return metadata{
			AuthorizationEndpoint: "https://id.example.com/authorize?tenant=1",
			TokenEndpoint:         "https://token.example.net/token",
			KeysURL:               "https://id.example.com/keys",
			RevocationEndpoint:    "https://id.example.com/revoke",
			EndSessionEndpoint:    "https://id.example.com/logout",
			Algorithms:            []string{"HS256", "none", "ES256", "RS256"},
			ChallengeMethods:      []string{"plain", "S256"},
		}
	}
	for name, row := range map[string]struct {
		change   func(*metadata)
		insecure bool
		err      string // part of it
		dropped  string
	}{
		"complete": {change: func(*metadata) {}},
		"no authorization endpoint": {
			change: func(m *metadata) { m.AuthorizationEndpoint = "" }, err: "authorization_endpoint is missing"},
		"token endpoint without TLS": {
			change: func(m *metadata) { m.TokenEndpoint = "http://id.example.com/token" }, err: "token_endpoint does not use https"},
		"token endpoint without TLS, elsewhere, though the issuer is local": {
			change: func(m *metadata) { m.TokenEndpoint = "http://id.example.com/token" }, insecure: true, err: "token_endpoint does not use https"},
		"token endpoint without TLS on this machine": {
			change: func(m *metadata) { m.TokenEndpoint = "http://id.localhost:8090/token" }, insecure: true},
		"token endpoint without TLS on this machine, for an https issuer": {
			change: func(m *metadata) { m.TokenEndpoint = "http://localhost/token" }, err: "token_endpoint does not use https"},
		"relative keys": {
			change: func(m *metadata) { m.KeysURL = "/keys" }, err: "jwks_uri is not an absolute URL"},
		"user in the URL": {
			change: func(m *metadata) { m.TokenEndpoint = "https://a:b@id.example.com/token" }, err: "token_endpoint holds a user"},
		"fragment": {
			change: func(m *metadata) { m.AuthorizationEndpoint = "https://id.example.com/#a" }, err: "authorization_endpoint has a fragment"},
		"file": {
			change: func(m *metadata) { m.KeysURL = "file:///etc/passwd" }, err: "jwks_uri is not an absolute URL"},
		"SEC-04 no list of challenge methods": {change: func(m *metadata) { m.ChallengeMethods = nil }},
		"SEC-09 plain alone": {
			change: func(m *metadata) { m.ChallengeMethods = []string{"plain"} }, err: "lacks S256"},
		"IDT-15 none and shared secrets alone": {
			change: func(m *metadata) { m.Algorithms = []string{"none", "HS256", "HS384", "HS512"} }, err: "id_token_signing_alg_values_supported has none of RS256"},
		"RPL-08 end session endpoint that is not a URL": {
			change: func(m *metadata) { m.EndSessionEndpoint = "javascript:alert(1)" }, dropped: "end_session_endpoint"},
		"revocation endpoint without TLS": {
			change: func(m *metadata) { m.RevocationEndpoint = "http://id.example.com/revoke" }, dropped: "revocation_endpoint"},
		"RPL-09 no optional endpoint": {change: func(m *metadata) { m.EndSessionEndpoint, m.RevocationEndpoint = "", "" }},
	} {
		t.Run(name, func(t *testing.T) {
			m := good()
			row.change(&m)
			checked, dropped, err := m.check(row.insecure)
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Fatalf("error %v, want one with %q", err, row.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(dropped, " "); got != row.dropped {
				t.Errorf("dropped %q, want %q", got, row.dropped)
			}
			if !slices.Equal(checked.Algorithms, []string{"RS256", "ES256"}) {
				t.Errorf("agreed on the algorithms %v", checked.Algorithms)
			}
		})
	}
}

// IDT-07: a provider that advertises nothing signs with RS256.
func TestDefaultAlgorithm(t *testing.T) {
	m := metadata{AuthorizationEndpoint: "https://a/", TokenEndpoint: "https://a/", KeysURL: "https://a/"}
	checked, _, err := m.check(false)
	if err != nil || !slices.Equal(checked.Algorithms, []string{"RS256"}) {
		t.Errorf("algorithms %v, error %v", checked.Algorithms, err)
	}
}
