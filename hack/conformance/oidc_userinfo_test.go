//go:build conformance

package conformance

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

func TestOIDC_07_UserInfoIsAGETWithTheTokenInTheHeader(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-07")
	w := newWorld(t, askingUserInfo(), behaviour(func(b *as.Behaviour) {
		b.UserInfo = func(claims map[string]any) { claims["name"] = "Alice of UserInfo"; claims["nickname"] = "Al" }
	}), policy(func(s *v1alpha1.BFFPolicySpec) { s.Session.Claims = []string{"name", "nickname"} }))
	w.Login()
	requests := w.AS.Requests(as.UserInfo)
	if len(requests) != 1 {
		t.Fatalf("UserInfo was asked %d times, want once", len(requests))
	}
	r := requests[0]
	if r.Method != http.MethodGet || len(r.Query) != 0 || r.Body != "" || len(r.Header["Authorization"]) != 1 || r.Header.Get("Authorization") != "Bearer "+w.AS.Tokens()[0].Value {
		t.Errorf("%s %s with %d header fields Authorization and a body of %d bytes", r.Method, r.URL.Path, len(r.Header["Authorization"]), len(r.Body))
	}
	// What it adds is there; where both say something, the signed ID token counts.
	if claims := w.Session().Claims; claims["nickname"] != "Al" || claims["name"] != "Alice Example" {
		t.Errorf("the claims are %v", claims)
	}
	quiet := newWorld(t)
	quiet.Login()
	if n := len(quiet.AS.Requests(as.UserInfo)); n != 0 {
		t.Errorf("UserInfo was asked %d times though the policy does not say so", n)
	}
}

// WantUserInfoRefused checks that a login ends because of what UserInfo has
// answered, of which nothing is used, and why.
func (w *world) WantUserInfoRefused(name, reason string) {
	w.Helper()
	w.Case(name, func() {
		w.AS.Forget()
		w.UA.Jar.Clear()
		before := w.Rejected(reason)
		r := w.LoginAt(w.UA, "")
		if r.Status < 400 || w.Cookie() != "" || w.Session().Authenticated {
			w.Errorf("the login ended with %s", r)
		}
		if strings.Contains(w.UA.Received(), "Mallory") {
			w.Error("something of the answer was shown")
		}
		if n := len(w.AS.Requests(as.UserInfo)); n != 1 {
			w.Errorf("UserInfo was asked %d times, want once", n)
		}
		w.Eventually("the log gives the reason "+reason, func() bool { return w.Rejected(reason) > before })
	})
}

func TestOIDC_08_UserInfoIsAboutTheSameSubject(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-08", "CT-13")
	w := newWorld(t, askingUserInfo())
	const subject, response = "userinfo_subject_mismatch", "userinfo_response_invalid"
	for name, test := range map[string]struct {
		sub    any
		reason string
	}{
		"another": {"mallory", subject}, "another case": {"Alice", subject}, "empty": {"", subject}, "with a space": {"alice ", subject},
		"a number": {7, response}, "null": {nil, response}, "a list": {[]string{"alice"}, response},
	} {
		w.AS.Change(func(b *as.Behaviour) {
			b.UserInfo = func(claims map[string]any) { claims["sub"], claims["name"] = test.sub, "Mallory" }
		})
		w.WantUserInfoRefused(name, test.reason)
	}
	for name, other := range map[string]func(map[string]any){
		"missing":         func(map[string]any) {},
		"by another name": func(claims map[string]any) { claims["Sub"] = "alice" },
	} {
		w.AS.Change(func(b *as.Behaviour) {
			b.UserInfo = func(claims map[string]any) { delete(claims, "sub"); claims["name"] = "Mallory"; other(claims) }
		})
		w.WantUserInfoRefused(name, subject)
	}
	w.AS.Change(func(b *as.Behaviour) { b.UserInfo = nil })
	w.UA.Jar.Clear()
	w.WantLogin(w.LoginAt(w.UA, ""))
}

