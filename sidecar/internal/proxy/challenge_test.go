package proxy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/challenge"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// DPOP-19: no DPoP challenge is left, and every other one is as it was.
func TestWithoutDPoP(t *testing.T) {
	for text, want := range map[string]string{
		`Bearer error="invalid_token"`: `Bearer error="invalid_token"`,
		`DPoP error="use_dpop_nonce"`:  ``,
		`dpop`:                         ``,
		`Bearer realm="a, DPoP b=c" , DPOP algs="ES256", Basic realm=x`: `Bearer realm="a, DPoP b=c"|Basic realm=x`,
		"DPoP a=b\nBearer c=d":  `Bearer c=d`,
		`Bearer x="unclosed`:    `Bearer x="unclosed`,
		`DPoP x="unclosed`:      ``,
		"Bearer a\nDPoP x=\"un": ``,
	} {
		if got := strings.Join(withoutDPoP(lines(text)), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// OA-08: another token is only got if it could help.
func TestRefusesToken(t *testing.T) {
	for text, want := range map[string]bool{
		``:                                     true,
		`Bearer`:                               true,
		`Bearer realm="x"`:                     true,
		`bearer error=invalid_token`:           true,
		`Basic realm=x, Bearer`:                true,
		`Bearer error="x`:                      true, // it cannot be read
		`Bearer error="invalid_token", error=`: true, // nor this
		`Bearer error=invalid_token, error=invalid_token`: false,
		`Basic realm=x`:                   false,
		`Bearer error=insufficient_scope`: false,
		`DPoP error="invalid_token"`:      false, // not how it was presented
	} {
		if got := refusesToken(lines(text), "Bearer"); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	for text, want := range map[string]bool{
		`DPoP error="invalid_token", Bearer`:  true,
		`Bearer, dpop algs=ES256`:             true,
		`DPoP error=invalid_dpop_proof`:       false,
		`DPoP error=use_dpop_nonce, Bearer`:   false,
		`Bearer error=invalid_token, Basic x`: false,
	} {
		if got := refusesToken(lines(text), "DPoP"); got != want {
			t.Errorf("presented by DPoP, %q: %t", text, got)
		}
	}
}

// STEP-01, STEP-02: what is asked for, or nothing if it cannot be passed on.
func TestStepUpOf(t *testing.T) {
	const is = ` error="insufficient_user_authentication"`
	for text, want := range map[string]string{
		`Bearer` + is + `, acr_values="gold silver", max_age="5"`:                      `/login?acr_values=gold+silver&max_age=5`,
		`DPoP` + is + `, max_age=0`:                                                    `/login?max_age=0`,
		`bearer error=insufficient_user_authentication, acr_values=urn:x%26max_age=0`:  ``, // : is no token character
		`bearer error=insufficient_user_authentication, acr_values="urn:x&max_age=0"`:  `/login?acr_values=urn%3Ax%26max_age%3D0`,
		`Basic realm="x", Bearer` + is + `, acr_values=gold, error_description="a, b"`: `/login?acr_values=gold`,
		"Bearer realm=x\nDPoP" + is + ", max_age=\"0060\"":                             `/login?max_age=60`,
		`Bearer error=insufficient_scope, acr_values=gold`:                             ``,
		`Basic` + is + `, acr_values=gold`:                                             ``,
		`Bearer` + is:                                                                  ``,
		`Bearer` + is + `, max_age="-1"`:                                               ``,
		`Bearer` + is + `, max_age=+1`:                                                 ``,
		`Bearer` + is + `, max_age=5.0`:                                                ``,
		`Bearer` + is + `, max_age=""`:                                                 ``,
		`Bearer` + is + `, max_age=1e3`:                                                ``,
		`Bearer` + is + `, max_age=2147483648`:                                         ``,
		`Bearer` + is + `, max_age=99999999999999999999999`:                            ``,
		`Bearer` + is + `, max_age=5, max_age=6`:                                       ``,
		`Bearer` + is + `, acr_values=gold, max_age=x`:                                 ``,
		`Bearer` + is + `, acr_values=" "`:                                             ``,
		`Bearer` + is + `, acr_values="ü"`:                                             ``,
		`Bearer` + is + `, acr_values=` + strings.Repeat("a", 257):                     ``,
		`Bearer` + is + `, acr_values="` + strings.Repeat("a ", 9) + `"`:               ``,
		`Bearer` + is + `, acr_values="gold`:                                           ``,
	} {
		got := ""
		if s, ok := stepUpOf(lines(text)); ok {
			got = s.loginURL("/login")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// STEP-05, STEP-07: what the login already is, is not asked for again.
func TestStepUpThatHelps(t *testing.T) {
	now := time.Unix(10_000, 0)
	hour := time.Hour
	sess := &session.Session{ACR: "silver", AuthTime: now.Add(-30 * time.Minute)}
	for name, c := range map[string]struct {
		want      stepUp
		sess      *session.Session
		fulfilled bool
	}{
		"another class":            {stepUp{acrValues: []string{"gold"}}, sess, false},
		"one of the classes":       {stepUp{acrValues: []string{"gold", "silver"}}, sess, true},
		"fresh enough":             {stepUp{maxAge: &hour}, sess, true},
		"too old":                  {stepUp{maxAge: new(time.Minute)}, sess, false},
		"the class, and too old":   {stepUp{acrValues: []string{"silver"}, maxAge: new(time.Minute)}, sess, false},
		"nobody knows how old":     {stepUp{maxAge: &hour}, &session.Session{}, false},
		"nobody knows which class": {stepUp{acrValues: []string{"gold"}}, &session.Session{}, false},
	} {
		if got := c.want.fulfilledBy(c.sess, now); got != c.fulfilled {
			t.Errorf("%s: %t", name, got)
		}
	}
	both := stepUp{acrValues: []string{"gold"}, maxAge: &hour}
	if both.allowedBy([]v1alpha1.LoginParameter{v1alpha1.ParameterACRValues, v1alpha1.ParameterPrompt}) ||
		!both.allowedBy([]v1alpha1.LoginParameter{v1alpha1.ParameterACRValues, v1alpha1.ParameterMaxAge}) || both.allowedBy(nil) {
		t.Error("the policy does not decide")
	}
}

// Whatever an upstream sends: nothing panics, what goes to the browser holds no
// DPoP challenge, and a login URL is only ever our own.
func FuzzChallenges(f *testing.F) {
	for _, seed := range []string{`Bearer realm="x", error=invalid_token`, `DPoP error="use_dpop_nonce", algs="ES256"`, `Negotiate YWJj==`, `,=",\`,
		`Bearer error="insufficient_user_authentication", acr_values="a b", max_age=5`, `Basic realm="DPoP x=y"`, "Bearer a=b\nDPoP"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values := strings.Split(text, "\n")
		kept := withoutDPoP(values)
		left, ok := challenge.Parse(kept)
		if !ok && strings.Contains(strings.ToLower(strings.Join(kept, ",")), "dpop") {
			t.Fatalf("%q: %q is left, and nobody can say what it is", text, kept)
		}
		if slices.ContainsFunc(left, func(c challenge.Challenge) bool { return c.Is("DPoP") }) {
			t.Fatalf("%q: a DPoP challenge is left in %q", text, kept)
		}
		refusesToken(values, "Bearer")
		if s, ok := stepUpOf(values); ok {
			login := s.loginURL("/bff/login")
			if rest, own := strings.CutPrefix(login, "/bff/login?"); !own || strings.ContainsAny(rest, "#?/\\\"<> \r\n") {
				t.Fatalf("%q: %q", text, login)
			}
		}
	})
}
