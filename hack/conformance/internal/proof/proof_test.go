package proof_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/proof"
)

const (
	target      = "https://api.test/x"
	accessToken = "an-access-token"
)

func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// make makes a proof that is right but for what change does.
func makeProof(t *testing.T, change func(claims map[string]any, options *jose.SignerOptions)) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"htm": "GET", "htu": target, "iat": time.Now().Unix(), "jti": "0123456789abcdef0123", "ath": ath(accessToken)}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	if change != nil {
		change(claims, options)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func request(proofs ...string) proof.Request {
	header := http.Header{}
	for _, p := range proofs {
		header.Add("DPoP", p)
	}
	return proof.Request{Header: header, Method: "GET", URL: target + "?q=1", AccessToken: accessToken, Now: time.Now()}
}

func TestAGoodProofIsAcceptedOnce(t *testing.T) {
	var c proof.Checker
	p := makeProof(t, nil)
	if got, err := c.Check(request(p)); err != nil || len(got.Thumbprint) != 43 || got.Algorithm != "ES256" {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := c.Check(request(p)); err == nil {
		t.Error("accepted again")
	}
}

func TestABadProofIsRefused(t *testing.T) {
	set := func(name string, value any) func(map[string]any, *jose.SignerOptions) {
		return func(claims map[string]any, _ *jose.SignerOptions) { claims[name] = value }
	}
	for name, change := range map[string]func(map[string]any, *jose.SignerOptions){
		"method":         set("htm", "POST"),
		"URL":            set("htu", "https://api.test/y"),
		"URL with query": set("htu", target+"?q=1"),
		"old":            set("iat", time.Now().Add(-time.Hour).Unix()),
		"future":         set("iat", time.Now().Add(time.Hour).Unix()),
		"no iat":         set("iat", nil),
		"short jti":      set("jti", "x"),
		"other token":    set("ath", ath("another")),
		"no ath":         set("ath", nil),
		"type":           func(_ map[string]any, o *jose.SignerOptions) { o.WithType("JWT") },
		"no key":         func(_ map[string]any, o *jose.SignerOptions) { o.EmbedJWK = false },
	} {
		var c proof.Checker
		if _, err := c.Check(request(makeProof(t, change))); err == nil || errors.Is(err, proof.ErrNonce) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var c proof.Checker
	for _, r := range []proof.Request{request(), request("x"), request(makeProof(t, nil), makeProof(t, nil))} {
		if _, err := c.Check(r); err == nil {
			t.Error("accepted none, nonsense or two")
		}
	}
	only := request(makeProof(t, nil))
	only.Algorithms = []string{"PS256"}
	if _, err := c.Check(only); err == nil {
		t.Error("accepted another algorithm")
	}
}

func TestAMissingNonceIsToldApart(t *testing.T) {
	var c proof.Checker
	r := request(makeProof(t, nil))
	r.Nonce = "n-1"
	if _, err := c.Check(r); !errors.Is(err, proof.ErrNonce) {
		t.Errorf("%v", err)
	}
	r = request(makeProof(t, func(claims map[string]any, _ *jose.SignerOptions) {
		claims["nonce"], claims["jti"] = "n-1", "another-jti-0123456789"
	}))
	r.Nonce = "n-1"
	if _, err := c.Check(r); err != nil {
		t.Error(err)
	}
}