func TestOIDC_08_NothingOfUserInfoChangesWhoLoggedIn(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-08")
	w := newWorld(t, askingUserInfo(), behaviour(func(b *as.Behaviour) {
		b.IDToken = func(_ string, claims, _ map[string]any) string {
			delete(claims, "sid")
			delete(claims, "acr")
			delete(claims, "auth_time")
			return ""
		}
		b.UserInfo = func(claims map[string]any) {
			claims["iss"], claims["exp"], claims["name"] = "https://other.test", 1, "Mallory"
			claims["sid"], claims["acr"], claims["auth_time"], claims["amr"] = "other", "9", 1, []string{"mfa"}
		}
	}), policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Session.Claims = []string{"sub", "iss", "exp", "name", "sid", "acr", "auth_time", "amr"}
	}))
	w.WantLogin(w.LoginAt(w.UA, ""))
	claims := w.Session().Claims
	if claims["sub"] != "alice" || claims["iss"] != w.AS.Issuer || claims["exp"] == float64(1) || claims["name"] != "Alice Example" {
		t.Errorf("what the ID token says was changed: %v", claims)
	}
	for _, claim := range []string{"sid", "acr", "auth_time", "amr"} {
		if claims[claim] != nil {
			t.Errorf("how the user was authenticated is taken from UserInfo: %s=%v", claim, claims[claim])
		}
	}
}

func TestOIDC_09_SignedUserInfoIsVerified(t *testing.T) {
	t.Parallel()
	// Module oidcc-client-test-userinfo-signed.
	covers(t, "OIDC-09", "CT-24")
	w := newWorld(t, askingUserInfo(), client(func(c *as.Client) { c.UserInfoAlgorithm = "RS256" }))
	foreign := as.ForeignKey("RS256")
	claims := func(changes ...spoil) map[string]any {
		c := map[string]any{"iss": w.AS.Issuer, "aud": clientID, "sub": "alice", "name": "Mallory"}
		for _, change := range changes {
			change(c, nil)
		}
		return c
	}
	token := w.AS.Sign(claims(), nil)
	signed, signature := token[:strings.LastIndex(token, ".")+1], token[strings.LastIndex(token, ".")+1:]
	const jwt, json = "application/jwt", "application/json"
	for name, test := range map[string]struct {
		kind, body, reason string
	}{
		"another key under the same kid": {jwt, as.SignWith(foreign, "RS256", w.AS.KeyID(), claims(), nil), "userinfo_signature_invalid"},
		"another key under another kid":  {jwt, as.SignWith(foreign, "RS256", "foreign", claims(), nil), "userinfo_signature_invalid"},
		"a bit of the signature":         {jwt, signed + flip(signature), "userinfo_signature_invalid"},
		"not signed":                     {jwt, as.SignWith(nil, "none", "", claims(), nil), "userinfo_algorithm_mismatch"},
		"signed with the client secret":  {jwt, as.SignWith([]byte(w.AS.Registered().Secret), "HS256", "", claims(), nil), "userinfo_algorithm_mismatch"},
		"another audience":               {jwt, w.AS.Sign(claims(with("aud", "other")), nil), "userinfo_audience_mismatch"},
		"a stranger in the audience":     {jwt, w.AS.Sign(claims(with("aud", []string{clientID, "other"})), nil), "userinfo_audience_mismatch"},
		"another issuer":                 {jwt, w.AS.Sign(claims(with("iss", "https://other.test")), nil), "userinfo_issuer_mismatch"},
		"another subject":                {jwt, w.AS.Sign(claims(with("sub", "mallory")), nil), "userinfo_subject_mismatch"},
		"encrypted":                      {jwt, encrypted(t, token), "userinfo_encrypted"},
		"JSON that is called a JWT":      {jwt, `{"sub":"alice","name":"Mallory"}`, "userinfo_response_invalid"},
		"a JWT that is called JSON":      {json, token, "userinfo_response_invalid"},
		"a JWT that is called nothing":   {"", token, "userinfo_response_invalid"},
		"JSON that is called a page":     {"text/html", `{"sub":"alice","name":"Mallory"}`, "userinfo_response_invalid"},
		"nothing":                        {jwt, "", "userinfo_response_invalid"},
	} {
		w.AS.Change(func(b *as.Behaviour) {
			b.Answer = map[as.Endpoint]func(http.ResponseWriter, *http.Request) bool{as.UserInfo: func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header()["Content-Type"] = []string{test.kind}
				_, _ = io.WriteString(rw, test.body) // the caller has gone; there is nobody to tell
				return true
			}}
		})
		w.WantUserInfoRefused(name, test.reason)
	}
	w.AS.Change(func(b *as.Behaviour) { b.Answer = nil })
	w.UA.Jar.Clear()
	w.WantLogin(w.LoginAt(w.UA, ""))
}
