package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
)

// RFC 7009.
func TestRevocation(t *testing.T) {
	revoke := func(rp *relyingParty, secret, token string) int {
		r, _ := http.NewRequest(http.MethodPost, rp.idp.Issuer+"/revoke", strings.NewReader(url.Values{"token": {token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(url.QueryEscape(shop.ID), url.QueryEscape(secret))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			rp.t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	t.Run("a refresh token takes its family along", func(t *testing.T) {
		rp := newRelyingParty(t, shop, idp.Config{})
		token := rp.logIn()
		if status := revoke(rp, shop.Secret, token.RefreshToken); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		if _, err := rp.refresh(token.RefreshToken); errorCode(err) != "invalid_grant" {
			t.Errorf("revoked refresh token: %v, want invalid_grant", err)
		}
		if _, err := rp.issuer.UserInfo(t.Context(), oauth2.StaticTokenSource(token)); err == nil {
			t.Error("its access token still works at UserInfo")
		}
		if e := rp.idp.Events(); e[len(e)-2] != (idp.Event{Kind: idp.EventRefresh, ClientID: "shop", Error: "invalid_grant"}) {
			t.Errorf("last but one event is %+v", e[len(e)-2])
		}
	})
	t.Run("an access token goes alone", func(t *testing.T) {
		rp := newRelyingParty(t, shop, idp.Config{})
		token := rp.logIn()
		if status := revoke(rp, shop.Secret, token.AccessToken); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		if _, err := rp.issuer.UserInfo(t.Context(), oauth2.StaticTokenSource(token)); err == nil {
			t.Error("revoked access token works at UserInfo")
		}
		if _, err := rp.refresh(token.RefreshToken); err != nil {
			t.Errorf("the refresh token went with it: %v", err)
		}
	})
	t.Run("an unknown token is a success", func(t *testing.T) {
		rp := newRelyingParty(t, shop, idp.Config{})
		if status := revoke(rp, shop.Secret, "no.such-token"); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	})
	t.Run("a stranger is refused", func(t *testing.T) {
		rp := newRelyingParty(t, shop, idp.Config{})
		token := rp.logIn()
		if status := revoke(rp, "guess", token.RefreshToken); status != http.StatusUnauthorized {
			t.Errorf("status %d", status)
		}
		if _, err := rp.refresh(token.RefreshToken); err != nil {
			t.Errorf("and yet the token is gone: %v", err)
		}
	})
}
