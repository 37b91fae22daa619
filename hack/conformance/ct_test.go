//go:build conformance

package conformance

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
)

// module is one of the OpenID Foundation's relying party tests, which plays the
// provider and takes a UserInfo request for acceptance. Its name follows
// oidcc-client-test.
type module struct {
	row, name string
	options   []option
	// spoil changes the ID token, userInfo the claims of UserInfo.
	spoil    func(w *world) spoil
	userInfo func(claims map[string]any)
	// refused is the reason of a rejection; "" for a module that wants a login.
	refused string
	// also checks what else the module looks at.
	also func(w *world)
}

func spoiling(s spoil) func(*world) spoil { return func(*world) spoil { return s } }

func registeredFor(algorithm string) option {
	return client(func(c *as.Client) { c.IDTokenAlgorithm = algorithm })
}

// brokenSignature signs and changes the signature.
func brokenSignature(w *world) spoil {
	return func(claims, _ map[string]any) string {
		token := w.AS.Sign(claims, nil)
		end := strings.LastIndex(token, ".") + 1
		return token[:end] + flip(token[end:])
	}
}

func withoutKID(_, header map[string]any) string { delete(header, "kid"); return "" }

// basicPlan are the 14 modules of oidcc-client-basic-certification-test-plan.
var basicPlan = []module{
	{row: "CT-01", name: "", also: func(w *world) {
		request := w.asked()
		if request.Get("response_type") != "code" || request.Get("redirect_uri") != callbackURL || !slices.Contains(strings.Fields(request.Get("scope")), "openid") {
			w.Errorf("the authorization request is %v", request)
		}
	}},
	{row: "CT-02", name: "-invalid-iss", spoil: spoiling(with("iss", "https://invalid.test/")), refused: "id_token_issuer_mismatch"},
	{row: "CT-03", name: "-missing-sub", spoil: spoiling(dropping("sub")), refused: "id_token_subject_invalid"},
	{row: "CT-04", name: "-invalid-aud", spoil: spoiling(with("aud", clientID+"1")), refused: "id_token_audience_mismatch"},
	{row: "CT-06", name: "-missing-iat", spoil: spoiling(dropping("iat")), refused: "id_token_malformed"},
	{row: "CT-07", name: "-kid-absent-single-jwks", spoil: spoiling(withoutKID)},
	{row: "CT-08", name: "-kid-absent-multiple-jwks", options: []option{decoys(3)}, spoil: spoiling(withoutKID)},
	{row: "CT-09", name: "-idtoken-sig-rs256", options: []option{registeredFor("RS256")}},
	// To accept it over the code flow would pass as well.
	{row: "CT-10", name: "-idtoken-sig-none", options: []option{behaviour(func(b *as.Behaviour) {
		b.Metadata = func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []string{"none", "RS256"} }
	})}, spoil: spoiling(func(claims, _ map[string]any) string { return as.SignWith(nil, "none", "", claims, nil) }), refused: "id_token_algorithm_mismatch"},
	{row: "CT-11", name: "-invalid-sig-rs256", spoil: brokenSignature, refused: "id_token_signature_invalid"},
	{row: "CT-13", name: "-userinfo-invalid-sub", userInfo: func(claims map[string]any) { claims["sub"] = "invalid" }, refused: "userinfo_subject_mismatch"},
	{row: "CT-14", name: "-nonce-invalid", spoil: spoiling(with("nonce", "invalid")), refused: "nonce_mismatch"},
	{row: "CT-16", name: "-scope-userinfo-claims", also: func(w *world) {
		scopes := strings.Fields(w.asked().Get("scope"))
		if !slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains([]string{"profile", "email", "phone", "address"}, s) }) {
			w.Errorf("scope=%q", scopes)
		}
		if claims := w.Session().Claims; claims["name"] != "Alice Example" {
			w.Errorf("the claims are %v", claims)
		}
	}},
	{row: "CT-17", name: "-client-secret-basic", also: func(w *world) {
		for _, r := range w.AS.Requests(as.Token) {
			if !strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") || r.Form.Has("client_secret") || r.Form.Has("client_assertion") {
				w.Errorf("the token request is authenticated by %v and %v", r.Header, r.Form)
			}
		}
	}},
}

