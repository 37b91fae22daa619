package login

import (
	"net/url"
	"strings"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
)

// readInitiation reads what a third party asks for (OpenID Connect Core section
// 4). It may name the user and the place to go, and has no say in anything else:
// whatever other parameters do to a request, an unauthenticated link must not
// (OIDC-18).
func (h *Handler) readInitiation(parameters url.Values) (wanted, flow.Refusal) {
	if issuers := parameters["iss"]; len(issuers) != 1 || issuers[0] != h.provider.Issuer() {
		return wanted{}, badRequest(flow.ReasonIssuer, sayISS)
	}
	links := parameters["target_link_uri"]
	if len(links) > 1 {
		return wanted{}, badRequest(ReasonTargetLink, sayTargetLink)
	}
	returnTo, err := h.pathOf(parameters.Get("target_link_uri"))
	if err != nil {
		return wanted{}, badRequest(ReasonTargetLink, sayTargetLink)
	}
	// A hint has to be passed on, whether pages may give one or not.
	hint := url.Values{"login_hint": parameters["login_hint"]}
	p, bad := parseParameters(hint, []v1alpha1.LoginParameter{v1alpha1.ParameterLoginHint})
	if bad != nil {
		return wanted{}, badParameter(bad)
	}
	again := url.Values{"iss": {h.provider.Issuer()}}
	if len(links) == 1 {
		again["target_link_uri"] = links
	}
	if p.LoginHint != "" {
		again.Set("login_hint", p.LoginHint)
	}
	return wanted{returnTo: returnTo, Parameters: provider.Parameters{LoginHint: p.LoginHint}, parameters: again}, flow.Refusal{}
}

// pathOf is the path of a URL of this site, with query and fragment; "/" if
// there is no URL. It returns ErrReturnTo for every other URL (OIDC-17).
//
// The origin has to stand there as browsers write it, and what follows it must
// end it: nothing is left for parsers to disagree about.
func (h *Handler) pathOf(link string) (string, error) {
	if link == "" {
		return "/", nil
	}
	rest, ours := strings.CutPrefix(link, h.origin)
	switch {
	case !ours:
		return "", ErrReturnTo
	case rest == "" || rest[0] == '?' || rest[0] == '#':
		rest = "/" + rest
	}
	return ReturnTo(rest, h.basePath)
}
