//go:build conformance

package conformance

import (
	"net/http"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
)

// refreshing has every refresh answered with an ID token, which is changed.
func refreshing(change spoil) option {
	return behaviour(func(b *as.Behaviour) {
		b.RefreshIDToken, b.AccessLifetime = true, time.Second
		b.IDToken = func(grant string, claims, header map[string]any) string {
			if grant != "refresh_token" {
				return ""
			}
			return change(claims, header)
		}
	})
}

// Refresh calls the API until its token had to be renewed, and returns the status
// of the last call.
func (w *world) Refresh() int {
	w.Helper()
	status := 0
	w.Eventually("a refresh", func() bool {
		status = w.Call("GET", "/api/x").Status
		return len(w.AS.Grants("refresh_token")) > 0
	})
	return status
}

func TestOIDC_11_TheIDTokenOfARefreshIsAboutTheSameLogin(t *testing.T) {
	t.Parallel()
	// Modules oidcc-client-test-refresh-token-invalid-issuer and
	// oidcc-client-test-refresh-token-invalid-sub.
	covers(t, "OIDC-11", "CT-34")
	foreign := as.ForeignKey("RS256")
	for name, token := range map[string]badToken{
		"another issuer":             {with("iss", "https://other.test"), "id_token_issuer_mismatch"},
		"no issuer":                  {dropping("iss"), "id_token_issuer_mismatch"},
		"another subject":            {with("sub", "mallory"), "id_token_changed"},
		"the subject in capitals":    {with("sub", "ALICE"), "id_token_changed"},
		"no subject":                 {dropping("sub"), "id_token_subject_invalid"},
		"another audience":           {with("aud", "other"), "id_token_audience_mismatch"},
		"another authorized party":   {with("azp", "other"), "id_token_authorized_party_mismatch"},
		"an older one":               {with("iat", time.Now().Add(-time.Hour).Unix()), "id_token_changed"},
		"an expired one":             {with("exp", time.Now().Add(-time.Hour).Unix()), "id_token_expired"},
		"another authentication":     {with("auth_time", time.Now().Add(-time.Hour).Unix()), "auth_time_changed"},
		"another nonce":              {with("nonce", "another"), "nonce_mismatch"},
		"of another access token":    {with("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "id_token_at_hash_mismatch"},
		"signed by somebody else":    {func(claims, _ map[string]any) string { return as.SignWith(foreign, "RS256", "", claims, nil) }, "id_token_signature_invalid"},
		"signed by nobody":           {func(claims, _ map[string]any) string { return as.SignWith(nil, "none", "", claims, nil) }, "id_token_algorithm_mismatch"},
		"something that is no token": {func(_, _ map[string]any) string { return "MARKER-not-a-token" }, "id_token_malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, refreshing(token.spoil))
			w.Login()
			// Until the old access token ends, calls may be served with it.
			w.Eventually("the session ends", func() bool { return w.Call("GET", "/api/x").Status == http.StatusUnauthorized })
			if w.Session().Authenticated {
				t.Error("the session lives on")
			}
			if n := len(w.AS.Grants("refresh_token")); n != 1 {
				t.Errorf("%d refreshes, want one", n)
			}
			first := w.AS.Tokens()[0].Value
			for _, r := range w.RS.Requests() {
				if r.Token() != first {
					t.Error("the new access token was used")
				}
			}
			w.Eventually("the log gives the reason "+token.reason, func() bool { return w.Rejected(token.reason) > 0 })
		})
	}
}

func TestOIDC_11_AGoodIDTokenOfARefreshIsTaken(t *testing.T) {
	t.Parallel()
	covers(t, "OIDC-11")
	nothing := func(_, _ map[string]any) string { return "" }
	var w *world
	for name, change := range map[string]spoil{
		"without a nonce":     nothing,
		"with the same nonce": func(claims, _ map[string]any) string { claims["nonce"] = w.asked().Get("nonce"); return "" },
		"without auth_time":   dropping("auth_time"),
		"without at_hash":     dropping("at_hash"),
		"as a list":           with("aud", []string{clientID}),
		"with other claims":   with("name", "Alice Married"),
	} {
		t.Run(name, func(t *testing.T) {
			w = newWorld(t, refreshing(change))
			w.Login()
			if status := w.Refresh(); status != http.StatusOK {
				t.Errorf("the call was answered with %d", status)
			}
			if !w.Session().Authenticated {
				t.Error("the session has ended")
			}
		})
	}
}