// comprehensive are further modules, of oidcc-client-test-plan alone.
var comprehensive = []module{
	{row: "CT-05", name: "-missing-aud", spoil: spoiling(dropping("aud")), refused: "id_token_audience_mismatch"},
	{row: "CT-12", name: "-invalid-sig-es256", options: []option{registeredFor("ES256")}, spoil: brokenSignature, refused: "id_token_signature_invalid"},
	// A client of ours is never registered for HS256: its signature is refused for
	// its algorithm, a good one too.
	{row: "CT-12", name: "-invalid-sig-hs256", spoil: func(w *world) spoil {
		return func(claims, _ map[string]any) string {
			return as.SignWith([]byte("not the client secret"), "HS256", "", claims, nil)
		}
	}, refused: "id_token_algorithm_mismatch"},
	// Module oidcc-client-test-userinfo-bearer-body wants the token in a form body in
	// place of the header: RFC 6750 section 2.2 advises against that.
	{row: "CT-18", name: "-userinfo-bearer-header", also: func(w *world) {
		r := w.AS.Last(as.UserInfo)
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+w.AS.Tokens()[0].Value || r.Query.Has("access_token") || r.Body != "" {
			w.Errorf("UserInfo was asked by %s with %d bytes", r.Method, len(r.Body))
		}
	}},
	{row: "CT-24", name: "-userinfo-signed", options: []option{client(func(c *as.Client) { c.UserInfoAlgorithm = "RS256" })}},
}

// decoys publishes n further keys.
func decoys(n int) option {
	return policyOf(func(w *world, _ *v1alpha1.BFFPolicySpec) { w.AS.AddDecoys(n, "RS256") })
}

// run plays a module.
func (m module) run(t *testing.T, options ...option) {
	w := newWorld(t, slices.Concat(m.options, options, []option{askingUserInfo()})...)
	if m.spoil != nil {
		change := m.spoil(w)
		w.AS.Change(func(b *as.Behaviour) {
			b.IDToken = func(_ string, claims, header map[string]any) string { return change(claims, header) }
		})
	}
	w.AS.Change(func(b *as.Behaviour) { b.UserInfo = m.userInfo })
	r := w.LoginAt(w.UA, "")
	asked := len(w.AS.Requests(as.UserInfo))
	switch {
	case m.refused == "":
		w.WantLogin(r)
		if asked != 1 {
			t.Errorf("UserInfo was asked %d times, want once", asked)
		}
		if m.also != nil {
			m.also(w)
		}
	case m.userInfo == nil:
		w.WantNoLoginBecause(r, m.refused)
	default: // what UserInfo says is refused
		if r.Status < 400 || w.Cookie() != "" {
			t.Errorf("the login ended with %s", r)
		}
		w.Eventually("the log gives the reason "+m.refused, func() bool { return w.Rejected(m.refused) > 0 })
	}
}

func TestCT_BasicPlan(t *testing.T) {
	t.Parallel()
	for _, m := range slices.Concat(basicPlan, comprehensive) {
		t.Run("oidcc-client-test"+m.name, func(t *testing.T) {
			t.Parallel()
			covers(t, m.row)
			m.run(t)
		})
	}
}

// Plan oidcc-client-formpost-basic-certification-test-plan is the basic one with
// response_mode=form_post.
func TestCT_21_FormPostPlan(t *testing.T) {
	t.Parallel()
	for _, m := range basicPlan {
		t.Run("oidcc-client-test"+m.name, func(t *testing.T) {
			t.Parallel()
			covers(t, "CT-21", m.row)
			posted := formPost()
			m.run(t, posted)
		})
	}
}

func TestCT_20_FormPostError(t *testing.T) {
	t.Parallel()
	// Module oidcc-client-test-form-post-error: prompt=none and max_age=0 are answered
	// with a login_required that the browser posts.
	covers(t, "CT-20", "OIDC-14")
	w := newWorld(t, formPost(), askingUserInfo(), allowing("prompt", "max_age"), behaviour(func(b *as.Behaviour) { b.LoggedOut = true }))
	r := w.LoginAt(w.UA, "prompt=none&max_age=0&returnTo=/orders")
	request := w.asked()
	if request.Get("prompt") != "none" || request.Get("max_age") != "0" || request.Get("response_mode") != "form_post" {
		t.Errorf("the authorization request is %v", request)
	}
	if r.Status != http.StatusOK || r.URL.Path != "/orders" || w.Cookie() != "" || w.Session().Authenticated {
		t.Errorf("%s at %s", r, r.URL)
	}
	if callback := r.Hop("/bff/callback"); callback == nil || callback.Request.Method != http.MethodPost {
		t.Error("the answer was not posted")
	}
	if n := len(w.AS.Requests(as.Token)) + len(w.AS.Requests(as.UserInfo)); n != 0 {
		t.Errorf("%d requests after an error", n)
	}
}

