//go:build conformance

package conformance

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

func TestOIDC_12_KeysMayRotate(t *testing.T) {
	t.Parallel()
	// Modules oidcc-client-test-signing-key-rotation and
	// oidcc-client-test-signing-key-rotation-just-before-signing.
	covers(t, "OIDC-12", "CT-31", "CT-32")
	for _, keepOld := range []bool{true, false} {
		w := newWorld(t, askingUserInfo())
		w.WantAccepted(map[string]spoil{"before": func(_, _ map[string]any) string { return "" }})
		w.AS.RotateKeys(keepOld)
		w.WantAccepted(map[string]spoil{
			"between two logins": func(_, _ map[string]any) string { return "" },
			"just before signing": func(claims, _ map[string]any) string {
				w.AS.RotateKeys(keepOld)
				return w.AS.Sign(claims, nil)
			},
		})
	}
	// Also if no key was ever needed before.
	w := newWorld(t, askingUserInfo())
	w.WantAccepted(map[string]spoil{"just before the first signature": func(claims, _ map[string]any) string {
		w.AS.RotateKeys(false)
		return w.AS.Sign(claims, nil)
	}})
}

func TestOIDC_12_JunkDoesNotMakeItFetch(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-12")
	w := newWorld(t, askingUserInfo())
	w.Login()
	w.AS.Forget()
	foreign := as.ForeignKey("RS256")
	const junk, few = 1000, 6 // as many as may be in a row, and those that time allows since
	for i := range junk {
		token := w.AS.LogoutToken(func(claims, header map[string]any) { claims["sub"] = "alice" })
		_, claims, err := as.Decode(token)
		if err != nil {
			t.Fatal(err)
		}
		token = as.SignWith(foreign, "RS256", fmt.Sprintf("junk-%d", i), claims, map[string]any{"typ": "logout+jwt"})
		if response, body := w.BackChannel(token); response.StatusCode < 400 {
			t.Fatalf("%s %s", response.Status, body)
		}
	}
	if n := len(w.AS.Requests(as.JWKS)); n > few {
		t.Errorf("the keys were fetched %d times for %d junk kids", n, junk)
	}
	if !w.Session().Authenticated {
		t.Error("the session has ended")
	}
	// Whoever sends junk to the back channel cannot keep a login from working.
	w.AS.RotateKeys(false)
	w.WantAccepted(map[string]spoil{"after a rotation": func(_, _ map[string]any) string { return "" }})
	// And junk in ID tokens, from a provider that has gone mad.
	tokens := map[string]badToken{}
	for i := range 50 {
		kid := fmt.Sprintf("junk-%d", i)
		tokens[kid] = badToken{func(claims, _ map[string]any) string { return as.SignWith(foreign, "RS256", kid, claims, nil) }, "id_token_signature_invalid"}
	}
	w.WantRefused(tokens)
	w.WantAccepted(map[string]spoil{"after the junk": func(_, _ map[string]any) string { return "" }})
}

func TestOIDC_12_KnownKeysServeWhileNoneCanBeFetched(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-12")
	for name, outage := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"503": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		"not found": func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true },
		"no keys": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`{"keys":[]}`)) // the caller has gone; there is nobody to tell
			return true
		},
		"rubbish": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(`<html>`)); return true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, askingUserInfo())
			w.Login()
			first := w.Cookie()
			w.AS.Change(func(b *as.Behaviour) {
				b.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{as.JWKS: outage}
			})
			w.WantAccepted(map[string]spoil{"a key that is known": func(_, _ map[string]any) string { return "" }})
			w.AS.RotateKeys(false)
			w.AS.Forget()
			w.Case("a key that is not known", func() {
				r := w.LoginWith(func(_, _ map[string]any) string { return "" })
				w.WantNoLogin(r)
				if r.Status != http.StatusServiceUnavailable {
					w.Errorf("%s, want a page that says to try again", r)
				}
			})
			if r := w.UA.Fetch(withCookie(w.CallOf("GET", "/api/x"), first)); r.Status != http.StatusOK {
				t.Errorf("the session of before: %s", r)
			}
			w.AS.Change(func(b *as.Behaviour) { b.Answer = nil })
			w.Eventually("the new key is fetched", func() bool {
				w.UA.Jar.Clear()
				return w.LoginAt(w.UA, "").Status == http.StatusOK
			})
		})
	}
}

func TestOIDC_13_AKeyNeedsNoName(t *testing.T) {
	t.Parallel()
	// Modules oidcc-client-test-kid-absent-single-jwks and
	// oidcc-client-test-kid-absent-multiple-jwks.
	covers(t, "OIDC-13", "CT-07", "CT-08")
	each := func(change func(key map[string]any)) func(map[string]any) {
		return func(document map[string]any) {
			for _, key := range document["keys"].([]any) {
				change(key.(map[string]any))
			}
		}
	}
	nameless := each(func(key map[string]any) { delete(key, "kid") })
	for name, test := range map[string]struct {
		decoys    int
		algorithm string // of the decoys
		jwks      func(map[string]any)
		withKID   bool
	}{
		"one key":                          {jwks: nameless},
		"one key that has a name":          {},
		"keys for other algorithms":        {decoys: 3, algorithm: "ES256", jwks: nameless},
		"several keys":                     {decoys: 3, algorithm: "RS256", jwks: nameless},
		"several keys that have names":     {decoys: 3, algorithm: "RS256"},
		"several keys, no algorithm given": {decoys: 3, algorithm: "RS256", jwks: each(func(key map[string]any) { delete(key, "alg"); delete(key, "use") })},
		"several keys of one name":         {decoys: 3, algorithm: "RS256", withKID: true, jwks: each(func(key map[string]any) { key["kid"] = "the-same" })},
		"keys that nobody understands": {withKID: true, jwks: func(document map[string]any) {
			document["keys"] = append([]any{map[string]any{"kty": "QUANTUM", "kid": "q"}, map[string]any{"kty": "RSA"}, map[string]any{"kty": "oct", "k": "AAAA"}}, document["keys"].([]any)...)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := prepare(t, askingUserInfo())
			if test.decoys > 0 {
				w.AS.AddDecoys(test.decoys, test.algorithm)
			}
			w.AS.Change(func(b *as.Behaviour) { b.JWKS = test.jwks })
			w.Start()
			w.WantAccepted(map[string]spoil{"signed": func(_, header map[string]any) string {
				switch {
				case !test.withKID:
					delete(header, "kid")
				case test.decoys > 0:
					header["kid"] = "the-same"
				}
				return ""
			}})
			foreign := as.ForeignKey("RS256")
			w.AS.Forget()
			w.WantNoLoginBecause(w.LoginWith(func(claims, _ map[string]any) string {
				return as.SignWith(foreign, "RS256", "", claims, nil)
			}), "id_token_signature_invalid")
		})
	}
}
