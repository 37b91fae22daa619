//go:build conformance

package conformance

import (
	"net/http"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
)

// Whatever was agreed with the provider, a session goes through its whole life:
// login, call, refresh, back-channel logout, login again, logout at the provider,
// revocation. AS* holds every request of it against the specifications.
func TestEveryAgreementWithTheProviderLastsAWholeSession(t *testing.T) {
	t.Parallel()
	covers(t, "BFF-01", "BFF-38", "SEC-17", "SEC-21", "OA-06", "OIDC-05")
	spec := policy
	sender := spec(func(s *v1alpha1.BFFPolicySpec) {
		s.Provider.DPoP, s.Provider.UserInfo = v1alpha1.DPoPRequired, v1alpha1.Enabled
	})
	signed := spec(func(s *v1alpha1.BFFPolicySpec) { s.Provider.RequestObject = v1alpha1.RequestObjectSigned })
	userInfo := spec(func(s *v1alpha1.BFFPolicySpec) { s.Provider.UserInfo = v1alpha1.Enabled })
	unpushed := behaviour(func(b *as.Behaviour) { b.WithoutPAR = true })
	for name, agreement := range map[string][]option{
		"client_secret_basic": {},
		"client_secret_post":  {client(func(c *as.Client) { c.Method = "client_secret_post" })},
		"client_secret_jwt": {client(func(c *as.Client) {
			c.Method, c.Secret = "client_secret_jwt", "MARKER-secret-of-enough-bits-for-HS256-"+randomHex(8)
		})},
		"private_key_jwt":             {newClientKey(t).option()},
		"tls_client_auth":             {secureProvider(), clientCertificate(v1alpha1.TLSClientAuth, authority.Issue(t, "shop"))},
		"self_signed_tls_client_auth": {secureProvider(), clientCertificate(v1alpha1.SelfSignedTLSClientAuth, pki.SelfSigned(t, "shop"))},
		"request object":              {newClientKey(t).option(), signed, unpushed},
		"request object, pushed":      {newClientKey(t).option(), signed},
		"plain request":               {unpushed},
		"DPoP":                        {sender},
		"DPoP with nonces":            {sender, behaviour(func(b *as.Behaviour) { b.DPoPNonce, b.NewNonceEachTime = true, true })},
		"UserInfo":                    {userInfo},
		"UserInfo, signed":            {userInfo, client(func(c *as.Client) { c.UserInfoAlgorithm = "RS256" })},
		"form_post":                   {spec(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ResponseMode = v1alpha1.ResponseModeFormPost })},
		"ES256":                       {client(func(c *as.Client) { c.IDTokenAlgorithm = "ES256" })},
		"PS256":                       {client(func(c *as.Client) { c.IDTokenAlgorithm = "PS256" })},
		"EdDSA":                       {client(func(c *as.Client) { c.IDTokenAlgorithm = "EdDSA" })},
		"a store in memory":           {inMemory()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wholeSession(newWorld(t, append(agreement,
				behaviour(func(b *as.Behaviour) { b.AccessLifetime, b.RefreshIDToken = time.Second, true }),
				hintInForm())...)) // in the form that logs out at the provider
		})
	}
}

func wholeSession(w *world) {
	w.Helper()
	w.Login()
	w.Eventually("a refresh", func() bool {
		if r := w.Call("GET", "/api/x"); r.Status != http.StatusOK {
			w.Fatalf("%s", r)
		}
		return len(w.AS.Grants("refresh_token")) > 0
	})
	response, body := w.BackChannel(w.AS.LogoutToken(func(claims, _ map[string]any) { claims["sub"] = "alice" }))
	if response.StatusCode != http.StatusOK || w.Session().Authenticated {
		w.Errorf("back-channel logout: %s %s", response.Status, body)
	}
	w.Login()
	end := w.UA.Navigate(w.Shop(w.Logout()))
	if last := w.AS.Last(as.EndSession); last == nil || last.Method != http.MethodPost || end.URL.String() != shopURL+"/" {
		w.Errorf("the logout has ended with %s at %s", end, end.URL)
	}
	w.Eventually("the revocation", func() bool { return len(w.AS.Requests(as.Revocation)) > 0 })
}
