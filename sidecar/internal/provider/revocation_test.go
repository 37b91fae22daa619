package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// REV-01, REV-02: the refresh token first, and then every access token, since a
// provider need not let them go with it.
func TestRevoke(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client, tokens := loggedIn(t, server, nil)
	before := len(server.Requests())
	tokens = tokens.With(token.Target{Resource: "https://orders.example.com"}, token.Access{Token: "MARKER.orders"}).
		With(token.Target{Resource: "https://same.example.com"}, tokens.Access)
	if err := client.Revoke(t.Context(), tokens); err != nil {
		t.Fatal(err)
	}
	want := [][2]string{{tokens.Refresh, "refresh_token"}, {tokens.Access.Token, "access_token"}, {"MARKER.orders", "access_token"}}
	requests := server.Requests()[before:]
	if len(requests) != len(want) {
		t.Fatalf("%d requests, want %d", len(requests), len(want))
	}
	for i, r := range requests {
		if r.Path != "/revoke" || !r.Authenticated || r.Form.Get("token") != want[i][0] || r.Form.Get("token_type_hint") != want[i][1] {
			t.Errorf("request %d: %s, authenticated %t, %d parameters", i, r.Path, r.Authenticated, len(r.Form))
		}
	}
}

// REV-06: a provider that keeps access tokens until they expire is as good as
// any other.
func TestRevokeWhereAccessTokensStay(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{Serve: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/revoke" || r.FormValue("token_type_hint") != "access_token" {
			return false
		}
		providertest.Fail(w, 400, "unsupported_token_type")
		return true
	}})
	client, tokens := loggedIn(t, server, nil)
	if err := client.Revoke(t.Context(), tokens); err != nil {
		t.Error(err)
	}
}

func TestRevokeAnswers(t *testing.T) {
	for name, row := range map[string]struct {
		b           providertest.Behaviour
		want        provider.Reason
		unavailable bool
	}{
		"REV-04 a body":                 {b: serve("/revoke", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) })},
		"REV-05 429":                    {b: serve("/revoke", func(w http.ResponseWriter) { http.Error(w, "MARKER", http.StatusTooManyRequests) }), want: provider.ReasonStatus, unavailable: true},
		"REV-05 503":                    {b: serve("/revoke", func(w http.ResponseWriter) { http.Error(w, "MARKER", http.StatusServiceUnavailable) }), want: provider.ReasonStatus, unavailable: true},
		"REV-06 unsupported token type": {b: serve("/revoke", func(w http.ResponseWriter) { providertest.Fail(w, 400, "unsupported_token_type") }), want: provider.ReasonRevocationUnsupported},
		"invalid_client":                {b: serve("/revoke", func(w http.ResponseWriter) { providertest.Fail(w, 401, "invalid_client") }), want: provider.ReasonClientRefused},
		"404":                           {b: serve("/revoke", func(w http.ResponseWriter) { http.Error(w, "MARKER", 404) }), want: provider.ReasonRefused},
		"REV-07 no endpoint":            {b: providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "revocation_endpoint") }}, want: provider.ReasonRevocationMissing},
		"garbage":                       {b: serve("/revoke", garbage), want: provider.ReasonUnreachable, unavailable: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, row.b)
			err := provider.New(configFor(server)).Revoke(t.Context(), token.Set{Refresh: "MARKER"})
			if row.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFailure(t, err, row.want)
			if provider.IsTemporary(err) != row.unavailable {
				t.Errorf("temporary: %t", !row.unavailable)
			}
		})
	}
}

// REV-02: without a refresh token it is the access token that is revoked, and
// without either nobody is asked.
func TestRevokeWithoutRefreshToken(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client := provider.New(configFor(server))
	if err := client.Revoke(t.Context(), token.Set{}); err != nil || server.Count("/revoke") != 0 {
		t.Errorf("%d requests, error %v", server.Count("/revoke"), err)
	}
	if err := client.Revoke(t.Context(), token.Set{Access: token.Access{Token: "access"}}); err != nil {
		t.Fatal(err)
	}
	if form := server.Requests()[0].Form; form.Get("token") != "access" || form.Get("token_type_hint") != "access_token" {
		t.Errorf("sent %v", form)
	}
}

// REV-05: how long to wait is for the provider to say.
func TestRetryAfter(t *testing.T) {
	server := providertest.Start(t, serve("/revoke", func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "120")
		http.Error(w, "MARKER", http.StatusServiceUnavailable)
	}))
	err := provider.New(configFor(server)).Revoke(t.Context(), token.Set{Refresh: "x"})
	if got := provider.RetryAfter(err); got != 2*time.Minute || !provider.IsTemporary(err) {
		t.Errorf("wait %v, error %v", got, err)
	}
	if got := provider.RetryAfter(nil); got != 0 {
		t.Errorf("wait %v after success", got)
	}
}
