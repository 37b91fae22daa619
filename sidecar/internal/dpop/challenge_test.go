package dpop_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
)

// DPOP-12: how an authorization server asks for a nonce.
func TestAuthorizationServerWantsANonce(t *testing.T) {
	const refusal = `{"error":"use_dpop_nonce","error_description":"Authorization server requires nonce in DPoP proof"}`
	for name, tc := range map[string]struct {
		status int
		header http.Header
		body   string
		want   bool
	}{
		"as in RFC 9449 section 8":    {400, answer("n"), refusal, true},
		"without a nonce":             {400, answer(), refusal, false},
		"with two":                    {400, answer("n", "m"), refusal, false},
		"with what is no nonce":       {400, answer("n m"), refusal, false},
		"another error":               {400, answer("n"), `{"error":"invalid_grant"}`, false},
		"in the description":          {400, answer("n"), `{"error":"x","error_description":"use_dpop_nonce"}`, false},
		"as a list":                   {400, answer("n"), `{"error":["use_dpop_nonce"]}`, false},
		"in another spelling":         {400, answer("n"), `{"error":"USE_DPOP_NONCE"}`, false},
		"no JSON":                     {400, answer("n"), `use_dpop_nonce`, false},
		"no body":                     {400, answer("n"), ``, false},
		"a nonce with what is well":   {200, answer("n"), refusal, false},
		"out of order":                {503, answer("n"), refusal, false},
		"as a resource server cannot": {401, answer("n"), refusal, false},
		"huge":                        {400, answer("n"), `{"x":"` + strings.Repeat("x", 64<<10) + `","error":"use_dpop_nonce"}`, false},
	} {
		if got := dpop.WantsNonce(tc.status, tc.header, []byte(tc.body)); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// DPOP-13: how a resource server asks for a nonce.
func TestResourceServerWantsANonce(t *testing.T) {
	for name, tc := range map[string]struct {
		status     int
		challenges []string
		want       bool
	}{
		"as in RFC 9449 section 9":      {401, []string{`DPoP error="use_dpop_nonce", error_description="Resource server requires nonce in DPoP proof"`}, true},
		"not the first parameter":       {401, []string{`DPoP realm="a, b", algs="ES256 PS256", error="use_dpop_nonce"`}, true},
		"scheme in other case":          {401, []string{`dpop error="use_dpop_nonce"`}, true},
		"parameter in other case":       {401, []string{`DPOP Error="use_dpop_nonce"`}, true},
		"as a token":                    {401, []string{`DPoP error=use_dpop_nonce`}, true},
		"with spaces":                   {401, []string{"DPoP   error\t= \"use_dpop_nonce\" , x=y"}, true},
		"quoted more than needed":       {401, []string{`DPoP error="use\_dpop\_nonce"`}, true},
		"after Bearer":                  {401, []string{`Bearer realm="x", error="invalid_token", DPoP error="use_dpop_nonce"`}, true},
		"before Bearer":                 {401, []string{`DPoP error="use_dpop_nonce", Bearer`}, true},
		"after Negotiate":               {401, []string{`Negotiate YWJj==, DPoP error="use_dpop_nonce"`}, true},
		"after Basic and nothing":       {401, []string{`Basic, , DPoP error="use_dpop_nonce"`}, true},
		"in a second header":            {401, []string{`Bearer realm="x"`, `DPoP error="use_dpop_nonce"`}, true},
		"after quotes in quotes":        {401, []string{`Bearer realm="a\", DPoP \"", DPoP error="use_dpop_nonce"`}, true},
		"another error":                 {401, []string{`DPoP error="invalid_token"`}, false},
		"error of another scheme":       {401, []string{`DPoP algs="ES256", Bearer error="use_dpop_nonce"`}, false},
		"of a scheme that begins so":    {401, []string{`DPoPX error="use_dpop_nonce"`}, false},
		"in quotes":                     {401, []string{`Bearer realm="DPoP error=\"use_dpop_nonce\""`}, false},
		"in quotes, behind a comma":     {401, []string{`Bearer realm="x, DPoP error=use_dpop_nonce"`}, false},
		"in quotes, between commas":     {401, []string{`Bearer realm="x, DPoP error=use_dpop_nonce, y"`}, false},
		"scheme of the header before":   {401, []string{`DPoP algs="ES256"`, `error="use_dpop_nonce"`}, false},
		"another parameter":             {401, []string{`DPoP xerror="use_dpop_nonce"`}, false},
		"longer":                        {401, []string{`DPoP error="use_dpop_nonce2"`}, false},
		"quotes without end":            {401, []string{`DPoP error="use_dpop_nonce`}, false},
		"quotes without end, backslash": {401, []string{`DPoP error="use_dpop_nonce\`}, false},
		"no challenge":                  {401, nil, false},
		"empty":                         {401, []string{""}, false},
		"too long":                      {401, []string{`Bearer realm="` + strings.Repeat("x", 8<<10) + `", DPoP error="use_dpop_nonce"`}, false},
		"not a 401":                     {403, []string{`DPoP error="use_dpop_nonce"`}, false},
		"well":                          {200, []string{`DPoP error="use_dpop_nonce"`}, false},
		"as an authorization server":    {400, []string{`DPoP error="use_dpop_nonce"`}, false},
	} {
		header := answer("n")
		header["Www-Authenticate"] = tc.challenges
		if got := dpop.WantsNonce(tc.status, header, nil); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
		header.Del("DPoP-Nonce")
		if dpop.WantsNonce(tc.status, header, nil) {
			t.Errorf("%s, without a nonce: true", name)
		}
	}
}

// Whatever a server answers, only what says use_dpop_nonce asks for a nonce, and
// only a nonce that may stand in a header is kept.
func FuzzWantsNonce(f *testing.F) {
	f.Add(401, "n", `DPoP error="use_dpop_nonce", Bearer realm="a\"b"`, "")
	f.Add(401, "n", `Negotiate YWJj==, dpop error = use_dpop_nonce`, "")
	f.Add(400, "n", "", `{"error":"use_dpop_nonce"}`)
	f.Add(401, `"`, `DPoP error="use_dpop_nonce\`, "")
	f.Fuzz(func(t *testing.T, status int, nonce, challenge, body string) {
		header := answer(nonce)
		header.Set("WWW-Authenticate", challenge)
		said := strings.ReplaceAll(challenge, `\`, "")
		if dpop.WantsNonce(status, header, []byte(body)) {
			switch {
			case status == 401 && strings.Contains(said, "use_dpop_nonce") && strings.Contains(strings.ToLower(said), "dpop "):
			case status == 400 && json.Valid([]byte(body)): // which may spell it in many ways
			default:
				t.Errorf("%d %q %q wants a nonce", status, challenge, body)
			}
		}
		var nonces dpop.Nonces
		u := at(t, "https://a.example/")
		nonces.Note(u, header)
		if got := nonces.Of(u); got != "" && (got != nonce || strings.ContainsAny(got, " \r\n\t\"\\\x00") || len(got) > 1024) {
			t.Errorf("kept %q of %q", got, nonce)
		}
	})
}
