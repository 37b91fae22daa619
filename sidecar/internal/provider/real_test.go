package provider_test

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// The whole life of a grant at a real provider, by either way to authenticate.
func TestRealProvider(t *testing.T) {
	const clientSecret = "shop+secret/with=odd&chars%"
	for _, method := range []v1alpha1.ClientAuthenticationMethod{v1alpha1.ClientSecretBasic, v1alpha1.ClientSecretPost} {
		t.Run(string(method), func(t *testing.T) {
			server := idptest.Start(t, idp.Config{Clients: []idp.Client{{
				ID: "shop", Secret: clientSecret, AuthMethod: string(method), RedirectURIs: []string{redirectURL},
				PostLogoutRedirectURIs: []string{"https://shop.example.com/"}, Audience: []string{"shop-api"},
			}}})
			client := provider.New(provider.Config{
				Provider: v1alpha1.Provider{
					IssuerURL: server.Issuer, ClientID: "shop", UserInfo: v1alpha1.Enabled,
					ClientAuthentication: v1alpha1.ClientAuthentication{Method: method},
					Scopes:               []string{"openid", "profile", "email", "offline_access"},
				},
				RedirectURL: redirectURL, Credentials: withSecret(clientSecret),
			})
			jar, _ := cookiejar.New(nil)
			browser := &http.Client{Jar: jar}

			request := provider.AuthorizationRequest{
				State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), CodeVerifier: oauth2.GenerateVerifier()}
			target, err := client.AuthorizationURL(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			callback, err := idptest.SignIn(t.Context(), browser, target, "alice", "alice-demo-pw")
			if err != nil {
				t.Fatal(err)
			}
			maxAge := time.Hour
			code := callback.Query().Get("code")
			got, err := client.Exchange(t.Context(), provider.ExchangeRequest{
				Code: code, CodeVerifier: request.CodeVerifier, Nonce: request.Nonce, MaxAge: &maxAge})
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != "alice" || got.Claims["name"] != "Alice Liddell" || got.SID == "" || got.AuthTime.IsZero() {
				t.Errorf("subject %q, sid %q, claims %v", got.Subject, got.SID, got.Claims)
			}

			tokens := got.Tokens
			for range 3 {
				renewed, err := client.Refresh(t.Context(), tokens, token.Target{})
				if err != nil {
					t.Fatal(err)
				}
				if renewed.Access.Token == tokens.Access.Token || renewed.Refresh == tokens.Refresh {
					t.Error("a refresh changed nothing")
				}
				tokens = renewed
			}

			// RPL-04: client_id and redirect URI are enough for this provider, which asks
			// the user for want of a hint.
			logout, ok := client.EndSessionURL(t.Context(), "https://shop.example.com/")
			if !ok {
				t.Fatal("no end session URL")
			}
			response, err := browser.Get(logout)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("the provider answers the logout with status %d", response.StatusCode)
			}
			// RPL-02: with a hint it asks nothing, and sends the browser back.
			end, ok := client.EndSession(t.Context(), tokens.ID, "https://shop.example.com/")
			if !ok {
				t.Fatal("no end session request")
			}
			stay := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			if response, err = stay.PostForm(end.URL, end.Form); err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if location := response.Header.Get("Location"); location != "https://shop.example.com/" {
				t.Errorf("after the logout the browser is sent to %q with status %d", location, response.StatusCode)
			}

			if err := client.Revoke(t.Context(), tokens); err != nil {
				t.Fatal(err)
			}
			_, err = client.Refresh(t.Context(), tokens, token.Target{})
			wantFailure(t, err, provider.ReasonGrantRefused)
			if !errors.Is(err, token.ErrInvalidGrant) {
				t.Errorf("error %v does not match token.ErrInvalidGrant", err)
			}
		})
	}
}
