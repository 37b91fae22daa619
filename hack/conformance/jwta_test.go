//go:build conformance

package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

// asserted has a session be through everything that wants a client assertion -
// push, code, refresh, revocation - and returns these requests.
func (w *world) asserted() []*as.Request {
	w.Helper()
	w.Login()
	w.AS.ExpireAccessTokens() // refused by the API, and so renewed
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		w.Fatalf("%s", r)
	}
	w.Logout()
	w.Eventually("the revocation", func() bool { return len(w.AS.Requests(as.Revocation)) > 0 })
	all := slices.Concat(w.AS.Requests(as.PAR), w.AS.Requests(as.Token), w.AS.Requests(as.Revocation))
	if len(all) < 4 {
		w.Fatalf("only %d requests", len(all))
	}
	return all
}

func TestJWTA_01_02_03_04_AnAssertionIsAsItShouldBe(t *testing.T) {
	t.Parallel()
	covers(t, "JWTA-01", "JWTA-02", "JWTA-03", "JWTA-04", "JWTA-05", "JWTA-06")
	w := newWorld(t, newClientKey(t).option())
	var ids []any
	all := w.asserted()
	for _, r := range all {
		if got := r.Form["client_assertion_type"]; !slices.Equal(got, []string{"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}) {
			t.Errorf("%s: client_assertion_type %q", r.Endpoint, got)
		}
		if n := len(r.Form["client_assertion"]); n != 1 || r.Header.Get("Authorization") != "" || r.Form.Has("client_secret") {
			t.Errorf("%s: %d assertions, or another method besides", r.Endpoint, n)
		}
		header, claims := w.assertion(r)
		if claims["iss"] != clientID || claims["sub"] != clientID {
			t.Errorf("%s: iss %v, sub %v", r.Endpoint, claims["iss"], claims["sub"])
		}
		if claims["aud"] != w.AS.Issuer { // a string, and no list
			t.Errorf("%s: aud %v", r.Endpoint, claims["aud"])
		}
		if header["typ"] != "client-authentication+jwt" || header["kid"] != "client-key-1" || header["alg"] != "ES256" {
			t.Errorf("%s: header %v", r.Endpoint, header)
		}
		exp, iat, nbf := seconds(claims["exp"]), seconds(claims["iat"]), seconds(claims["nbf"])
		if life := exp.Sub(r.Time); life <= 0 || life > time.Minute || iat.After(r.Time) || nbf.After(r.Time) {
			t.Errorf("%s: good for %v, iat %v, nbf %v, at %v", r.Endpoint, life, iat, nbf, r.Time)
		}
		ids = append(ids, claims["jti"])
	}
	w.distinct("jti", ids, len(all))
}

// seconds is a NumericDate, the zero time if it is none.
func seconds(claim any) time.Time {
	n, ok := claim.(float64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(int64(n), 0)
}

func TestJWTA_03_04_OlderProvidersGetTheOlderForm(t *testing.T) {
	t.Parallel()
	covers(t, "JWTA-03", "JWTA-04")
	w := newWorld(t, newClientKey(t).option(), behaviour(func(b *as.Behaviour) { b.AssertionAudienceTokenEndpoint = true }),
		policy(func(s *v1alpha1.BFFPolicySpec) {
			s.Provider.ClientAuthentication.AssertionAudience = v1alpha1.AudienceTokenEndpoint
		}))
	for _, r := range w.asserted() {
		if header, claims := w.assertion(r); claims["aud"] != w.AS.URL(as.Token) || header["typ"] != nil && header["typ"] != "JWT" {
			t.Errorf("%s: aud %v, typ %v", r.Endpoint, claims["aud"], header["typ"])
		}
	}
}

func TestJWTA_05_AnAssertionIsNotSentAgain(t *testing.T) {
	t.Parallel()
	covers(t, "JWTA-05")
	w := newWorld(t, newClientKey(t).option(), behaviour(func(b *as.Behaviour) { b.Rotation = as.Keep }))
	w.Login()
	w.AS.ExpireAccessTokens()
	// Every endpoint fails once and is asked again.
	w.AS.Fault(as.Token, 1, http.StatusServiceUnavailable, http.Header{"Retry-After": {"1"}})
	w.AS.Fault(as.Revocation, 1, http.StatusServiceUnavailable, http.Header{"Retry-After": {"1"}})
	w.Eventually("the API answers again", func() bool { return w.Call("GET", "/api/x").Status == http.StatusOK })
	w.Logout()
	w.Eventually("another revocation", func() bool { return len(w.AS.Requests(as.Revocation)) >= 2 })
	all := slices.Concat(w.AS.Requests(as.PAR), w.AS.Requests(as.Token), w.AS.Requests(as.Revocation))
	var ids []any
	for _, r := range all {
		_, claims := w.assertion(r)
		ids = append(ids, claims["jti"])
	}
	w.distinct("jti", ids, len(all))
}

func TestJWTA_06_ClocksMayDiffer(t *testing.T) {
	t.Parallel()
	covers(t, "JWTA-06")
	for _, offset := range []time.Duration{-30 * time.Second, 30 * time.Second} {
		w := newWorld(t, newClientKey(t).option(), behaviour(func(b *as.Behaviour) { b.ClockOffset = offset }),
			policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ClockSkew = &metav1.Duration{Duration: time.Minute} }))
		for _, r := range w.asserted() {
			_, claims := w.assertion(r)
			now := r.Time.Add(offset) // at the provider, which allows for nothing
			if exp, iat, nbf := seconds(claims["exp"]), seconds(claims["iat"]), seconds(claims["nbf"]); !exp.After(now) || iat.After(now) || nbf.After(now) {
				t.Errorf("clock off by %v, %s: at %v iat is %v, nbf %v, exp %v", offset, r.Endpoint, now, iat, nbf, exp)
			}
		}
	}
}

