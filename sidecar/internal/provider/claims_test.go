package provider

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func goodClaims() map[string]any {
	return map[string]any{
		"iss": "https://id.example.com", "sub": "alice", "aud": "shop", "nonce": "n-1",
		"iat": noon.Unix(), "exp": noon.Add(5 * time.Minute).Unix(),
	}
}

func verdict(t *testing.T, changes map[string]any) Reason {
	t.Helper()
	all := goodClaims()
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	c, ok := parseClaims(payload)
	if !ok {
		return ReasonIDTokenMalformed
	}
	nonce := "n-1"
	return judge(c, expectation{
		issuer: "https://id.example.com", clientID: "shop", trusted: []string{"partner"}, nonce: &nonce, now: noon, skew: 30 * time.Second})
}

// OpenID Connect Core section 3.1.3.7, claim by claim. nil removes a claim.
func TestIDTokenClaims(t *testing.T) {
	in := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	for name, row := range map[string]struct {
		change map[string]any
		want   Reason
	}{
		"all there":                            {nil, ""},
		"IDT-18 unknown claims":                {map[string]any{"x": map[string]any{"y": 1}}, ""},
		"IDT-02 other issuer":                  {map[string]any{"iss": "https://evil.example.com"}, ReasonIDTokenIssuer},
		"IDT-02 slash at the end":              {map[string]any{"iss": "https://id.example.com/"}, ReasonIDTokenIssuer},
		"IDT-02 other case":                    {map[string]any{"iss": "https://ID.example.com"}, ReasonIDTokenIssuer},
		"IDT-02 no issuer":                     {map[string]any{"iss": nil}, ReasonIDTokenIssuer},
		"issuer under another spelling":        {map[string]any{"iss": nil, "ISS": "https://id.example.com"}, ReasonIDTokenIssuer},
		"IDT-14 no subject":                    {map[string]any{"sub": nil}, ReasonIDTokenSubject},
		"IDT-14 empty subject":                 {map[string]any{"sub": ""}, ReasonIDTokenSubject},
		"IDT-14 255 characters":                {map[string]any{"sub": strings.Repeat("a", 255)}, ""},
		"IDT-14 256 characters":                {map[string]any{"sub": strings.Repeat("a", 256)}, ReasonIDTokenSubject},
		"IDT-14 not ASCII":                     {map[string]any{"sub": "älice"}, ReasonIDTokenSubject},
		"IDT-14 line break":                    {map[string]any{"sub": "alice\nbob"}, ReasonIDTokenSubject},
		"subject is a number":                  {map[string]any{"sub": 1}, ReasonIDTokenMalformed},
		"second spelling of the subject":       {map[string]any{"SUB": "bob"}, ""},
		"IDT-03 list of us":                    {map[string]any{"aud": []string{"shop"}}, ""},
		"IDT-03 other audience":                {map[string]any{"aud": "bank"}, ReasonIDTokenAudience},
		"IDT-03 list of others":                {map[string]any{"aud": []string{"bank"}}, ReasonIDTokenAudience},
		"IDT-03 us and a stranger":             {map[string]any{"aud": []string{"shop", "bank"}}, ReasonIDTokenAudience},
		"IDT-03 us and one we trust":           {map[string]any{"aud": []string{"shop", "partner"}}, ""},
		"IDT-03 one we trust and not us":       {map[string]any{"aud": []string{"partner"}}, ReasonIDTokenAudience},
		"acr and auth_time of odd types":       {map[string]any{"acr": 1, "auth_time": "noon"}, ""},
		"IDT-03 no audience":                   {map[string]any{"aud": nil}, ReasonIDTokenAudience},
		"IDT-03 empty list":                    {map[string]any{"aud": []string{}}, ReasonIDTokenAudience},
		"IDT-03 audience is a number":          {map[string]any{"aud": 7}, ReasonIDTokenMalformed},
		"IDT-03 list with a number":            {map[string]any{"aud": []any{"shop", 7}}, ReasonIDTokenMalformed},
		"IDT-05 we are the authorized party":   {map[string]any{"azp": "shop"}, ""},
		"IDT-05 somebody else is":              {map[string]any{"azp": "bank"}, ReasonIDTokenAuthorizedParty},
		"IDT-09 expired a second ago":          {map[string]any{"exp": in(-time.Second)}, ""},
		"IDT-09 expired within the leeway":     {map[string]any{"exp": in(-29 * time.Second)}, ""},
		"IDT-09 expired outside of the leeway": {map[string]any{"exp": in(-30 * time.Second)}, ReasonIDTokenExpired},
		"IDT-09 expired 10 minutes ago":        {map[string]any{"exp": in(-10 * time.Minute)}, ReasonIDTokenExpired},
		"IDT-09 no expiry":                     {map[string]any{"exp": nil}, ReasonIDTokenMalformed},
		"IDT-09 expiry is a string":            {map[string]any{"exp": "1795521900"}, ReasonIDTokenMalformed},
		"IDT-09 expiry after the end of time":  {map[string]any{"exp": 1e300}, ReasonIDTokenMalformed},
		"IDT-09 expiry is negative":            {map[string]any{"exp": -1}, ReasonIDTokenMalformed},
		"IDT-14 not issued":                    {map[string]any{"iat": nil}, ReasonIDTokenMalformed},
		"IDT-10 issued in 5 seconds":           {map[string]any{"iat": in(5 * time.Second)}, ""},
		"IDT-10 issued ahead, within the skew": {map[string]any{"iat": in(30 * time.Second)}, ""},
		"IDT-10 issued ahead, outside of it":   {map[string]any{"iat": in(31 * time.Second)}, ReasonIDTokenNotYet},
		"IDT-10 issued in an hour":             {map[string]any{"iat": in(time.Hour)}, ReasonIDTokenNotYet},
		"not valid before an hour":             {map[string]any{"nbf": in(time.Hour)}, ReasonIDTokenNotYet},
		"valid already":                        {map[string]any{"nbf": in(-time.Hour)}, ""},
		"IDT-11 other nonce":                   {map[string]any{"nonce": "n-2"}, ReasonIDTokenNonce},
		"IDT-11 no nonce":                      {map[string]any{"nonce": nil}, ReasonIDTokenNonce},
		"IDT-11 nonce is a list":               {map[string]any{"nonce": []string{"n-1"}}, ReasonIDTokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := verdict(t, row.change); got != row.want {
				t.Errorf("reason %q, want %q", got, row.want)
			}
		})
	}
}

