//go:build conformance

package conformance

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

func TestIDT_02_TheIssuerIsExact(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-02", "DISC-01")
	w := newWorld(t, askingUserInfo())
	tokens := map[string]badToken{
		"missing": {dropping("iss"), "id_token_issuer_mismatch"},
		"null":    {with("iss", nil), "id_token_malformed"},
		"a list":  {with("iss", []string{w.AS.Issuer}), "id_token_malformed"},
	}
	for name, issuer := range map[string]string{
		"another host": "https://other.test", "with a slash": w.AS.Issuer + "/", "in capitals": strings.ToUpper(w.AS.Issuer),
		"another scheme": strings.Replace(w.AS.Issuer, "http:", "https:", 1), "with a space": w.AS.Issuer + " ", "with a path": w.AS.Issuer + "/x",
		"percent-encoded": strings.Replace(w.AS.Issuer, "127", "%3127", 1), "without a scheme": strings.TrimPrefix(w.AS.Issuer, "http://"), "empty": "",
	} {
		tokens[name] = badToken{with("iss", issuer), "id_token_issuer_mismatch"}
	}
	w.WantRefused(tokens)
}

func TestIDT_03_TheAudienceIsUsAndNobodyWhoIsNotTrusted(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-03")
	w := newWorld(t, askingUserInfo())
	w.WantRefused(map[string]badToken{
		"missing":                {dropping("aud"), "id_token_audience_mismatch"},
		"another":                {with("aud", "other"), "id_token_audience_mismatch"},
		"in capitals":            {with("aud", strings.ToUpper(clientID)), "id_token_audience_mismatch"},
		"a list without us":      {with("aud", []string{"other"}), "id_token_audience_mismatch"},
		"an empty list":          {with("aud", []string{}), "id_token_audience_mismatch"},
		"us and a stranger":      {with("aud", []string{clientID, "stranger"}), "id_token_audience_mismatch"},
		"us, twice, a stranger":  {with("aud", []string{clientID, clientID, "stranger"}), "id_token_audience_mismatch"},
		"us within a string":     {with("aud", clientID+" stranger"), "id_token_audience_mismatch"},
		"a list with a number":   {with("aud", []any{clientID, 1}), "id_token_malformed"},
		"an object":              {with("aud", map[string]any{clientID: true}), "id_token_malformed"},
		"a list within the list": {with("aud", []any{[]string{clientID}}), "id_token_malformed"},
	})
	w.WantAccepted(map[string]spoil{"us in a list": with("aud", []string{clientID})})

	trusting := newWorld(t, askingUserInfo(), policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.TrustedAudiences = []string{"friend"} }))
	trusting.WantRefused(map[string]badToken{
		"the friend alone":         {with("aud", "friend"), "id_token_audience_mismatch"},
		"a stranger with a friend": {with("aud", []string{clientID, "friend", "stranger"}), "id_token_audience_mismatch"},
	})
	trusting.WantAccepted(map[string]spoil{"us and a friend": with("aud", []string{"friend", clientID})})
}

func TestIDT_04_05_TheAuthorizedPartyIsUsIfThereIsOne(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-04", "IDT-05")
	w := newWorld(t, askingUserInfo(), policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.TrustedAudiences = []string{"friend"} }))
	w.WantRefused(map[string]badToken{
		"another": {with("azp", "other"), "id_token_authorized_party_mismatch"},
		"a friend": {func(claims, _ map[string]any) string {
			claims["aud"], claims["azp"] = []string{clientID, "friend"}, "friend"
			return ""
		}, "id_token_authorized_party_mismatch"},
		"empty":  {with("azp", ""), "id_token_authorized_party_mismatch"},
		"a list": {with("azp", []string{clientID}), "id_token_malformed"},
	})
	w.WantAccepted(map[string]spoil{
		"us": with("azp", clientID),
		"us, of two audiences": func(claims, _ map[string]any) string {
			claims["aud"], claims["azp"] = []string{clientID, "friend"}, clientID
			return ""
		},
		"none, of two audiences": with("aud", []string{clientID, "friend"}),
	})
}

