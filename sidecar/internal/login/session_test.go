package login_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// BFF-45: the policy says which claims a page sees, and of what it does not name
// there is nothing, in the store either.
func TestSessionClaims(t *testing.T) {
	w, server := scripted(t, setup{claims: []string{"sub", "groups"}})
	server.Behave(claiming(map[string]any{"groups": []string{"admins", "staff"}, "secret": "MARKER"}))
	b := w.browser()
	b.logIn("/")
	if got := fmt.Sprint(b.session().Claims); got != "map[groups:[admins staff] sub:alice]" {
		t.Errorf("claims %s", got)
	}
	sess, err := w.sessions.Find(t.Context(), b.sessionCookie())
	if err != nil || len(sess.Claims) != 2 {
		t.Errorf("kept: %v, %v", sess.Claims, err)
	}
	w.wantNoSecrets()
}

// What the provider does not say about the authentication is not there.
func TestSessionWithoutAuthentication(t *testing.T) {
	w, server := scripted(t, setup{})
	server.Behave(claiming(map[string]any{"acr": nil, "auth_time": nil}))
	b := w.browser()
	b.logIn("/")
	if s := b.session(); !s.Authenticated || s.ACR != "" || s.AuthTime != 0 {
		t.Errorf("session %+v", s)
	}
}

// The session belongs to the network that the callback came from.
func TestSessionNetwork(t *testing.T) {
	network := netip.MustParsePrefix("192.0.2.0/24")
	w, _ := scripted(t, setup{network: func(*http.Request) netip.Prefix { return network }})
	b := w.browser()
	b.logIn("/")
	if sess, err := w.sessions.Find(t.Context(), b.sessionCookie()); err != nil || sess.Network != network {
		t.Errorf("network %v, %v", sess, err)
	}
}

// COOK-05, COOK-06: of two session cookies none is believed, and a name in
// another case is another cookie.
func TestSessionCookieIsUnambiguous(t *testing.T) {
	w, _ := scripted(t, setup{})
	b := w.browser()
	b.logIn("/")
	value := b.sessionCookie()
	for name, cookies := range map[string]string{
		"twice":      session.CookieName + "=" + value + "; " + session.CookieName + "=" + value,
		"other case": "__host-http-bff=" + value,
	} {
		other := w.browser()
		answer := other.do(http.MethodGet, "/bff/session", sameOrigin, http.Header{"Cookie": {cookies}, "X-Csrf": {"1"}})
		if body := bodyOf(answer); answer.StatusCode != http.StatusOK || body != `{"authenticated":false}` {
			t.Errorf("%s: %s %s", name, answer.Status, body)
		}
	}
}

// RFC 9449: the transaction keeps the key that the request named, and the tokens
// are bound to it.
func TestDPoPKeyIsOfTheTransaction(t *testing.T) {
	w, server := scripted(t, setup{dpop: v1alpha1.DPoPPreferred})
	server.Behave(providertest.Behaviour{DPoP: true})
	b := w.browser()
	first, second := b.begin("/"), b.begin("/")
	thumbprints := map[string]bool{}
	for _, authorization := range []*url.URL{first, second} {
		thumbprints[authorization.Query().Get("dpop_jkt")] = true
	}
	if len(thumbprints) != 2 || thumbprints[""] {
		t.Errorf("two logins name the keys %v", thumbprints)
	}
	if answer := b.navigate(b.throughScripted(first), crossSite); answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", answer.Status, bodyOf(answer))
	}
	sess, err := w.sessions.Find(t.Context(), b.sessionCookie())
	if err != nil || len(sess.Tokens.Key) == 0 {
		t.Errorf("the session has no key: %v", err)
	}
}