// OIDC-11: what a refreshed ID token must have in common with the first.
func TestRefreshedIDTokenClaims(t *testing.T) {
	for name, row := range map[string]struct {
		change map[string]any
		want   Reason
	}{
		"the same":               {nil, ""},
		"no nonce":               {map[string]any{"nonce": nil}, ""},
		"new times":              {map[string]any{"iat": noon.Add(time.Hour).Unix(), "exp": noon.Add(2 * time.Hour).Unix()}, ""},
		"audience as a list":     {map[string]any{"aud": []string{"shop"}}, ""},
		"another user":           {map[string]any{"sub": "bob"}, ReasonIDTokenChanged},
		"another issuer":         {map[string]any{"iss": "https://evil.example.com"}, ReasonIDTokenChanged},
		"another audience":       {map[string]any{"aud": "bank"}, ReasonIDTokenChanged},
		"an additional audience": {map[string]any{"aud": []string{"shop", "bank"}}, ReasonIDTokenChanged},
		"another nonce":          {map[string]any{"nonce": "n-2"}, ReasonIDTokenNonce},
		"issued before":          {map[string]any{"iat": noon.Add(-time.Second).Unix()}, ReasonIDTokenChanged},
		"no auth_time":           {map[string]any{"auth_time": nil}, ""},
		"another authentication": {map[string]any{"auth_time": noon.Unix()}, ReasonAuthTimeChanged},
	} {
		t.Run(name, func(t *testing.T) {
			parse := func(changes map[string]any) claims {
				all := goodClaims()
				maps.Copy(all, changes)
				maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
				payload, _ := json.Marshal(all)
				c, ok := parseClaims(payload)
				if !ok {
					t.Fatal("claims cannot be parsed")
				}
				return c
			}
			earlier := map[string]any{"auth_time": noon.Add(-time.Hour).Unix()}
			before := parse(earlier)
			maps.Copy(earlier, row.change)
			if got := changed(before, parse(earlier)); got != row.want {
				t.Errorf("reason %q, want %q", got, row.want)
			}
		})
	}
}

