package provider

import (
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

func TestMetadata(t *testing.T) {
	good := func() metadata {
		return metadata{
			AuthorizationEndpoint: "https://id.example.com/authorize?tenant=1",
			KeysURL:               "https://id.example.com/keys",
			EndSessionEndpoint:    "https://id.example.com/logout",
			endpoints: endpoints{
				TokenEndpoint:      "https://token.example.net/token",
				RevocationEndpoint: "https://id.example.com/revoke",
				PushEndpoint:       "https://id.example.com/par",
				UserInfoEndpoint:   "https://id.example.com/userinfo",
			},
			Algorithms:       []string{"HS256", "none", "ES256", "RS256"},
			ChallengeMethods: []string{"plain", "S256"},
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
		"other endpoints without TLS": {change: func(m *metadata) {
			m.PushEndpoint, m.UserInfoEndpoint = "http://id.example.com/par", "ftp://id.example.com/"
		}, dropped: "pushed_authorization_request_endpoint userinfo_endpoint"},
		"RPL-09 no optional endpoint": {change: func(m *metadata) { m.EndSessionEndpoint, m.RevocationEndpoint = "", "" }},
	} {
		t.Run(name, func(t *testing.T) {
			m := good()
			row.change(&m)
			checked, dropped, err := m.check(policy{insecure: row.insecure})
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

// IDT-07, FAPI-19: what a token may be signed with. none and the algorithms of
// shared secrets never are.
func TestAgreedAlgorithms(t *testing.T) {
	for name, row := range map[string]struct {
		advertised []string
		registered []v1alpha1.SigningAlgorithm
		want       string
		err        string
	}{
		"nothing is said":              {want: "RS256"},
		"what is advertised":           {advertised: []string{"none", "ES256", "HS256", "PS256"}, want: "ES256 PS256"},
		"what is registered":           {advertised: []string{"RS256", "PS256"}, registered: []v1alpha1.SigningAlgorithm{"PS256"}, want: "PS256"},
		"registered, not advertised":   {advertised: []string{"RS256"}, registered: []v1alpha1.SigningAlgorithm{"EdDSA"}, want: "EdDSA"},
		"nothing usable is advertised": {advertised: []string{"none", "HS256"}, err: "id_token_signing_alg_values_supported"},
		"nothing usable, but registered": {
			advertised: []string{"HS256"}, registered: []v1alpha1.SigningAlgorithm{"ES256"}, want: "ES256"},
		"a shared secret is registered": {registered: []v1alpha1.SigningAlgorithm{"HS256"}, err: "idTokenSigningAlgorithms may name RS256"},
		"none is registered":            {registered: []v1alpha1.SigningAlgorithm{"none"}, err: "idTokenSigningAlgorithms may name RS256"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := agreed(row.advertised, row.registered)
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Fatalf("error %v, want one with %q", err, row.err)
				}
				return
			}
			if err != nil || strings.Join(got, " ") != row.want {
				t.Errorf("got %v, %v, want %s", got, err, row.want)
			}
		})
	}
}

// MTLS-02: who shows a certificate goes where one is asked for.
func TestEndpointAliases(t *testing.T) {
	m := metadata{
		AuthorizationEndpoint: "https://id.example.com/a", KeysURL: "https://id.example.com/k",
		endpoints: endpoints{TokenEndpoint: "https://id.example.com/t", RevocationEndpoint: "https://id.example.com/r", UserInfoEndpoint: "https://id.example.com/u"},
		Aliases:   endpoints{TokenEndpoint: "https://mtls.example.com/t", UserInfoEndpoint: "https://mtls.example.com/u", PushEndpoint: "http://mtls.example.com/p"},
	}
	for name, row := range map[string]struct {
		aliases bool
		want    endpoints
		dropped string
	}{
		"with a certificate": {true, endpoints{
			TokenEndpoint: "https://mtls.example.com/t", RevocationEndpoint: "https://id.example.com/r", UserInfoEndpoint: "https://mtls.example.com/u",
		}, "mtls_endpoint_aliases.pushed_authorization_request_endpoint"},
		"without one": {false, m.endpoints, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, dropped, err := m.check(policy{aliases: row.aliases})
			if err != nil || got.endpoints != row.want || strings.Join(dropped, " ") != row.dropped {
				t.Errorf("got %+v, dropped %v, %v", got.endpoints, dropped, err)
			}
		})
	}
}

// JWTA-08: what a provider will not like is said before it refuses it.
func TestDoubts(t *testing.T) {
	m := metadata{AuthMethods: []string{"client_secret_basic", "private_key_jwt"}, AuthAlgorithms: []string{"RS256"}}
	for name, row := range map[string]struct {
		m      metadata
		method v1alpha1.ClientAuthenticationMethod
		signs  v1alpha1.SigningAlgorithm
		want   int
	}{
		"nothing is said":    {metadata{}, v1alpha1.TLSClientAuth, "", 0},
		"advertised":         {m, v1alpha1.PrivateKeyJWT, "RS256", 0},
		"another algorithm":  {m, v1alpha1.PrivateKeyJWT, "PS256", 1},
		"another method":     {m, v1alpha1.ClientSecretPost, "", 1},
		"both":               {metadata{AuthMethods: []string{"x"}, AuthAlgorithms: []string{"x"}}, v1alpha1.PrivateKeyJWT, "PS256", 2},
		"a workload's token": {m, v1alpha1.WorkloadIdentity, "", 0},
		"no algorithm counts for a certificate": {
			metadata{AuthMethods: []string{"tls_client_auth"}, AuthAlgorithms: []string{"RS256"}}, v1alpha1.TLSClientAuth, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := row.m.doubts(row.method, row.signs); len(got) != row.want {
				t.Errorf("doubts %v, want %d", got, row.want)
			}
		})
	}
}