func TestJWTA_07_ANewKeyIsUsedWithoutARestart(t *testing.T) {
	t.Parallel()
	covers(t, "JWTA-07")
	before, after := thumbprinted(t), thumbprinted(t)
	w := newWorld(t, before.option(), policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Provider.ClientAuthentication.PrivateKey.KeyID = "" // then it is the key's thumbprint
	}), client(func(c *as.Client) { c.Keys = append(c.Keys, after.public) })) // both are published for a while
	w.Login()
	if header, _ := w.assertion(w.AS.Last(as.Token)); header["kid"] != before.public.KeyID {
		t.Errorf("kid is %v, want %s", header["kid"], before.public.KeyID)
	}
	w.Mounts.Secret(t, clientKeySecret, after.pem)
	w.Eventually("the new key is used", func() bool {
		w.WantLogin(w.LoginAt(w.NewAgent(), ""))
		header, _ := w.assertion(w.AS.Last(as.Token))
		return header["kid"] == after.public.KeyID
	})
	w.AS.Register(func(c *as.Client) { c.Keys = c.Keys[1:] }) // the old one is gone
	w.AS.ExpireAccessTokens()
	if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
		t.Errorf("the session of before: %s", r)
	}
}

// thumbprinted is a key that is registered under its thumbprint.
func thumbprinted(t *testing.T) clientKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made := clientKeyOf(t, key, "")
	sum, err := made.public.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	made.public.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return made
}