// STEP-05, IDT-12, IDT-13: a login is the one that was asked for, or none.
func TestAuthentication(t *testing.T) {
	hour, zero := time.Hour, time.Duration(0)
	ago := func(d time.Duration) float64 { return float64(noon.Add(-d).Unix()) }
	for name, row := range map[string]struct {
		acr      any
		authTime any
		want     authentication
		reason   Reason
	}{
		"nothing asked for":                    {},
		"IDT-12 the acr asked for":             {acr: "gold", want: authentication{acrValues: [][]string{{"gold"}}}},
		"IDT-12 one of those asked for":        {acr: "silver", want: authentication{acrValues: [][]string{{"gold", "silver"}, nil}}},
		"IDT-12 another one":                   {acr: "silver", want: authentication{acrValues: [][]string{{"gold"}}}, reason: ReasonACR},
		"IDT-12 none":                          {want: authentication{acrValues: [][]string{{"gold"}}}, reason: ReasonACR},
		"IDT-12 of an odd type":                {acr: 1, want: authentication{acrValues: [][]string{{"1"}}}, reason: ReasonACR},
		"IDT-12 the page's, not the policy's":  {acr: "silver", want: authentication{acrValues: [][]string{{"gold"}, {"silver"}}}, reason: ReasonACR},
		"IDT-12 both":                          {acr: "gold", want: authentication{acrValues: [][]string{{"gold", "silver"}, {"gold"}}}},
		"IDT-13 young enough":                  {authTime: ago(59 * time.Minute), want: authentication{maxAge: &hour}},
		"IDT-13 young enough within the skew":  {authTime: ago(time.Hour + 30*time.Second), want: authentication{maxAge: &hour}},
		"IDT-13 too old":                       {authTime: ago(time.Hour + 31*time.Second), want: authentication{maxAge: &hour}, reason: ReasonAuthTime},
		"IDT-13 missing":                       {want: authentication{maxAge: &hour}, reason: ReasonAuthTime},
		"IDT-13 in the future":                 {authTime: ago(-time.Hour), want: authentication{maxAge: &hour}, reason: ReasonAuthTime},
		"IDT-13 a string":                      {authTime: "1795521900", want: authentication{maxAge: &hour}, reason: ReasonAuthTime},
		"IDT-13 max_age=0, after the request":  {authTime: ago(0), want: authentication{maxAge: &zero}},
		"IDT-13 max_age=0, before the request": {authTime: ago(time.Minute), want: authentication{maxAge: &zero}, reason: ReasonAuthTime},
		"IDT-13 the request took half an hour": {
			authTime: ago(time.Hour + 20*time.Minute), want: authentication{maxAge: &hour, startedAt: noon.Add(-30 * time.Minute)}},
	} {
		t.Run(name, func(t *testing.T) {
			all := goodClaims()
			all["acr"], all["auth_time"] = row.acr, row.authTime
			maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
			payload, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			c, ok := parseClaims(payload)
			if !ok {
				t.Fatal("claims cannot be parsed")
			}
			if row.want.startedAt.IsZero() {
				row.want.startedAt = noon
			}
			want := expectation{issuer: "https://id.example.com", clientID: "shop", now: noon, skew: 30 * time.Second, authentication: row.want}
			if got := judge(c, want); got != row.reason {
				t.Errorf("reason %q, want %q", got, row.reason)
			}
		})
	}
}

func FuzzParseClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"https://id.example.com","sub":"alice","aud":["shop"],"exp":1,"iat":1}`))
	f.Add([]byte(`{"aud":[null],"exp":1e400}`))
	f.Add([]byte(`null`))
	nonce := "n-1"
	want := expectation{issuer: "https://id.example.com", clientID: "shop", nonce: &nonce, now: noon, skew: 30 * time.Second}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, ok := parseClaims(payload)
		if !ok || judge(c, want) != "" {
			return
		}
		// Whatever is accepted says all of this by its exact names.
		var all map[string]any
		if err := json.Unmarshal(payload, &all); err != nil {
			t.Fatal(err)
		}
		if all["iss"] != want.issuer || all["nonce"] != nonce || all["sub"] == "" || all["exp"] == nil {
			t.Errorf("accepted %s", payload)
		}
	})
}
