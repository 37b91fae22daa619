package clientauth_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
)

func assert(t testing.TB, client clientauth.Client, credentials clientauth.Credentials, at clientauth.Endpoint, now time.Time) string {
	t.Helper()
	form := url.Values{}
	if err := client.Authenticate(credentials, at, now, form, http.Header{}); err != nil {
		t.Fatal(err)
	}
	if got := form["client_assertion_type"]; !slices.Equal(got, []string{assertionType}) { // JWTA-01
		t.Errorf("type %q", got)
	}
	if len(form["client_assertion"]) != 1 {
		t.Fatalf("%d assertions", len(form["client_assertion"]))
	}
	return form.Get("client_assertion")
}

// JWTA-02..06, FAPI-05: what an assertion says, to whom, and for how long.
func TestAssertion(t *testing.T) {
	key := keys["P-256"]()
	for name, tc := range map[string]struct {
		method   v1alpha1.ClientAuthenticationMethod
		audience v1alpha1.AssertionAudience
		verify   any
		wantAud  string
		wantTyp  any
		wantAlg  string
		wantKID  string
	}{
		"private_key_jwt": {v1alpha1.PrivateKeyJWT, "", key.Public(), issuer, "client-authentication+jwt", "ES256", "key-1"},
		"private_key_jwt, issuer by name": {
			v1alpha1.PrivateKeyJWT, v1alpha1.AudienceIssuer, key.Public(), issuer, "client-authentication+jwt", "ES256", "key-1",
		},
		"private_key_jwt, older provider": {
			v1alpha1.PrivateKeyJWT, v1alpha1.AudienceTokenEndpoint, key.Public(), tokenEndpoint, nil, "ES256", "key-1",
		},
		"client_secret_jwt": {v1alpha1.ClientSecretJWT, "", []byte(longSecret), issuer, "client-authentication+jwt", "HS256", ""},
		"client_secret_jwt, older provider": {
			v1alpha1.ClientSecretJWT, v1alpha1.AudienceTokenEndpoint, []byte(longSecret), tokenEndpoint, nil, "HS256", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientauth.Client{ID: "shop", Method: tc.method, AssertionAudience: tc.audience}
			j := read(t, assert(t, client, complete(t), endpoint, noon), tc.verify)
			if j.header.Algorithm != tc.wantAlg || j.header.KeyID != tc.wantKID || j.typ != tc.wantTyp || j.header.JSONWebKey != nil {
				t.Errorf("header %+v", j.header)
			}
			if id, _ := j.claims["jti"].(string); len(id)*5 < 128 {
				t.Errorf("jti %q", id)
			}
			delete(j.claims, "jti")
			want := map[string]any{
				"iss": "shop", "sub": "shop", "aud": tc.wantAud, // a string, no list
				"iat": float64(noon.Add(-30 * time.Second).Unix()), "nbf": float64(noon.Add(-30 * time.Second).Unix()),
				"exp": float64(noon.Add(60 * time.Second).Unix()),
			}
			if !maps.Equal(j.claims, want) {
				t.Errorf("claims %v, want %v", j.claims, want)
			}
		})
	}
}

// JWTA-06: a server that allows for no difference of clocks takes an assertion of
// a client that is 30 seconds fast or slow.
func TestAssertionOfAClockThatIsOff(t *testing.T) {
	client := clientauth.Client{ID: "shop", Method: v1alpha1.ClientSecretJWT}
	for _, off := range []time.Duration{-30 * time.Second, 0, 30 * time.Second} {
		j := read(t, assert(t, client, complete(t), endpoint, noon.Add(off)), []byte(longSecret))
		at := func(claim string) time.Time { return time.Unix(int64(j.claims[claim].(float64)), 0) }
		if at("iat").After(noon) || at("nbf").After(noon) || !at("exp").After(noon) {
			t.Errorf("off by %s: refused at %s: %v", off, noon, j.claims)
		}
		if life := at("exp").Sub(noon); life > 90*time.Second {
			t.Errorf("off by %s: good for %s", off, life)
		}
	}
}