func TestJWTA_08_TheAlgorithmIsOneThatTheProviderTakes(t *testing.T) {
	t.Parallel()
	covers(t, "JWTA-08")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key        crypto.Signer
		configured v1alpha1.SigningAlgorithm
		taken      string // "-": it does not say
		want       string // "": no login
	}{
		"RSA, the better of two":           {rsaKey, "", "RS256 PS256", "PS256"},
		"RSA, where only the old is taken": {rsaKey, "", "HS256 RS256", "RS256"},
		"RSA, of another length":           {rsaKey, "", "PS512", "PS512"},
		"RSA, nothing said":                {rsaKey, "", "-", "PS256"},
		"P-384":                            {p384, "", "ES256 ES384", "ES384"},
		"Ed25519":                          {ed, "", "ES256 EdDSA", "EdDSA"},
		"as the policy says":               {rsaKey, "RS512", "PS256", "RS512"},
		"nothing that the key can do":      {p384, "", "ES256 RS256", ""},
		"nothing that is a signature":      {rsaKey, "", "none HS256", ""},
	} {
		t.Run(name, func(t *testing.T) {
			options := []option{clientKeyOf(t, test.key, "k").option(), behaviour(func(b *as.Behaviour) {
				b.Metadata = func(m map[string]any) {
					m["token_endpoint_auth_signing_alg_values_supported"] = strings.Fields(test.taken)
					if test.taken == "-" {
						delete(m, "token_endpoint_auth_signing_alg_values_supported")
					}
				}
			}), policy(func(s *v1alpha1.BFFPolicySpec) {
				s.Provider.ClientAuthentication.PrivateKey.Algorithm = test.configured
			})}
			w := newWorld(t, options...)
			r := w.LoginAt(w.UA, "")
			if test.want == "" {
				w.WantNoLogin(r)
				if n := len(w.AS.Requests(as.PAR)) + len(w.AS.Requests(as.Token)); n != 0 {
					t.Errorf("%d requests", n)
				}
				return
			}
			w.WantLogin(r)
			for _, at := range []as.Endpoint{as.PAR, as.Token} {
				if header, _ := w.assertion(w.AS.Last(at)); header["alg"] != test.want {
					t.Errorf("%s: signed by %v, want %s", at, header["alg"], test.want)
				}
			}
		})
	}
}

func TestJWTA_08_RequestObjectsTooAreSignedByWhatIsTaken(t *testing.T) {
	t.Parallel()
	covers(t, "JWTA-08")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signed := policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.RequestObject = v1alpha1.RequestObjectSigned })
	for taken, want := range map[string]string{"RS256": "RS256", "none RS256 PS256": "PS256", "none ES256": ""} {
		w := newWorld(t, clientKeyOf(t, key, "k").option(), signed, behaviour(func(b *as.Behaviour) {
			b.WithoutPAR = true
			b.Metadata = func(m map[string]any) { m["request_object_signing_alg_values_supported"] = strings.Fields(taken) }
		}))
		r := w.LoginAt(w.UA, "")
		if want == "" {
			w.WantNoLogin(r)
			continue
		}
		w.WantLogin(r)
		if header, _, err := as.Decode(w.AS.Last(as.Authorize).Query.Get("request")); err != nil || header["alg"] != want {
			t.Errorf("%s: signed by %v, want %s; %v", taken, header["alg"], want, err)
		}
	}
}

func TestJWTA_09_AnAssertionNamesNobodyButTheIssuer(t *testing.T) {
	t.Parallel()
	covers(t, "JWTA-09", "JWTA-03")
	key := newClientKey(t)
	// The client has the same key at an honest provider, which the policy's provider
	// is after: it calls the honest one's token endpoint its own.
	honest := as.Start(t, as.Options{Client: as.Client{
		ID: clientID, Method: "private_key_jwt", Keys: []jose.JSONWebKey{key.public}, RedirectURIs: []string{callbackURL},
	}})
	w := newWorld(t, key.option(), mayViolate(), behaviour(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) { m["token_endpoint"] = honest.URL(as.Token) }
	}))
	w.WantNoLogin(w.LoginAt(w.UA, ""))
	sent := slices.Concat(w.AS.Requests(as.PAR), honest.Requests(as.Token))
	if len(w.AS.Requests(as.PAR)) == 0 {
		t.Fatal("nothing was pushed")
	}
	for _, r := range sent {
		if _, claims := w.assertion(r); claims["aud"] != w.AS.Issuer {
			t.Errorf("%s was sent an assertion for %v", r.Host, claims["aud"])
		}
	}
	if len(honest.Tokens()) != 0 {
		t.Error("the honest provider has issued a token")
	}
}
