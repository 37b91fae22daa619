package login

import (
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
)

// usualPrompts are those every provider knows (OpenID Connect Core section
// 3.1.2.1). Any other one it has to announce.
var usualPrompts = []string{promptNone, "login", "consent", "select_account"}

// supported holds parameters against what the provider's metadata say it
// supports. A list that is not there says nothing.
func supported(p provider.Parameters, a provider.Advertised) (provider.Parameters, *parameterError) {
	prompts := a.PromptValues
	if len(prompts) == 0 {
		prompts = usualPrompts
	}
	if p.Prompt != "" && !within(strings.Split(p.Prompt, " "), prompts) {
		return provider.Parameters{}, unsupported(v1alpha1.ParameterPrompt)
	}
	if len(a.ACRValues) > 0 && !within(p.ACRValues, a.ACRValues) {
		return provider.Parameters{}, unsupported(v1alpha1.ParameterACRValues)
	}
	p.UILocales = spoken(p.UILocales, a.UILocales)
	return p, nil
}

// spoken leaves out the languages a provider does not speak. They are a wish,
// and not having one granted is no error (OpenID Connect Core section 3.1.2.1).
// A tag stays if the provider has it, a wider or a narrower one: choosing is the
// provider's (RFC 4647 section 3.4).
func spoken(wished string, known []string) string {
	if wished == "" || len(known) == 0 {
		return wished
	}
	kept := slices.DeleteFunc(strings.Split(wished, " "), func(tag string) bool {
		return !slices.ContainsFunc(known, func(k string) bool { return widens(k, tag) || widens(tag, k) })
	})
	return strings.Join(kept, " ")
}

// widens says whether a language range is the tag itself or a wider one.
func widens(wide, tag string) bool {
	wide, tag = strings.ToLower(wide), strings.ToLower(tag)
	return wide == tag || strings.HasPrefix(tag, wide+"-")
}

// allowedBy holds parameters against what the policy demands of every login. A
// page can only ask for more: classes out of the policy's. The provider's client
// sends and enforces what the policy demands, and the shorter max_age.
func allowedBy(policy v1alpha1.Login, p provider.Parameters) *parameterError {
	if len(policy.ACRValues) > 0 && !within(p.ACRValues, policy.ACRValues) {
		return wrong(v1alpha1.ParameterACRValues, "must name some of the policy's spec.login.acrValues and nothing else")
	}
	return nil
}

func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}
