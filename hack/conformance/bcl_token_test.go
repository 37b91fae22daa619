//go:build conformance

package conformance

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

// wrongToken is a logout token that is to be refused, and the reason code for
// it.
type wrongToken struct{ token, reason string }

// tokensAbout makes logout tokens about a session, all of which name both user
// and session: what is wrong with them is nothing else than what a test makes
// wrong.
type tokensAbout struct {
	*world
	loggedIn
}

func (f tokensAbout) claims() map[string]any {
	var good map[string]any
	f.AS.LogoutToken(func(claims, _ map[string]any) { good = claims; naming(claims, f.subject, f.sid) })
	return good
}

func (f tokensAbout) with(claim string, value any) string {
	claims := f.claims()
	claims[claim] = value
	return f.AS.Sign(claims, nil)
}

func (f tokensAbout) without(names ...string) string {
	claims := f.claims()
	for _, claim := range names {
		delete(claims, claim)
	}
	return f.AS.Sign(claims, nil)
}

func (f tokensAbout) typed(typ any) string {
	return f.AS.Sign(f.claims(), map[string]any{"typ": typ})
}

// WantLogoutRefused checks that each of the tokens is refused for its reason
// while the session lives on, and that the same sidecar then ends it on the word
// of a good one.
func (f tokensAbout) WantLogoutRefused(tokens map[string]wrongToken) {
	f.Helper()
	for what, wrong := range tokens {
		before := f.Rejected(wrong.reason)
		response, body := f.BackChannel(wrong.token)
		if response.StatusCode != http.StatusBadRequest {
			f.Errorf("%s:", what)
		}
		f.WantNotLoggedOut(response, body, http.StatusBadRequest)
		f.Eventually(what+" is refused for the reason "+wrong.reason, func() bool { return f.Rejected(wrong.reason) > before })
		f.WantAlive(f.loggedIn)
	}
	f.WantLoggedOut(f.BackChannel(f.AS.Sign(f.claims(), nil)))
	f.WantEnded(f.loggedIn)
}

func TestBCL_03_04_ALogoutTokenIsSignedByTheProvider(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-03", "BCL-04", "BCL-11", "BCL-16", "BCL-17")
	w := newWorld(t)
	f := tokensAbout{w, w.LoginAs("alice")}
	foreign := as.ForeignKey("RS256")
	public, err := x509.MarshalPKIXPublicKey(w.AS.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	parts := strings.Split(w.AS.Sign(f.claims(), nil), ".")
	flipped := []byte(parts[2])
	if flipped[10]++; flipped[10] > 'y' { // another letter of the same alphabet
		flipped[10] = 'b'
	}
	other := strings.Split(w.AS.Sign(f.claims(), nil), ".")
	const signature, algorithm = "logout_token_signature_invalid", "logout_token_algorithm_mismatch"
	kid := w.AS.KeyID()
	f.WantLogoutRefused(map[string]wrongToken{
		"a bit of the signature":         {parts[0] + "." + parts[1] + "." + string(flipped), signature},
		"the claims of another token":    {parts[0] + "." + other[1] + "." + parts[2], signature},
		"no signature":                   {parts[0] + "." + parts[1] + ".", signature},
		"another key under the same kid": {as.SignWith(foreign, "RS256", kid, f.claims(), nil), signature},
		"a key in its header": {as.SignWith(foreign, "RS256", kid, f.claims(), map[string]any{
			"jwk": jose.JSONWebKey{Key: foreign.Public(), KeyID: kid, Algorithm: "RS256"}}), signature},
		"none":                                  {as.SignWith(nil, "none", kid, f.claims(), nil), algorithm},
		"nOnE":                                  {as.SignWith(nil, "none", kid, f.claims(), map[string]any{"alg": "nOnE"}), algorithm},
		"no algorithm":                          {as.SignWith(nil, "none", kid, f.claims(), map[string]any{"alg": nil}), algorithm},
		"HS256 with the public key":             {as.SignWith(publicPEM, "HS256", kid, f.claims(), nil), algorithm},
		"HS256 with the secret":                 {as.SignWith([]byte(w.AS.Registered().Secret), "HS256", kid, f.claims(), nil), algorithm},
		"ES256, RS256 is registered":            {as.SignWith(as.ForeignKey("ES256"), "ES256", kid, f.claims(), nil), algorithm},
		"encrypted: nothing like it was agreed": {encrypted(t, w.AS.Sign(f.claims(), nil)), "logout_token_encrypted"},
		"two parts":                             {parts[0] + "." + parts[1], "logout_token_malformed"},
		"no token":                              {"MARKER-this-is-no-token", "logout_token_malformed"},
		"JSON in place of compact":              {`{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`, "logout_token_malformed"},
	})
}

// encrypted wraps a token in a JWE for a key that nobody has registered.
func encrypted(t *testing.T, token string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encrypter, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: &key.PublicKey},
		(&jose.EncrypterOptions{}).WithContentType("JWT").WithType("logout+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := encrypter.Encrypt([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jwe.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestBCL_04_AKeyOfAnotherAlgorithmIsNotAgreedOn(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-04", "BCL-11")
	w := newWorld(t, client(func(c *as.Client) { c.IDTokenAlgorithm = "ES256" }))
	l := w.LoginAs("alice")
	for _, algorithm := range []string{"RS256", "PS256", "EdDSA", "ES384"} { // all in the provider's key set
		w.AS.UseAlgorithm(algorithm)
		response, body := w.BackChannel(w.Naming("alice", l.sid))
		w.WantNotLoggedOut(response, body, http.StatusBadRequest)
		w.WantAlive(l)
	}
	w.AS.UseAlgorithm("ES256")
	w.WantLoggedOut(w.BackChannel(w.Naming("alice", l.sid)))
	w.WantEnded(l)
}

