package login

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
)

// Bounds of the parameters that are passed on. What the answer is held against,
// acr_values, has to fit into a cookie.
const (
	maxLoginHint  = 256 // bytes
	maxACRValues  = 384 // bytes
	maxLocales    = 128 // bytes
	maxListed     = 8   // values in a list
	maxAgeSeconds = 30 * 24 * 60 * 60
)

const promptNone = "none"

// passedOn are the parameters of a login URL that may be passed on to the
// provider (OpenID Connect Core section 3.1.2.1).
var passedOn = []v1alpha1.LoginParameter{
	v1alpha1.ParameterPrompt, v1alpha1.ParameterLoginHint, v1alpha1.ParameterACRValues,
	v1alpha1.ParameterMaxAge, v1alpha1.ParameterUILocales,
}

// parameterError says what is wrong with a parameter that was to be passed on.
// It names the parameter and never repeats its value.
type parameterError struct {
	name   v1alpha1.LoginParameter
	reason flow.Reason
	say    string // what to write instead
}

func wrong(name v1alpha1.LoginParameter, say string) *parameterError {
	return &parameterError{name, ReasonParameter, say}
}

func unsupported(name v1alpha1.LoginParameter) *parameterError {
	return &parameterError{name, flow.ReasonUnsupported, "has a value that the identity provider does not support"}
}

// parseParameters reads the parameters of a login URL that the policy allows to
// be passed on. Others of them are refused, whatever else stands in the query is
// not looked at, and so nothing can take the place of what a request sets by
// itself (OA-03). One without a value counts as left out (RFC 6749 section 3.1).
func parseParameters(query url.Values, allowed []v1alpha1.LoginParameter) (provider.Parameters, *parameterError) {
	var p provider.Parameters
	for _, name := range passedOn {
		values := query[string(name)]
		switch {
		case len(values) > 1:
			return provider.Parameters{}, wrong(name, "must not stand there more than once")
		case len(values) == 0 || values[0] == "":
			continue
		case !slices.Contains(allowed, name):
			return provider.Parameters{}, &parameterError{name, flow.ReasonNotAllowed,
				"is not allowed here; the policy lists the allowed ones as spec.login.allowedParameters"}
		}
		if err := read(&p, name, values[0]); err != nil {
			return provider.Parameters{}, err
		}
	}
	return p, nil
}

// read checks the syntax of one value.
func read(p *provider.Parameters, name v1alpha1.LoginParameter, value string) *parameterError {
	switch name {
	case v1alpha1.ParameterPrompt:
		prompts, ok := listOf(value, maxLocales, isPrompt)
		if !ok || slices.Contains(prompts, promptNone) && len(prompts) > 1 {
			return wrong(name, "must be none, or some of login, consent and select_account with a space between")
		}
		p.Prompt = strings.Join(prompts, " ")
	case v1alpha1.ParameterLoginHint:
		if !isHint(value) {
			return wrong(name, fmt.Sprintf("must be at most %d bytes of text in one line", maxLoginHint))
		}
		p.LoginHint = value
	case v1alpha1.ParameterACRValues:
		classes, ok := listOf(value, maxACRValues, isACR)
		if !ok {
			return wrong(name, fmt.Sprintf("must be up to %d names with a space between, of %d bytes together", maxListed, maxACRValues))
		}
		p.ACRValues = classes
	case v1alpha1.ParameterMaxAge:
		age, ok := parseMaxAge(value)
		if !ok {
			return wrong(name, fmt.Sprintf("must be a number of seconds from 0 to %d", maxAgeSeconds))
		}
		p.MaxAge = &age
	case v1alpha1.ParameterUILocales:
		locales, ok := listOf(value, maxLocales, isLocale)
		if !ok {
			return wrong(name, "must be language tags with a space between, such as de-CH en")
		}
		p.UILocales = strings.Join(locales, " ")
	}
	return nil
}

// listOf splits a list whose separator is one space. No value stands there
// twice.
func listOf(value string, size int, valid func(string) bool) ([]string, bool) {
	if len(value) > size {
		return nil, false
	}
	all := strings.Split(value, " ")
	if len(all) > maxListed {
		return nil, false
	}
	for i, one := range all {
		if !valid(one) || slices.Contains(all[:i], one) {
			return nil, false
		}
	}
	return all, true
}

// isPrompt accepts what a prompt may look like; which ones there are is for the
// provider to say.
func isPrompt(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' })
}

// isACR accepts RFC 6749's NQCHAR, of which also scopes are made.
func isACR(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

func isHint(s string) bool {
	return len(s) <= maxLoginHint && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// isLocale accepts what BCP 47 tags are made of.
func isLocale(s string) bool {
	for subtag := range strings.SplitSeq(s, "-") {
		if subtag == "" || len(subtag) > 8 || strings.ContainsFunc(subtag, func(r rune) bool {
			return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9')
		}) {
			return false
		}
	}
	return true
}

// parseMaxAge reads a number of seconds (STEP-02): digits alone, no sign, no
// fraction.
func parseMaxAge(value string) (time.Duration, bool) {
	if len(value) > len(strconv.Itoa(maxAgeSeconds)) || strings.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	seconds, err := strconv.Atoi(value)
	return time.Duration(seconds) * time.Second, err == nil && seconds <= maxAgeSeconds
}
