//go:build conformance

package conformance

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

func TestIDT_06_15_16_ASignatureIsTheProvidersOrNone(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-06", "IDT-15", "IDT-16")
	var asked atomic.Int64
	foreign := as.ForeignKey("RS256")
	published := jose.JSONWebKey{Key: foreign.Public(), KeyID: "foreign", Algorithm: "RS256", Use: "sig"}
	attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{published}}) // nobody should have come
	}))
	defer attacker.Close()

	// The provider says that it would do without signatures, too.
	w := newWorld(t, askingUserInfo(), behaviour(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) {
			m["id_token_signing_alg_values_supported"] = []string{"RS256", "none", "HS256"}
		}
	}))
	by := func(kid string, header map[string]any) spoil {
		return func(claims, _ map[string]any) string { return as.SignWith(foreign, "RS256", kid, claims, header) }
	}
	unsigned := func(algorithm string) spoil {
		return func(claims, _ map[string]any) string {
			return as.SignWith(nil, "none", w.AS.KeyID(), claims, map[string]any{"alg": algorithm})
		}
	}
	parts := func(change func(header, payload, signature string) string) spoil {
		return func(claims, _ map[string]any) string {
			part := strings.Split(w.AS.Sign(claims, nil), ".")
			return change(part[0], part[1], part[2])
		}
	}
	const signature, algorithm = "id_token_signature_invalid", "id_token_algorithm_mismatch"
	w.WantRefused(map[string]badToken{
		"another key under the same kid":   {by(w.AS.KeyID(), nil), signature},
		"another key under another kid":    {by("foreign", nil), signature},
		"another key without a kid":        {by("", nil), signature},
		"a key in the header":              {by("foreign", map[string]any{"jwk": published}), signature},
		"a key in the header, kid of ours": {by(w.AS.KeyID(), map[string]any{"jwk": published}), signature},
		"a URL of keys in the header":      {by("foreign", map[string]any{"jku": attacker.URL + "/keys"}), signature},
		"a URL of a certificate":           {by("foreign", map[string]any{"x5u": attacker.URL + "/certificate"}), signature},
		"a certificate in the header":      {by("foreign", map[string]any{"x5c": certificateOf(t, foreign)}), signature},
		"an extension that is critical": {func(claims, _ map[string]any) string {
			return w.AS.Sign(claims, map[string]any{"crit": []string{"x"}, "x": 1})
		}, signature},
		"a bit of the signature": {parts(func(h, p, s string) string { return h + "." + p + "." + flip(s) }), signature},
		"no signature":           {parts(func(h, p, _ string) string { return h + "." + p + "." }), signature},
		"another payload": {parts(func(h, p, s string) string {
			raw, _ := base64.RawURLEncoding.DecodeString(p)
			return h + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), `"alice"`, `"admin"`, 1))) + "." + s
		}), signature},
		"none":         {unsigned("none"), algorithm},
		"None":         {unsigned("None"), algorithm},
		"nOnE":         {unsigned("nOnE"), algorithm},
		"no algorithm": {unsigned(""), algorithm},
		"two parts":    {parts(func(h, p, _ string) string { return h + "." + p }), "id_token_malformed"},
		"not a token":  {func(_, _ map[string]any) string { return "MARKER-not-a-token" }, "id_token_malformed"},
		"JSON in a token": {parts(func(h, p, s string) string {
			return `{"payload":"` + p + `","signatures":[{"protected":"` + h + `","signature":"` + s + `"}]}`
		}), "id_token_malformed"},
	})
	if asked.Load() != 0 {
		t.Error("a URL that stands in a token was followed")
	}
}

func TestIDT_07_TheAlgorithmIsTheOneAgreed(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-07")
	all := behaviour(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) {
			m["id_token_signing_alg_values_supported"] = []string{"RS256", "ES256", "PS256"}
		}
	})
	nothing := behaviour(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) { delete(m, "id_token_signing_alg_values_supported") }
	})
	only := func(algorithms ...v1alpha1.SigningAlgorithm) option {
		return policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.IDTokenSigningAlgorithms = algorithms })
	}
	for name, test := range map[string]struct {
		options      []option
		right, wrong string
	}{
		"RS256 is registered, ES256 comes": {options: []option{all, only("RS256")}, right: "RS256", wrong: "ES256"},
		"RS256 is registered, PS256 comes": {options: []option{all, only("RS256")}, right: "RS256", wrong: "PS256"},
		"ES256 is registered, RS256 comes": {options: []option{all, only("ES256")}, right: "ES256", wrong: "RS256"},
		"RS256 is advertised, ES256 comes": {right: "RS256", wrong: "ES256"},
		"nothing is said, ES256 comes":     {options: []option{nothing}, right: "RS256", wrong: "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(test.options, askingUserInfo())...)
			w.AS.UseAlgorithm(test.wrong)
			w.WantNoLoginBecause(w.LoginAt(w.UA, ""), "id_token_algorithm_mismatch")
			w.UA.Jar.Clear()
			w.AS.UseAlgorithm(test.right)
			w.WantLogin(w.LoginAt(w.UA, ""))
		})
	}
}

// Encryption cannot be agreed on with this client, so that an encrypted ID token
// is one that was not agreed on.
func TestIDT_07_AnEncryptedTokenIsNotAgreedOn(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-07")
	w := newWorld(t, askingUserInfo())
	w.WantRefused(map[string]badToken{"encrypted": {func(claims, _ map[string]any) string {
		return encrypted(t, w.AS.Sign(claims, nil))
	}, "id_token_encrypted"}})
}

func TestIDT_08_APublicKeyIsNoSharedSecret(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-08")
	for name, options := range map[string][]option{
		"not advertised": nil,
		"advertised": {behaviour(func(b *as.Behaviour) {
			b.Metadata = func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []string{"HS256", "RS256"} }
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(options, askingUserInfo())...)
			public := w.AS.PublicKey().(*rsa.PublicKey)
			der, err := x509.MarshalPKIXPublicKey(public)
			if err != nil {
				t.Fatal(err)
			}
			text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
			tokens := map[string]badToken{}
			for what, key := range map[string][]byte{
				"PEM": text, "PEM without its last line end": text[:len(text)-1], "DER": der,
				"PKCS #1": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public)}),
				"modulus": public.N.Bytes(), "modulus in base64url": []byte(base64.RawURLEncoding.EncodeToString(public.N.Bytes())),
				"nothing": {}, "the client's secret, several audiences": []byte(w.AS.Registered().Secret),
			} {
				for _, kid := range []string{"", w.AS.KeyID()} {
					tokens[what+", kid "+kid] = badToken{func(claims, _ map[string]any) string {
						if strings.Contains(what, "audiences") {
							claims["aud"] = []string{clientID, "other"}
						}
						return as.SignWith(key, "HS256", kid, claims, nil)
					}, "id_token_algorithm_mismatch"}
				}
			}
			w.WantRefused(tokens)
		})
	}
}

// certificateOf is the x5c of a certificate that a key has signed itself.
func certificateOf(t *testing.T, key crypto.Signer) []string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return []string{base64.StdEncoding.EncodeToString(der)}
}