func TestIDT_09_10_TheTimesAreNow(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-09", "IDT-10")
	in := func(claim string, d time.Duration) spoil {
		return func(claims, _ map[string]any) string { claims[claim] = time.Now().Add(d).Unix(); return "" }
	}
	w := newWorld(t, askingUserInfo())
	tokens := map[string]badToken{
		"exp was ten minutes ago":     {in("exp", -10*time.Minute), "id_token_expired"},
		"exp was six minutes ago":     {in("exp", -6*time.Minute), "id_token_expired"},
		"iat is in an hour":           {in("iat", time.Hour), "id_token_not_yet_valid"},
		"iat is in six minutes":       {in("iat", 6*time.Minute), "id_token_not_yet_valid"},
		"nbf is in an hour":           {in("nbf", time.Hour), "id_token_not_yet_valid"},
		"exp is when Unix time began": {with("exp", 0), "id_token_malformed"},
	}
	for _, claim := range []string{"exp", "iat"} {
		for name, value := range map[string]any{"a string": "1900000000", "1e300": 1e300, "negative": -1, "null": nil, "a list": []int{1900000000}, "true": true} {
			tokens[claim+" is "+name] = badToken{with(claim, value), "id_token_malformed"}
		}
		tokens[claim+" is missing"] = badToken{dropping(claim), "id_token_malformed"}
	}
	w.WantRefused(tokens)
	w.WantAccepted(map[string]spoil{
		"exp was a second ago":   in("exp", -time.Second),
		"iat is in five seconds": in("iat", 5*time.Second),
		"the times have fractions": func(c, _ map[string]any) string {
			c["exp"] = float64(time.Now().Add(time.Minute).Unix()) + 0.5
			return ""
		},
		"it was issued long ago":      in("iat", -time.Hour),
		"it ends in a hundred years":  in("exp", 100*365*24*time.Hour),
		"nbf is there, and it is now": in("nbf", 0),
	})

	exact := newWorld(t, askingUserInfo(), policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ClockSkew = &metav1.Duration{} }))
	exact.WantRefused(map[string]badToken{
		"no leeway, exp was a second ago":   {in("exp", -time.Second), "id_token_expired"},
		"no leeway, iat is in five seconds": {in("iat", 5*time.Second), "id_token_not_yet_valid"},
	})
	lax := prepare(t, policy(func(s *v1alpha1.BFFPolicySpec) { s.Provider.ClockSkew = &metav1.Duration{Duration: time.Hour} }))
	lax.WantNoStart("clockSkew")
}

func TestIDT_11_TheNonceIsThisTransactions(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-11")
	w := newWorld(t, askingUserInfo())
	callbackOf(w, w.NewAgent(), "")
	others := w.asked().Get("nonce")
	first := ""
	w.WantAccepted(map[string]spoil{"the first one": func(claims, _ map[string]any) string {
		first = w.AS.Sign(claims, nil)
		return first
	}})
	const reason = "nonce_mismatch"
	w.WantRefused(map[string]badToken{
		"missing":                       {dropping("nonce"), reason},
		"empty":                         {with("nonce", ""), reason},
		"another":                       {with("nonce", "another"), reason},
		"of another transaction":        {with("nonce", others), reason},
		"of a transaction that is over": {func(_, _ map[string]any) string { return first }, reason},
		"the right one and more":        {func(claims, _ map[string]any) string { claims["nonce"] = claims["nonce"].(string) + "x"; return "" }, reason},
		"the right one in capitals": {func(claims, _ map[string]any) string {
			claims["nonce"] = strings.ToUpper(claims["nonce"].(string))
			return ""
		}, reason},
		"the right one in a list": {func(claims, _ map[string]any) string { claims["nonce"] = []any{claims["nonce"]}; return "" }, "id_token_malformed"},
	})
}

func TestIDT_12_13_ThePolicysLevelAndAgeAreEnforced(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-12", "IDT-13")
	w := newWorld(t, askingUserInfo(), policy(func(s *v1alpha1.BFFPolicySpec) {
		s.Login.ACRValues, s.Login.MaxAge = []string{"3", "2"}, &metav1.Duration{Duration: time.Hour}
	}))
	ago := func(d time.Duration) any { return time.Now().Add(-d).Unix() }
	w.WantRefused(map[string]badToken{
		"a lower level":               {with("acr", "1"), "acr_insufficient"},
		"no level":                    {dropping("acr"), "acr_insufficient"},
		"an unknown level":            {with("acr", "4"), "acr_insufficient"},
		"both levels in one string":   {with("acr", "3 2"), "acr_insufficient"},
		"a list of levels":            {with("acr", []string{"3"}), "acr_insufficient"},
		"authenticated two hours ago": {with("auth_time", ago(2*time.Hour)), "auth_time_too_old"},
		"nobody knows when":           {dropping("auth_time"), "auth_time_too_old"},
		"authenticated in an hour":    {with("auth_time", ago(-time.Hour)), "auth_time_too_old"},
		"when is a string":            {with("auth_time", "1900000000"), "auth_time_too_old"},
	})
	w.WantAccepted(map[string]spoil{
		"the other level":                with("acr", "2"),
		"authenticated half an hour ago": with("auth_time", ago(30*time.Minute)),
	})
	if asked := w.asked(); asked.Get("acr_values") != "3 2" || asked.Get("max_age") != "3600" {
		t.Errorf("the provider was asked for acr_values=%q and max_age=%q", asked.Get("acr_values"), asked.Get("max_age"))
	}
}