func TestBCL_03_ANewKeyIsFetchedOnceAndOldOnesDie(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-03")
	w := newWorld(t)
	l, second := w.LoginAs("alice"), w.LoginAs("bob")
	stale := w.Naming("bob", "")
	w.AS.Forget()
	w.AS.RotateKeys(false)
	w.WantLoggedOut(w.BackChannel(w.Naming("alice", l.sid)))
	w.WantEnded(l)
	if n := len(w.AS.Requests(as.JWKS)); n != 1 {
		t.Errorf("the keys were fetched %d times, want once", n)
	}
	response, body := w.BackChannel(stale) // signed with a key that has been withdrawn
	w.WantNotLoggedOut(response, body, http.StatusBadRequest)
	w.WantAlive(second)
}

func TestBCL_03_StrangersCannotHaveTheKeysFetchedWithoutEnd(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-03", "BCL-11")
	w := newWorld(t)
	l := w.LoginAs("alice")
	f := tokensAbout{w, l}
	foreign := as.ForeignKey("RS256")
	w.AS.Forget()
	for range 50 {
		response, body := w.BackChannel(as.SignWith(foreign, "RS256", "kid-"+randomHex(6), f.claims(), nil))
		// 503 where the keys at hand are too old to know.
		w.WantNotLoggedOut(response, body, http.StatusBadRequest, http.StatusServiceUnavailable)
	}
	if n := len(w.AS.Requests(as.JWKS)); n > 5 {
		t.Errorf("the keys were fetched %d times for 50 tokens of a stranger", n)
	}
	w.WantAlive(l)
	// Nor can they keep a new key of the provider from being known.
	w.AS.RotateKeys(false)
	token := w.Naming("", l.sid)
	w.Eventually("the provider's new key is known", func() bool {
		response, _ := w.BackChannel(token)
		return response.StatusCode == http.StatusOK
	})
	w.WantEnded(l)
}

func TestBCL_03_WithoutTheKeysNothingIsSaidAboutAToken(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-03", "BCL-11")
	w := newWorld(t)
	l := w.LoginAs("alice")
	w.AS.RotateKeys(false)
	w.AS.Fault(as.JWKS, 1000, http.StatusServiceUnavailable)
	token := w.Naming("", l.sid)
	response, body := w.BackChannel(token)
	w.WantNotLoggedOut(response, body, http.StatusServiceUnavailable)
	if response.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.WantAlive(l)
	w.AS.Heal()
	w.Eventually("the logout", func() bool { response, _ := w.BackChannel(token); return response.StatusCode == http.StatusOK })
	w.WantEnded(l)
}

