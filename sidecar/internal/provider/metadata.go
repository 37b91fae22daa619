package provider

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// metadata is what this client uses of the discovery document (OpenID Connect
// Discovery section 3, RFC 8414 section 2).
type metadata struct {
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	EndSessionEndpoint    string `json:"end_session_endpoint"`
	KeysURL               string `json:"jwks_uri"`
	endpoints
	// Aliases are endpoints that ask for a client certificate (RFC 8705 section 5).
	Aliases endpoints `json:"mtls_endpoint_aliases"`

	Algorithms       []string `json:"id_token_signing_alg_values_supported"`
	ChallengeMethods []string `json:"code_challenge_methods_supported"`
	ProofAlgorithms  []string `json:"dpop_signing_alg_values_supported"`
	// AuthMethods and AuthAlgorithms are how a client may authenticate.
	AuthMethods    []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	// ObjectAlgorithms are those of request objects (RFC 9101).
	ObjectAlgorithms []string `json:"request_object_signing_alg_values_supported"`
	PromptValues     []string `json:"prompt_values_supported"`
	ACRValues        []string `json:"acr_values_supported"`
	UILocales        []string `json:"ui_locales_supported"`
	// ResponseIssuer says that every authorization response carries iss (RFC 9207
	// section 3).
	ResponseIssuer bool `json:"authorization_response_iss_parameter_supported"`
	// RequirePush refuses requests that are not pushed (RFC 9126 section 5).
	RequirePush bool `json:"require_pushed_authorization_requests"`
	// RequireSigned refuses requests that are not signed (RFC 9101 section 10.5).
	RequireSigned bool `json:"require_signed_request_object"`
}

// endpoints are those that the client itself calls.
type endpoints struct {
	TokenEndpoint      string `json:"token_endpoint"`
	RevocationEndpoint string `json:"revocation_endpoint"`
	PushEndpoint       string `json:"pushed_authorization_request_endpoint"`
	UserInfoEndpoint   string `json:"userinfo_endpoint"`
}

// defaultAlgorithm is what a provider that advertises none signs with (OpenID
// Connect Core section 3.1.3.7, item 7).
const defaultAlgorithm = "RS256"

// policy is what metadata are checked against.
type policy struct {
	insecure   bool                        // the issuer is one that may use plain http
	aliases    bool                        // the client shows a certificate
	algorithms []v1alpha1.SigningAlgorithm // those registered; none: what is advertised
}

// check makes metadata fit for use, or says why they are not. Optional
// endpoints that are not URLs this client would call are dropped, and their
// names returned.
func (m metadata) check(p policy) (_ metadata, dropped []string, err error) {
	for _, endpoint := range []struct {
		name         string
		value, alias *string
		needed       bool
	}{
		{name: "authorization_endpoint", value: &m.AuthorizationEndpoint, needed: true},
		{name: "jwks_uri", value: &m.KeysURL, needed: true},
		{name: "end_session_endpoint", value: &m.EndSessionEndpoint},
		{name: "token_endpoint", value: &m.TokenEndpoint, alias: &m.Aliases.TokenEndpoint, needed: true},
		{name: "revocation_endpoint", value: &m.RevocationEndpoint, alias: &m.Aliases.RevocationEndpoint},
		{name: "pushed_authorization_request_endpoint", value: &m.PushEndpoint, alias: &m.Aliases.PushEndpoint},
		{name: "userinfo_endpoint", value: &m.UserInfoEndpoint, alias: &m.Aliases.UserInfoEndpoint},
	} {
		if p.aliases && endpoint.alias != nil && *endpoint.alias != "" {
			endpoint.name = "mtls_endpoint_aliases." + endpoint.name
			*endpoint.value = *endpoint.alias
		}
		if *endpoint.value == "" && !endpoint.needed {
			continue
		}
		if err := checkEndpoint(*endpoint.value, p.insecure); err != nil {
			if endpoint.needed {
				return metadata{}, nil, fmt.Errorf("%s %w", endpoint.name, err)
			}
			*endpoint.value = ""
			dropped = append(dropped, endpoint.name)
		}
	}

	// No list is no promise, and S256 is sent all the same. A list without S256
	// would mean to go on with a challenge that reveals its verifier (RFC 9700
	// section 2.1.1).
	if m.ChallengeMethods != nil && !slices.Contains(m.ChallengeMethods, "S256") {
		return metadata{}, nil, errors.New("code_challenge_methods_supported lacks S256")
	}
	if m.Algorithms, err = agreed(m.Algorithms, p.algorithms); err != nil {
		return metadata{}, nil, err
	}
	return m, dropped, nil
}

// doubts are what the provider does not advertise though the policy names it:
// the way to authenticate, and the algorithm that assertions are signed with.
// Either may be a gap in the metadata, so that they are told and not enforced.
func (m metadata) doubts(method v1alpha1.ClientAuthenticationMethod, signs v1alpha1.SigningAlgorithm) []string {
	if method == v1alpha1.WorkloadIdentity { // what it is called differs
		return nil
	}
	var doubts []string
	if len(m.AuthMethods) > 0 && !slices.Contains(m.AuthMethods, string(method)) {
		doubts = append(doubts, "token_endpoint_auth_methods_supported lacks "+string(method))
	}
	if method == v1alpha1.PrivateKeyJWT && len(m.AuthAlgorithms) > 0 && !slices.Contains(m.AuthAlgorithms, string(signs)) {
		doubts = append(doubts, "token_endpoint_auth_signing_alg_values_supported lacks "+string(signs))
	}
	return doubts
}

// agreed are the algorithms that tokens may be signed with: those registered
// for the client, or else the asymmetric ones that are advertised.
func agreed(advertised []string, registered []v1alpha1.SigningAlgorithm) ([]string, error) {
	if len(registered) > 0 {
		names := make([]string, len(registered))
		for i, algorithm := range registered {
			if names[i] = string(algorithm); !slices.Contains(asymmetric, names[i]) {
				return nil, fmt.Errorf("idTokenSigningAlgorithms may name %s", strings.Join(asymmetric, ", "))
			}
		}
		return names, nil
	}
	if len(advertised) == 0 {
		return []string{defaultAlgorithm}, nil
	}
	var names []string
	for _, algorithm := range asymmetric {
		if slices.Contains(advertised, algorithm) {
			names = append(names, algorithm)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("id_token_signing_alg_values_supported has none of %s", strings.Join(asymmetric, ", "))
	}
	return names, nil
}

// checkEndpoint accepts absolute https URLs, and http ones of this machine if
// the issuer is one too. Its errors do not quote the value.
func checkEndpoint(value string, insecure bool) error {
	if value == "" {
		return errors.New("is missing")
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "":
		return errors.New("is not an absolute URL")
	case u.User != nil:
		return errors.New("holds a user")
	case strings.Contains(value, "#"):
		return errors.New("has a fragment")
	case u.Scheme == "https", u.Scheme == "http" && insecure && isLocal(u.Hostname()):
		return nil
	}
	return errors.New("does not use https")
}

// isLocal says whether a host is this machine, as far as its name tells.
func isLocal(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