func TestIDT_14_TheSubjectIsOne(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-14")
	w := newWorld(t) // UserInfo would have to agree, which is another row
	tokens := map[string]badToken{
		"missing":  {dropping("sub"), "id_token_subject_invalid"},
		"a number": {with("sub", 7), "id_token_malformed"}, "null": {with("sub", nil), "id_token_malformed"}, "a list": {with("sub", []string{"alice"}), "id_token_malformed"},
	}
	for name, subject := range map[string]string{
		"empty": "", "256 characters": strings.Repeat("a", 256), "not ASCII": "älice", "a control character": "ali\x00ce", "a line end": "alice\n",
	} {
		tokens[name] = badToken{with("sub", subject), "id_token_subject_invalid"}
	}
	for _, claim := range []string{"iss", "aud", "iat", "exp"} {
		tokens["without "+claim] = badToken{dropping(claim), map[string]string{"iss": "id_token_issuer_mismatch", "aud": "id_token_audience_mismatch"}[claim]}
	}
	for name, token := range tokens {
		if token.reason == "" {
			token.reason = "id_token_malformed"
		}
		w.Case(name, func() {
			before := w.Rejected(token.reason)
			w.WantNoLogin(w.LoginWith(token.spoil))
			w.Eventually("the log gives the reason "+token.reason, func() bool { return w.Rejected(token.reason) > before })
		})
	}
	for _, subject := range []string{"a", strings.Repeat("a", 255), "00u1|auth0 user@example.com", `"}<script>`} {
		w.WantLogin(w.LoginWith(with("sub", subject)))
		if got := w.Session().Claims["sub"]; got != subject {
			t.Errorf("the subject is %v, want %s", got, subject)
		}
	}
}

func TestIDT_17_TheAccessTokensHashIsRight(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-17")
	w := newWorld(t, askingUserInfo())
	const reason = "id_token_at_hash_mismatch"
	w.WantRefused(map[string]badToken{
		"of another token":  {with("at_hash", base64.RawURLEncoding.EncodeToString(make([]byte, 16))), reason},
		"empty":             {with("at_hash", ""), reason},
		"with one bit less": {func(claims, _ map[string]any) string { claims["at_hash"] = flip(claims["at_hash"].(string)); return "" }, reason},
	})
	w.WantAccepted(map[string]spoil{"none": dropping("at_hash")})
}

func TestIDT_18_WhatIsNotKnownIsIgnored(t *testing.T) {
	t.Parallel()
	covers(t, "IDT-18")
	var fetched atomic.Int64
	source := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer source.Close()
	w := newWorld(t, askingUserInfo())
	w.WantAccepted(map[string]spoil{
		"any types": func(claims, header map[string]any) string {
			claims["unknown"], claims["amr"], claims[""] = map[string]any{"a": []any{1, nil, "x", 1e30}}, 7, true
			header["unknown"] = []int{1}
			return ""
		},
		"claims whose names differ in case": func(claims, _ map[string]any) string {
			claims["SUB"], claims["Iss"], claims["AUD"], claims["Nonce"], claims["EXP"] = "mallory", "https://other.test", "other", "x", 1
			return ""
		},
		"claims that stand elsewhere": func(claims, _ map[string]any) string {
			claims["_claim_names"] = map[string]string{"address": "src"}
			claims["_claim_sources"] = map[string]any{"src": map[string]string{"endpoint": source.URL, "access_token": "x"}}
			return ""
		},
	})
	if got := w.Session().Claims["sub"]; got != "alice" {
		t.Errorf("logged in as %v", got)
	}
	if fetched.Load() != 0 {
		t.Error("a URL that stands in a token was followed")
	}
}
