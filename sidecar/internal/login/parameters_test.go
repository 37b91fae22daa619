package login

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
)

func durationOf(d time.Duration) *time.Duration { return &d }

func TestParseParameters(t *testing.T) {
	for name, row := range map[string]struct {
		query   string
		allowed []v1alpha1.LoginParameter
		want    provider.Parameters
		refused v1alpha1.LoginParameter
		reason  flow.Reason
	}{
		"nothing":              {"", nil, provider.Parameters{}, "", ""},
		"unknown ones":         {"utm_source=x&scope=admin&redirect_uri=https://evil&state=s&nonce=n&client_id=c", passedOn, provider.Parameters{}, "", ""},
		"prompt":               {"prompt=none", passedOn, provider.Parameters{Prompt: "none"}, "", ""},
		"two prompts":          {"prompt=login+consent", passedOn, provider.Parameters{Prompt: "login consent"}, "", ""},
		"none is alone":        {"prompt=none+login", passedOn, provider.Parameters{}, "prompt", ReasonParameter},
		"prompt twice in list": {"prompt=login+login", passedOn, provider.Parameters{}, "prompt", ReasonParameter},
		"prompt with markup":   {"prompt=%3Cb%3E", passedOn, provider.Parameters{}, "prompt", ReasonParameter},
		"not allowed":          {"prompt=none", []v1alpha1.LoginParameter{"login_hint"}, provider.Parameters{}, "prompt", flow.ReasonNotAllowed},
		"nothing is allowed":   {"max_age=0", nil, provider.Parameters{}, "max_age", flow.ReasonNotAllowed},
		"empty is left out":    {"prompt=", nil, provider.Parameters{}, "", ""},
		"OA-03 twice":          {"login_hint=a&login_hint=b", passedOn, provider.Parameters{}, "login_hint", ReasonParameter},
		"OA-03 twice, empty":   {"login_hint=&login_hint=", passedOn, provider.Parameters{}, "login_hint", ReasonParameter},
		"hint":                 {"login_hint=J%C3%BCrgen+%3Cj@example.com%3E", passedOn, provider.Parameters{LoginHint: "Jürgen <j@example.com>"}, "", ""},
		"hint of two lines":    {"login_hint=a%0Ab", passedOn, provider.Parameters{}, "login_hint", ReasonParameter},
		"hint, not UTF-8":      {"login_hint=%ff", passedOn, provider.Parameters{}, "login_hint", ReasonParameter},
		"hint, right to left":  {"login_hint=a%E2%80%AEb", passedOn, provider.Parameters{}, "login_hint", ReasonParameter},
		"long hint":            {"login_hint=" + strings.Repeat("a", maxLoginHint+1), passedOn, provider.Parameters{}, "login_hint", ReasonParameter},
		"acr":                  {"acr_values=urn:gold+silver", passedOn, provider.Parameters{ACRValues: []string{"urn:gold", "silver"}}, "", ""},
		"acr, two spaces":      {"acr_values=a++b", passedOn, provider.Parameters{}, "acr_values", ReasonParameter},
		"acr, too many":        {"acr_values=a+b+c+d+e+f+g+h+i", passedOn, provider.Parameters{}, "acr_values", ReasonParameter},
		"acr, too long":        {"acr_values=" + strings.Repeat("a", maxACRValues+1), passedOn, provider.Parameters{}, "acr_values", ReasonParameter},
		"acr, quoted":          {"acr_values=%22a%22", passedOn, provider.Parameters{}, "acr_values", ReasonParameter},
		"max_age":              {"max_age=300", passedOn, provider.Parameters{MaxAge: durationOf(5 * time.Minute)}, "", ""},
		"max_age 0":            {"max_age=0", passedOn, provider.Parameters{MaxAge: durationOf(0)}, "", ""},
		"STEP-02 negative":     {"max_age=-1", passedOn, provider.Parameters{}, "max_age", ReasonParameter},
		"STEP-02 signed":       {"max_age=%2B1", passedOn, provider.Parameters{}, "max_age", ReasonParameter},
		"STEP-02 fraction":     {"max_age=5.0", passedOn, provider.Parameters{}, "max_age", ReasonParameter},
		"STEP-02 huge":         {"max_age=99999999999999999999", passedOn, provider.Parameters{}, "max_age", ReasonParameter},
		"STEP-02 too much":     {"max_age=2592001", passedOn, provider.Parameters{}, "max_age", ReasonParameter},
		"STEP-02 other digits": {"max_age=%D9%A1", passedOn, provider.Parameters{}, "max_age", ReasonParameter},
		"locales":              {"ui_locales=de-CH+en", passedOn, provider.Parameters{UILocales: "de-CH en"}, "", ""},
		"no locale":            {"ui_locales=de_CH", passedOn, provider.Parameters{}, "ui_locales", ReasonParameter},
		"locale, long subtag":  {"ui_locales=de-123456789", passedOn, provider.Parameters{}, "ui_locales", ReasonParameter},
	} {
		t.Run(name, func(t *testing.T) {
			query, err := url.ParseQuery(row.query)
			if err != nil {
				t.Fatal(err)
			}
			got, bad := parseParameters(query, row.allowed)
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
			checkRefused(t, bad, row.refused, row.reason)
		})
	}
}