func TestCT_23_MTLSEndpointAliases(t *testing.T) {
	t.Parallel()
	// Module oidcc-client-test-mtls-endpoint-aliases.
	covers(t, "CT-23")
	certificate := authority.Issue(t, "shop")
	w := newWorld(t, secureProvider(), askingUserInfo(), clientCertificate(v1alpha1.TLSClientAuth, certificate))
	w.WantLogin(w.LoginAt(w.UA, ""))
	for _, at := range []as.Endpoint{as.Token, as.PAR, as.UserInfo} {
		r := w.AS.Last(at)
		if r == nil || !r.Alias || r.Certificate == nil || !r.Certificate.Equal(certificate.Leaf) {
			t.Errorf("%s: not at the alias, or without the certificate", at)
		}
	}
	selfSigned := pki.SelfSigned(t, "shop")
	w = newWorld(t, secureProvider(), askingUserInfo(), clientCertificate(v1alpha1.SelfSignedTLSClientAuth, selfSigned))
	w.WantLogin(w.LoginAt(w.UA, ""))
	if r := w.AS.Last(as.Token); r == nil || !r.Alias || !r.Certificate.Equal(selfSigned.Leaf) {
		t.Error("token endpoint: not at the alias, or without the certificate")
	}
}

func TestCT_27_28_ConfigurationPlan(t *testing.T) {
	t.Parallel()
	// Modules oidcc-client-test-discovery-openid-config and
	// oidcc-client-test-discovery-jwks-uri-keys: every run has endpoints of its own,
	// which only the metadata tell.
	covers(t, "CT-27", "CT-28")
	for _, path := range []string{"", "/realms/shop", "/test/a/alias"} {
		w := newWorld(t, askingUserInfo(), issuerPath(path))
		w.WantLogin(w.LoginAt(w.UA, ""))
		read := w.AS.Requests(as.Discovery)
		if len(read) == 0 || read[0].Method != http.MethodGet || read[0].URL.Path != path+"/.well-known/openid-configuration" || read[0].Header.Get("Authorization") != "" {
			t.Fatalf("the metadata were not read as they should be: %d requests", len(read))
		}
		userInfo := w.AS.Last(as.UserInfo)
		for _, at := range []as.Endpoint{as.Discovery, as.JWKS, as.Token} {
			if first := w.AS.Requests(at); len(first) == 0 || !first[0].Time.Before(userInfo.Time) {
				t.Errorf("%s was not asked before UserInfo", at)
			}
		}
	}
}

func TestCT_33_RefreshToken(t *testing.T) {
	t.Parallel()
	// Module oidcc-client-test-refresh-token. What the page calls at the UserInfo
	// endpoint goes there with the session's access token.
	covers(t, "CT-33")
	for name, withIDToken := range map[string]bool{"with an ID token": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mayLeak("claim of UserInfo"), behaviour(func(b *as.Behaviour) { b.RefreshIDToken = withIDToken }),
				policyOf(func(w *world, s *v1alpha1.BFFPolicySpec) {
					s.Routes = append(s.Routes, v1alpha1.Route{Name: "userinfo", Path: w.AS.Path(as.UserInfo), Upstream: v1alpha1.Upstream{URL: w.AS.Issuer}})
				}))
			w.Login()
			old := w.AS.Tokens()[0].Value
			w.AS.ExpireAccessTokens()
			w.Eventually("UserInfo answers", func() bool { return w.Call("GET", w.AS.Path(as.UserInfo)).Status == http.StatusOK })
			refreshes := w.AS.Grants("refresh_token")
			if len(refreshes) != 1 {
				t.Fatalf("%d refreshes, want one", len(refreshes))
			}
			raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(refreshes[0].Header.Get("Authorization"), "Basic "))
			if want := clientID + ":" + url.QueryEscape(w.AS.Registered().Secret); err != nil || string(raw) != want {
				t.Errorf("the refresh is authenticated by %q", refreshes[0].Header.Get("Authorization"))
			}
			last := w.AS.Last(as.UserInfo)
			if token, good := w.AS.TokenInfo(strings.TrimPrefix(last.Header.Get("Authorization"), "Bearer ")); !good || token.Value == old {
				t.Error("UserInfo was not asked with the new access token")
			}
		})
	}
}
