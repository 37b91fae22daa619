package provider_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

// REV-01, REV-02.
func TestRevoke(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client, tokens := loggedIn(t, server, nil)
	if err := client.Revoke(t.Context(), tokens.Refresh); err != nil {
		t.Fatal(err)
	}
	requests := server.Requests()
	last := requests[len(requests)-1]
	if last.Path != "/revoke" || !last.Authenticated || last.Form.Get("token") != tokens.Refresh || last.Form.Get("token_type_hint") != "refresh_token" {
		t.Errorf("last request: %s, authenticated %t, %d parameters", last.Path, last.Authenticated, len(last.Form))
	}
}

func TestRevokeAnswers(t *testing.T) {
	for name, row := range map[string]struct {
		b           providertest.Behaviour
		want        provider.Reason
		unavailable bool
	}{
		"REV-04 a body":                 {b: serve("/revoke", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) })},
		"REV-05 503":                    {b: serve("/revoke", func(w http.ResponseWriter) { http.Error(w, "MARKER", http.StatusServiceUnavailable) }), want: provider.ReasonStatus, unavailable: true},
		"REV-06 unsupported token type": {b: serve("/revoke", func(w http.ResponseWriter) { providertest.Fail(w, 400, "unsupported_token_type") }), want: provider.ReasonRefused},
		"REV-07 no endpoint":            {b: providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "revocation_endpoint") }}},
		"garbage":                       {b: serve("/revoke", garbage), want: provider.ReasonUnreachable, unavailable: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, row.b)
			err := provider.New(configFor(server)).Revoke(t.Context(), "MARKER")
			if row.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFailure(t, err, row.want)
			if errors.Is(err, provider.ErrUnavailable) != row.unavailable {
				t.Errorf("matches ErrUnavailable: %t", !row.unavailable)
			}
		})
	}
}

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

// ISS-05: whether the provider names itself in its answers.
func TestSendsIssuer(t *testing.T) {
	for name, row := range map[string]struct {
		change func(map[string]any)
		want   bool
	}{
		"promised":     {func(map[string]any) {}, true},
		"not promised": {func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{Metadata: row.change})
			got, err := provider.New(configFor(server)).SendsIssuer(t.Context())
			if got != row.want || err != nil {
				t.Errorf("got %t, %v", got, err)
			}
		})
	}
}