func TestBCL_05_06_07_08_09_TheClaimsOfALogoutToken(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-05", "BCL-06", "BCL-07", "BCL-08", "BCL-09", "BCL-11", "BCL-16", "BCL-17")
	w := newWorld(t)
	f := tokensAbout{w, w.LoginAs("alice")}
	const (
		malformed, issuer, audience = "logout_token_malformed", "logout_token_issuer_mismatch", "logout_token_audience_mismatch"
		expired, early              = "logout_token_expired", "logout_token_not_yet_valid"
		subject, event              = "logout_token_subject_missing", "logout_token_event_missing"
		nonce, jti                  = "logout_token_nonce_present", "logout_token_jti_missing"
	)
	events := func(value any) wrongToken { return wrongToken{f.with("events", value), event} }
	past, future := time.Now().Add(-time.Hour).Unix(), time.Now().Add(time.Hour).Unix()
	f.WantLogoutRefused(map[string]wrongToken{
		"iss of another":           {f.with("iss", "https://other.test"), issuer},
		"iss with a slash":         {f.with("iss", w.AS.Issuer+"/"), issuer},
		"iss in capitals":          {f.with("iss", strings.ToUpper(w.AS.Issuer)), issuer},
		"no iss":                   {f.without("iss"), issuer},
		"iss in a list":            {f.with("iss", []string{w.AS.Issuer}), malformed},
		"aud of another":           {f.with("aud", "other"), audience},
		"aud of others":            {f.with("aud", []string{"other", "another"}), audience},
		"aud of us and a stranger": {f.with("aud", []string{clientID, "stranger"}), audience},
		"aud longer than ours":     {f.with("aud", clientID+"-admin"), audience},
		"aud in capitals":          {f.with("aud", strings.ToUpper(clientID)), audience},
		"aud of nobody":            {f.with("aud", []string{}), audience},
		"no aud":                   {f.without("aud"), audience},
		"no iat":                   {f.without("iat"), malformed},
		"iat as text":              {f.with("iat", "now"), malformed},
		"iat in an hour":           {f.with("iat", future), early},
		"nbf in an hour":           {f.with("nbf", future), early},
		"no exp":                   {f.without("exp"), malformed},
		"exp as text":              {f.with("exp", "never"), malformed},
		"exp an hour ago":          {f.with("exp", past), expired},
		"neither sub nor sid":      {f.without("sub", "sid"), subject},
		"sub and sid empty":        {f.AS.Sign(merged(f.claims(), map[string]any{"sub": "", "sid": ""}), nil), subject},
		"sub that is no text":      {f.with("sub", 1), malformed},
		"no events":                {f.without("events"), event},
		"another event":            events(map[string]any{"http://schemas.openid.net/event/other": map[string]any{}}),
		"an event with a slash":    events(map[string]any{as.LogoutEvent + "/": map[string]any{}}),
		"events as text":           events(as.LogoutEvent),
		"events as a list":         events([]string{as.LogoutEvent}),
		"events empty":             events(map[string]any{}),
		"the event is text":        events(map[string]any{as.LogoutEvent: "yes"}),
		"the event is null":        events(map[string]any{as.LogoutEvent: nil}),
		"the event is true":        events(map[string]any{as.LogoutEvent: true}),
		"a nonce":                  {f.with("nonce", "n-0S6_WzA2Mj"), nonce},
		"an empty nonce":           {f.with("nonce", ""), nonce},
		"a nonce that is null":     {f.with("nonce", nil), malformed},
		"no jti":                   {f.without("jti"), jti},
		"an empty jti":             {f.with("jti", ""), jti},
		"jti that is no text":      {f.with("jti", 7), jti},
	})
}

func merged(a, b map[string]any) map[string]any {
	maps.Copy(a, b)
	return a
}

