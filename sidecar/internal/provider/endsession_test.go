package provider_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

// RPL-01, RPL-03: where a logout goes on. No token is in that URL.
func TestEndSessionURL(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{Metadata: func(m map[string]any) {
		m["end_session_endpoint"] = m["issuer"].(string) + "/end-session?realm=a"
	}})
	client, _ := loggedIn(t, server, nil)
	target, ok := client.EndSessionURL(t.Context(), "https://shop.example.com/")
	if !ok {
		t.Fatal("no URL")
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"realm": {"a"}, "client_id": {"shop"}, "post_logout_redirect_uri": {"https://shop.example.com/"}}
	if u.Path != "/end-session" || u.Query().Encode() != want.Encode() {
		t.Errorf("URL %s", target)
	}
	if strings.Contains(target, "eyJhbGciOi") {
		t.Errorf("a token is in the URL: %s", target)
	}
}

// RPL-09, RPL-10: without an endpoint, or without a provider, there is no URL,
// and nobody waits for one longer than he likes.
func TestNoEndSessionURL(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "end_session_endpoint") }})
	if target, ok := provider.New(configFor(server)).EndSessionURL(t.Context(), "https://shop.example.com/"); ok {
		t.Errorf("URL %s", target)
	}
	hanging := providertest.Start(t, hang("/.well-known/openid-configuration"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	config := configFor(hanging)
	config.Timeout = time.Second // or else the server is long in closing
	if target, ok := provider.New(config).EndSessionURL(ctx, "https://shop.example.com/"); ok {
		t.Errorf("URL %s", target)
	}
}

// RPL-01, RPL-02, RPL-04: a form with an ID token the provider has issued, in no
// URL.
func TestEndSession(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{Metadata: func(m map[string]any) {
		m["end_session_endpoint"] = m["issuer"].(string) + "/end-session?realm=a"
	}})
	client, tokens := loggedIn(t, server, nil)
	for name, row := range map[string]struct {
		hint string
		want url.Values
	}{
		"with a hint": {tokens.ID, url.Values{
			"id_token_hint": {tokens.ID}, "client_id": {"shop"}, "post_logout_redirect_uri": {"https://shop.example.com/"}}},
		"without one": {"", url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {"https://shop.example.com/"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := client.EndSession(t.Context(), row.hint, "https://shop.example.com/")
			if !ok || got.URL != server.Issuer+"/end-session?realm=a" || got.Form.Encode() != row.want.Encode() {
				t.Errorf("%t, URL %s, %d fields", ok, got.URL, len(got.Form))
			}
			if strings.Contains(got.URL, "eyJhbGciOi") {
				t.Error("a token is in the URL")
			}
		})
	}
	if _, ok := clientOf(providertest.Start(t, providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "end_session_endpoint") }}), nil).
		EndSession(t.Context(), "", "https://shop.example.com/"); ok {
		t.Error("a request for an endpoint that is not there")
	}
}