func checkRefused(t *testing.T, bad *parameterError, name v1alpha1.LoginParameter, reason flow.Reason) {
	t.Helper()
	switch {
	case bad == nil && reason != "":
		t.Errorf("accepted, want %s", reason)
	case bad != nil && (bad.name != name || bad.reason != reason):
		t.Errorf("refused %s for %s, want %q for %q", bad.name, bad.reason, name, reason)
	case bad != nil && bad.say == "":
		t.Error("nothing is said of what to write instead")
	}
}

func TestSupported(t *testing.T) {
	for name, row := range map[string]struct {
		p          provider.Parameters
		advertised provider.Advertised
		locales    string
		refused    v1alpha1.LoginParameter
	}{
		"no list, usual prompt":   {provider.Parameters{Prompt: "select_account"}, provider.Advertised{}, "", ""},
		"no list, unusual prompt": {provider.Parameters{Prompt: "create"}, provider.Advertised{}, "", "prompt"},
		"prompt listed":           {provider.Parameters{Prompt: "create login"}, provider.Advertised{PromptValues: []string{"login", "create"}}, "", ""},
		"prompt not listed":       {provider.Parameters{Prompt: "none"}, provider.Advertised{PromptValues: []string{"login"}}, "", "prompt"},
		"no list of acr":          {provider.Parameters{ACRValues: []string{"x"}}, provider.Advertised{}, "", ""},
		"acr listed":              {provider.Parameters{ACRValues: []string{"x"}}, provider.Advertised{ACRValues: []string{"x", "y"}}, "", ""},
		"acr not listed":          {provider.Parameters{ACRValues: []string{"x", "z"}}, provider.Advertised{ACRValues: []string{"x", "y"}}, "", "acr_values"},
		"no list of locales":      {provider.Parameters{UILocales: "fr"}, provider.Advertised{}, "fr", ""},
		"locales spoken":          {provider.Parameters{UILocales: "fr-CH de en"}, provider.Advertised{UILocales: []string{"fr", "EN-us"}}, "fr-CH en", ""},
		"no locale spoken":        {provider.Parameters{UILocales: "de de-CH"}, provider.Advertised{UILocales: []string{"fr", "d"}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, bad := supported(row.p, row.advertised)
			reason := flow.ReasonUnsupported
			if row.refused == "" {
				reason = ""
			}
			checkRefused(t, bad, row.refused, reason)
			if got.UILocales != row.locales {
				t.Errorf("ui_locales %q, want %q", got.UILocales, row.locales)
			}
		})
	}
}

// A page asks for more than the policy, never for less.
func TestAllowedBy(t *testing.T) {
	for name, row := range map[string]struct {
		policy, page []string
		refused      v1alpha1.LoginParameter
	}{
		"nothing":          {nil, nil, ""},
		"the policy alone": {[]string{"a"}, nil, ""},
		"the page alone":   {nil, []string{"b"}, ""},
		"a class of it":    {[]string{"a", "b"}, []string{"b"}, ""},
		"another class":    {[]string{"a", "b"}, []string{"b", "c"}, "acr_values"},
	} {
		t.Run(name, func(t *testing.T) {
			reason := ReasonParameter
			if row.refused == "" {
				reason = ""
			}
			checkRefused(t, allowedBy(v1alpha1.Login{ACRValues: row.policy}, provider.Parameters{ACRValues: row.page}), row.refused, reason)
		})
	}
}

func FuzzParseParameters(f *testing.F) {
	for _, seed := range []string{"prompt=none", "prompt=login+consent&max_age=0", "acr_values=a+b", "ui_locales=de-CH", "login_hint=a%0A", "max_age=007", "login_hint=%ff&x=y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		query, err := url.ParseQuery(encoded)
		if err != nil {
			return
		}
		p, bad := parseParameters(query, passedOn)
		if bad != nil {
			if !reflect.DeepEqual(p, provider.Parameters{}) {
				t.Errorf("refused, and still %+v", p)
			}
			return
		}
		for _, text := range append([]string{p.Prompt, p.LoginHint, p.UILocales}, p.ACRValues...) {
			if len(text) > maxACRValues || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u2028' }) {
				t.Errorf("accepted %q", text)
			}
		}
		if strings.Contains(p.Prompt, promptNone+" ") || p.MaxAge != nil && (*p.MaxAge < 0 || *p.MaxAge > maxAgeSeconds*time.Second) {
			t.Errorf("accepted %+v", p)
		}
	})
}