func TestBCL_05_18_WhatALogoutTokenMayLookLike(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-05", "BCL-07", "BCL-15", "BCL-17", "BCL-18")
	w := newWorld(t)
	for what, make := range map[string]func(tokensAbout) string{
		"aud in a list": func(f tokensAbout) string { return f.with("aud", []string{clientID}) },
		"another event besides": func(f tokensAbout) string {
			return f.with("events", map[string]any{as.LogoutEvent: map[string]any{}, "urn:other": "x"})
		},
		"an event with members": func(f tokensAbout) string {
			return f.with("events", map[string]any{as.LogoutEvent: map[string]any{"reason": "x"}})
		},
		"claims that nobody knows":       func(f tokensAbout) string { return f.with("unknown", []any{1, map[string]any{"a": nil}}) },
		"times with fractions":           func(f tokensAbout) string { return f.with("iat", float64(time.Now().UnixMilli())/1000) },
		"no type":                        func(f tokensAbout) string { return f.typed(nil) },
		"the general type":               func(f tokensAbout) string { return f.typed("JWT") },
		"its own type":                   func(f tokensAbout) string { return f.typed("logout+jwt") },
		"its own type, in full":          func(f tokensAbout) string { return f.typed("application/logout+jwt") },
		"its own type, in other letters": func(f tokensAbout) string { return f.typed("Logout+JWT") },
		"no kid, where there is one key": func(f tokensAbout) string { return f.AS.Sign(f.claims(), map[string]any{"kid": nil}) },
	} {
		f := tokensAbout{w, w.LoginAs("alice")}
		response, body := w.BackChannel(make(f))
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s:", what)
		}
		w.WantLoggedOut(response, body)
		w.WantEnded(f.loggedIn)
	}
}

func TestBCL_18_21_OtherTokensOfTheProviderAreNoLogoutTokens(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-08", "BCL-11", "BCL-18", "BCL-21")
	issued := make(chan string, 1)
	var provider *as.Server
	w := newWorld(t, behaviour(func(b *as.Behaviour) {
		b.IDToken = func(_ string, claims, header map[string]any) string {
			token := provider.Sign(claims, header)
			select {
			case issued <- token:
			default:
			}
			return token
		}
	}))
	provider = w.AS
	f := tokensAbout{w, w.LoginAs("alice")}
	idToken := <-issued
	wrongType := func(typ string) wrongToken { return wrongToken{f.typed(typ), "logout_token_type_mismatch"} }
	f.WantLogoutRefused(map[string]wrongToken{
		"its own ID token":       {idToken, "logout_token_event_missing"},
		"an access token":        wrongType("at+jwt"),
		"a DPoP proof":           wrongType("dpop+jwt"),
		"a client assertion":     wrongType("client-authentication+jwt"),
		"a request object":       wrongType("oauth-authz-req+jwt"),
		"a security event token": wrongType("secevent+jwt"),
		"an introspection":       wrongType("application/token-introspection+jwt"),
	})
}

func TestBCL_21_ALogoutTokenIsNoIDToken(t *testing.T) {
	t.Parallel()
	covers(t, "BCL-21")
	for what, header := range map[string]map[string]any{"typed": {"typ": "logout+jwt"}, "without a type": {"typ": nil}} {
		w := newWorld(t)
		logout := w.AS.LogoutToken(func(claims, h map[string]any) {
			claims["sub"] = "alice"
			maps.Copy(h, header)
		})
		w.AS.Change(func(b *as.Behaviour) {
			b.IDToken = func(string, map[string]any, map[string]any) string { return logout }
		})
		r := w.LoginAt(w.UA, "")
		w.WantNoLogin(r)
		if t.Failed() {
			t.Errorf("%s: %s", what, r)
		}
	}
	// Not even one that has the nonce of the login, which it must not.
	w := newWorld(t)
	w.AS.Change(func(b *as.Behaviour) {
		b.IDToken = func(_ string, claims, _ map[string]any) string {
			return w.AS.LogoutToken(func(own, _ map[string]any) { own["sub"], own["nonce"] = claims["sub"], claims["nonce"] })
		}
	})
	w.WantNoLogin(w.LoginAt(w.UA, ""))
}
