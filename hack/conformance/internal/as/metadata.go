package as

import (
	"encoding/json"
	"net/http"
	"strings"
)

// paths gives every endpoint a path that only the metadata tells.
func (s *Server) paths() map[string]Endpoint {
	prefix := s.options.Path
	paths := map[string]Endpoint{prefix + "/.well-known/openid-configuration": Discovery}
	for _, at := range []Endpoint{JWKS, Authorize, PAR, Token, UserInfo, Revocation, EndSession, click} {
		paths[prefix+"/"+string(at)+"-"+s.random] = at
	}
	return paths
}

func (s *Server) endpointOf(path string) Endpoint {
	if at, ok := s.endpoint[path]; ok {
		return at
	}
	return unknown
}

// Path is the path of an endpoint.
func (s *Server) Path(at Endpoint) string {
	for path, endpoint := range s.endpoint {
		if endpoint == at {
			return path
		}
	}
	return ""
}

// URL of an endpoint.
func (s *Server) URL(at Endpoint) string {
	return strings.TrimSuffix(s.Issuer, s.options.Path) + s.Path(at)
}

// AliasURL is the URL of an endpoint at the listener that asks for a client
// certificate.
func (s *Server) AliasURL(at Endpoint) string { return "https://" + s.AliasAddress + s.Path(at) }

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, rec *Request) {
	b := s.current()
	if answer := b.Answer[rec.Endpoint]; answer != nil && answer(w, r) {
		return
	}
	missing := b.WithoutPAR && rec.Endpoint == PAR || b.WithoutRevocation && rec.Endpoint == Revocation ||
		b.WithoutEndSession && rec.Endpoint == EndSession || b.WithoutUserInfo && rec.Endpoint == UserInfo
	if missing {
		s.violated(rec.Endpoint, "called though it is not advertised")
		http.NotFound(w, r)
		return
	}
	switch rec.Endpoint {
	case Discovery:
		s.discovery(w)
	case JWKS:
		document := s.keySet()
		if b.JWKS != nil {
			b.JWKS(document)
		}
		writeJSON(w, http.StatusOK, document)
	case Authorize:
		s.authorize(w, r, rec)
	case click:
		s.clicked(w, rec)
	case PAR:
		s.push(w, rec)
	case Token:
		s.token(w, rec)
	case UserInfo:
		s.userInfo(w, rec)
	case Revocation:
		s.revoke(w, rec)
	case EndSession:
		s.endSession(w, rec)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) discovery(w http.ResponseWriter) {
	b := s.current()
	document := s.metadata(b)
	if b.Metadata != nil {
		b.Metadata(document)
	}
	writeJSON(w, http.StatusOK, document)
}

func (s *Server) metadata(b Behaviour) map[string]any {
	client := s.Registered()
	m := map[string]any{
		"issuer":                                s.Issuer,
		"authorization_endpoint":                s.URL(Authorize),
		"token_endpoint":                        s.URL(Token),
		"jwks_uri":                              s.URL(JWKS),
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query", "form_post"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"subject_types_supported":               []string{"public"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"id_token_signing_alg_values_supported": []string{client.idTokenAlgorithm()},
		"code_challenge_methods_supported":      []string{"S256"},
		"prompt_values_supported":               []string{"none", "login", "consent", "select_account"},
		"acr_values_supported":                  []string{"1", "2", "3"},
		"ui_locales_supported":                  []string{"de", "en"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "client_secret_jwt",
			"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"},
		"token_endpoint_auth_signing_alg_values_supported":      []string{"HS256", "PS256", "ES256", "EdDSA", "RS256"},
		"request_object_signing_alg_values_supported":           []string{"PS256", "ES256", "EdDSA", "RS256"},
		"request_parameter_supported":                           true,
		"claims_parameter_supported":                            false,
		"backchannel_logout_supported":                          true,
		"backchannel_logout_session_supported":                  true,
		"frontchannel_logout_supported":                         true,
		"frontchannel_logout_session_supported":                 true,
		"authorization_response_iss_parameter_supported":        !b.WithoutResponseIssuer,
		"tls_client_certificate_bound_access_tokens":            s.AliasAddress != "",
		"revocation_endpoint_auth_methods_supported":            []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"},
		"userinfo_signing_alg_values_supported":                 []string{"RS256", "PS256", "ES256"},
		"protected_resources":                                   b.Resources,
		"revocation_endpoint_auth_signing_alg_values_supported": []string{"HS256", "PS256", "ES256", "EdDSA", "RS256"},
	}
	if !b.WithoutDPoP {
		m["dpop_signing_alg_values_supported"] = dpopAlgorithms(b)
	}
	if b.RequirePAR {
		m["require_pushed_authorization_requests"] = true
	}
	aliases := map[string]any{}
	for name, at := range map[string]Endpoint{
		"pushed_authorization_request_endpoint": PAR, "userinfo_endpoint": UserInfo, "token_endpoint": Token,
		"revocation_endpoint": Revocation, "end_session_endpoint": EndSession,
	} {
		if at == PAR && b.WithoutPAR || at == UserInfo && b.WithoutUserInfo || at == Revocation && b.WithoutRevocation || at == EndSession && b.WithoutEndSession {
			continue
		}
		m[name] = s.URL(at)
		if s.AliasAddress != "" && at != EndSession {
			aliases[name] = s.AliasURL(at)
		}
	}
	if len(aliases) > 0 {
		m["mtls_endpoint_aliases"] = aliases
	}
	if len(b.Resources) == 0 {
		delete(m, "protected_resources")
	}
	return m
}

func dpopAlgorithms(b Behaviour) []string {
	if len(b.DPoPAlgorithms) > 0 {
		return b.DPoPAlgorithms
	}
	return []string{"ES256", "EdDSA", "PS256"}
}

func writeJSON(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // the caller has gone; there is nobody to tell
}

// writeError answers as RFC 6749 section 5.2 says.
func writeError(w http.ResponseWriter, status int, code, description string) {
	if code == "invalid_client" && status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="as"`)
	}
	writeJSON(w, status, map[string]any{"error": code, "error_description": description})
}
