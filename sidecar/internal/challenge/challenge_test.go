package challenge

import (
	"strings"
	"testing"
)

// STEP-01: token and quoted forms, several challenges in one header or many.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		``:                         ``,
		`Bearer`:                   `Bearer`,
		`Bearer realm="x"`:         `Bearer realm=x`,
		`bearer Realm = "x" , a=b`: `bearer Realm=x a=b`,
		`Basic realm="a, Bearer b=c", Bearer error=invalid_token`: `Basic realm=a, Bearer b=c | Bearer error=invalid_token`,
		`Negotiate YWJj==, Bearer`:                                `Negotiate | Bearer`,
		"Bearer\t, Basic \t, a = \tb":                             `Bearer | Basic a=b`,
		`Negotiate YWJj`:                                          `Negotiate`,
		`Negotiate,Basic realm=""`:                                `Negotiate | Basic realm=`,
		`,, Bearer ,, a="b" ,`:                                    `Bearer a=b`,
		`Bearer a="q\"uo\\te"`:                                    `Bearer a=q"uo\te`,
		"Bearer a=b\nDPoP algs=\"ES256 EdDSA\"":                   `Bearer a=b | DPoP algs=ES256 EdDSA`,
	} {
		challenges, ok := Parse(lines(text))
		var got []string
		for _, c := range challenges {
			parts := []string{c.scheme}
			for _, p := range c.parameters {
				parts = append(parts, p.name+"="+p.value)
			}
			got = append(got, strings.Join(parts, " "))
		}
		if !ok || strings.Join(got, " | ") != want {
			t.Errorf("%q: %q, %t, want %q", text, strings.Join(got, " | "), ok, want)
		}
	}
	for _, text := range []string{"Bearer\ta=b", "Bearer \ta=b", `Bearer,a=b`, `Negotiate YWJj==, a=b`, `a=b`, `="x"`, `Bearer a="x`, `Bearer a="x\`, `Bearer a=, b=`, `Bearer a=b c=d`, `Bearer a="b"c`, `Bearer (`, `"x"`, `Bearer a b`,
		strings.Repeat("Bearer,", 17), "Bearer a=" + strings.Repeat("x", 9000)} {
		if challenges, ok := Parse(lines(text)); ok {
			t.Errorf("%.40q was read as %+v", text, challenges)
		}
	}
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
