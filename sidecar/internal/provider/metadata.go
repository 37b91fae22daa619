package provider

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// metadata is what this client uses of the discovery document (OpenID Connect
// Discovery section 3, RFC 8414 section 2).
type metadata struct {
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	KeysURL               string   `json:"jwks_uri"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	Algorithms            []string `json:"id_token_signing_alg_values_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	// ResponseIssuer says that every authorization response carries iss (RFC 9207
	// section 3).
	ResponseIssuer bool `json:"authorization_response_iss_parameter_supported"`
}

// asymmetric are the algorithms an ID token may be signed with. None of them
// takes a secret that the provider and this client share, let alone no key: an
// ID token with none or HS256 is never accepted, whatever the metadata say.
var asymmetric = []string{
	"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
}

// defaultAlgorithm is what a provider that advertises none signs with (OpenID
// Connect Core section 3.1.3.7, item 7).
const defaultAlgorithm = "RS256"

// check makes metadata fit for use, or says why they are not. Optional
// endpoints that are not URLs this client would call are dropped, and their
// names returned. insecure says that the issuer is one that may use plain http.
func (m metadata) check(insecure bool) (_ metadata, dropped []string, err error) {
	for _, endpoint := range []struct{ name, value string }{
		{"authorization_endpoint", m.AuthorizationEndpoint},
		{"token_endpoint", m.TokenEndpoint},
		{"jwks_uri", m.KeysURL},
	} {
		if err := checkEndpoint(endpoint.value, insecure); err != nil {
			return metadata{}, nil, fmt.Errorf("%s %w", endpoint.name, err)
		}
	}
	for _, endpoint := range []struct {
		name  string
		value *string
	}{
		{"revocation_endpoint", &m.RevocationEndpoint},
		{"end_session_endpoint", &m.EndSessionEndpoint},
	} {
		if *endpoint.value != "" && checkEndpoint(*endpoint.value, insecure) != nil {
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
	if len(m.Algorithms) == 0 {
		m.Algorithms = []string{defaultAlgorithm}
		return m, dropped, nil
	}
	agreed := []string{}
	for _, algorithm := range asymmetric {
		if slices.Contains(m.Algorithms, algorithm) {
			agreed = append(agreed, algorithm)
		}
	}
	if len(agreed) == 0 {
		return metadata{}, nil, fmt.Errorf("id_token_signing_alg_values_supported has none of %s", strings.Join(asymmetric, ", "))
	}
	m.Algorithms = agreed
	return m, dropped, nil
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