// JWTA-05: no assertion is made twice, be it for the same request.
func TestNoAssertionTwice(t *testing.T) {
	client := clientauth.Client{ID: "shop", Method: v1alpha1.PrivateKeyJWT}
	credentials, seen := complete(t), map[any]bool{}
	for range 100 {
		id := read(t, assert(t, client, credentials, endpoint, noon), keys["P-256"]().Public()).claims["jti"]
		if seen[id] {
			t.Fatal("the same jti twice")
		}
		seen[id] = true
	}
}

// JWTA-07: another key is used, under its own kid, for the next assertion.
func TestRotatedKey(t *testing.T) {
	client := clientauth.Client{ID: "shop", Method: v1alpha1.PrivateKeyJWT}
	for keyID, kind := range map[string]string{"old": "P-256", "new": "Ed25519"} {
		key := must[*clientauth.SigningKey](t)(clientauth.ParseSigningKey(pkcs8(t, keys[kind]()), keyID, ""))
		j := read(t, assert(t, client, clientauth.Credentials{PrivateKey: key}, endpoint, noon), keys[kind]().Public())
		if j.header.KeyID != keyID {
			t.Errorf("kid %q, want %q", j.header.KeyID, keyID)
		}
	}
}

// JWTA-08: the algorithm is one that the provider takes, unless the policy names
// one; and none that it does not take is tried.
func TestAlgorithmThatTheProviderTakes(t *testing.T) {
	client := clientauth.Client{ID: "shop", Method: v1alpha1.PrivateKeyJWT}
	for name, tc := range map[string]struct {
		kind      string
		algorithm v1alpha1.SigningAlgorithm
		supported []string
		want      string // empty: refused
	}{
		"it does not say":           {"RSA-2048", "", nil, "PS256"},
		"the preferred one":         {"RSA-2048", "", []string{"RS256", "PS256", "ES256"}, "PS256"},
		"the only one":              {"RSA-2048", "", []string{"RS256", "ES256"}, "RS256"},
		"the policy's":              {"RSA-2048", "RS512", []string{"RS256", "PS256", "RS512"}, "RS512"},
		"the policy knows better":   {"RSA-2048", "PS512", []string{"RS256"}, "PS512"},
		"none of the key's":         {"RSA-2048", "", []string{"ES256", "EdDSA"}, ""},
		"a curve that is not taken": {"P-384", "", []string{"ES256", "RS256"}, ""},
		"none and symmetric":        {"P-256", "", []string{"none", "HS256"}, ""},
		"one curve":                 {"P-256", "", []string{"RS256", "ES256"}, "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			key := must[*clientauth.SigningKey](t)(clientauth.ParseSigningKey(pkcs8(t, keys[tc.kind]()), "", tc.algorithm))
			at, credentials := endpoint, clientauth.Credentials{PrivateKey: key}
			at.Algorithms = tc.supported
			if tc.want == "" {
				refused(t, client, credentials, at, clientauth.ErrAlgorithm)
				if _, err := key.For(tc.supported); !errors.Is(err, clientauth.ErrAlgorithm) {
					t.Errorf("For: %v", err)
				}
				return
			}
			j := read(t, assert(t, client, credentials, at, noon), keys[tc.kind]().Public())
			if j.header.Algorithm != tc.want {
				t.Errorf("signed by %s, want %s", j.header.Algorithm, tc.want)
			}
		})
	}
}

// JWTA-01: the token of the service account is the assertion, as it is.
func TestWorkloadIdentity(t *testing.T) {
	client := clientauth.Client{ID: "shop", Method: v1alpha1.WorkloadIdentity}
	for _, current := range []string{"header.payload.signature", "header.renewed.signature"} {
		credentials := clientauth.Credentials{ServiceAccountToken: secret.New(current)}
		if got := assert(t, client, credentials, clientauth.Endpoint{}, noon); got != current {
			t.Errorf("sent %q", got)
		}
	}
}
