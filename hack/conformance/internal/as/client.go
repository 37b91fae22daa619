package as

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
)

// Client is the registration of a client, in the words of OpenID Connect Dynamic
// Client Registration.
type Client struct {
	ID     string
	Secret string
	// Method is the token_endpoint_auth_method. No other is accepted.
	Method string
	// Keys are the client's public keys, for assertions and request objects.
	Keys []jose.JSONWebKey
	// Certificate is the registered one of self_signed_tls_client_auth.
	Certificate *x509.Certificate
	// SubjectDN is the tls_client_auth_subject_dn.
	SubjectDN string
	// AssertionSubject is who the assertion of a federated workload is about; with it
	// Keys are the authority's that issued it, and the audience Issuer.
	AssertionSubject, AssertionIssuer string

	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	// IDTokenAlgorithm is the id_token_signed_response_alg. Default: RS256.
	IDTokenAlgorithm string
	// UserInfoAlgorithm is the userinfo_signed_response_alg. "" answers in JSON.
	UserInfoAlgorithm string
	// BackChannelLogoutURI is called during an RP-initiated logout, at
	// BackChannelAddress if that is set.
	BackChannelLogoutURI, BackChannelAddress string
	// FrontChannelLogoutURI is framed during an RP-initiated logout.
	FrontChannelLogoutURI string
}

func (c Client) idTokenAlgorithm() string {
	if c.IDTokenAlgorithm == "" {
		return "RS256"
	}
	return c.IDTokenAlgorithm
}

// Register changes the registration of the client.
func (s *Server) Register(change func(*Client)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.client)
	s.Leaks.Add("client secret", s.client.Secret, leak.Nowhere)
}

// Registered is the registration in force.
func (s *Server) Registered() Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authenticate says whether a request comes from the registered client, by the
// registered method and no other (RFC 6749 section 2.3). Anything else is a
// violation.
func (s *Server) authenticate(r *Request) bool {
	err := s.authentication(r)
	if err != nil {
		s.violated(r.Endpoint, "client authentication: %v", err)
	}
	return err == nil
}

func (s *Server) authentication(r *Request) error {
	client := s.Registered()
	used := methodsOf(r)
	switch client.Method {
	case "tls_client_auth", "self_signed_tls_client_auth":
		if len(used) != 0 {
			return fmt.Errorf("%v used, %s is registered", used, client.Method)
		}
		return s.certificate(r, client)
	case "client_secret_jwt", "private_key_jwt", "workload_identity":
		if !slices.Equal(used, []string{"client_assertion"}) {
			return fmt.Errorf("%v used, %s is registered", used, client.Method)
		}
		return s.assertion(r, client)
	default:
		if !slices.Equal(used, []string{client.Method}) {
			return fmt.Errorf("%v used, %s is registered", used, client.Method)
		}
		return secret(r, client)
	}
}

// methodsOf are the ways a request tries to authenticate, other than by
// certificate.
func methodsOf(r *Request) []string {
	used := []string{}
	if r.Header.Get("Authorization") != "" {
		used = append(used, "client_secret_basic")
	}
	if r.Form.Has("client_secret") {
		used = append(used, "client_secret_post")
	}
	if r.Form.Has("client_assertion") || r.Form.Has("client_assertion_type") {
		used = append(used, "client_assertion")
	}
	return used
}

func secret(r *Request, client Client) error {
	id, password := r.Form.Get("client_id"), r.Form.Get("client_secret")
	if client.Method == "client_secret_basic" {
		encoded, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Basic ")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		user, rest, colon := strings.Cut(string(raw), ":")
		if !ok || err != nil || !colon {
			return fmt.Errorf("the Authorization header is not Basic")
		}
		// Both parts are form-encoded first (RFC 6749 section 2.3.1).
		var idErr, passwordErr error
		id, idErr = url.QueryUnescape(user)
		password, passwordErr = url.QueryUnescape(rest)
		if idErr != nil || passwordErr != nil {
			return fmt.Errorf("identifier or secret is not form-encoded")
		}
		if r.Form.Has("client_id") && r.Form.Get("client_id") != id {
			return fmt.Errorf("client_id in the body is another than in the header")
		}
	}
	if id != client.ID || password != client.Secret {
		return fmt.Errorf("wrong identifier or secret")
	}
	return nil
}

func (s *Server) certificate(r *Request, client Client) error {
	switch {
	case r.Form.Get("client_id") != client.ID:
		return fmt.Errorf("client_id is %q (RFC 8705 section 2)", r.Form.Get("client_id"))
	case !r.Alias:
		return fmt.Errorf("not sent to the endpoint of mtls_endpoint_aliases")
	case r.Certificate == nil:
		return fmt.Errorf("no certificate was shown")
	case client.Method == "self_signed_tls_client_auth":
		if !r.Certificate.Equal(client.Certificate) {
			return fmt.Errorf("another certificate than the registered one")
		}
		return nil
	}
	_, err := r.Certificate.Verify(x509.VerifyOptions{Roots: s.options.ClientAuthorities.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil && r.Certificate.Subject.String() != client.SubjectDN {
		err = fmt.Errorf("subject is %s, registered is %s", r.Certificate.Subject, client.SubjectDN)
	}
	return err
}

// assertion checks a client assertion (RFC 7523 section 3, with the rules of its
// successor).
func (s *Server) assertion(r *Request, client Client) error {
	if got := r.Form.Get("client_assertion_type"); got != assertionType {
		return fmt.Errorf("client_assertion_type is %q", got)
	}
	claims, header, err := verifyAssertion(r.Form.Get("client_assertion"), client)
	if err != nil {
		return err
	}
	if client.Method == "workload_identity" {
		return workload(claims, client, s.Issuer)
	}
	if claims["iss"] != client.ID || claims["sub"] != client.ID {
		return fmt.Errorf("iss %v and sub %v, want %s", claims["iss"], claims["sub"], client.ID)
	}
	if id := r.Form.Get("client_id"); id != "" && id != client.ID {
		return fmt.Errorf("client_id is %q", id)
	}
	b := s.current()
	if b.AssertionAudienceTokenEndpoint {
		if claims["aud"] != s.URL(Token) {
			return fmt.Errorf("aud is %v, want %s", claims["aud"], s.URL(Token))
		}
	} else {
		if claims["aud"] != s.Issuer { // a string, not an array
			return fmt.Errorf("aud is %v, want the string %s", claims["aud"], s.Issuer)
		}
		if header["typ"] != "client-authentication+jwt" {
			return fmt.Errorf("typ is %v, want client-authentication+jwt", header["typ"])
		}
	}
	return s.lifetime(claims)
}

// lifetime checks an assertion's times and that it is used once.
func (s *Server) lifetime(claims map[string]any) error {
	now := s.now()
	exp, okExp := claims["exp"].(float64)
	iat, okIat := claims["iat"].(float64)
	nbf, okNbf := claims["nbf"].(float64)
	const leeway = 60 * time.Second
	switch {
	case !okExp || now.After(time.Unix(int64(exp), 0).Add(leeway)):
		return fmt.Errorf("exp %v is over or missing", claims["exp"])
	case time.Unix(int64(exp), 0).After(now.Add(5*time.Minute + leeway)):
		return fmt.Errorf("exp %v is too far away", claims["exp"])
	case okIat && time.Unix(int64(iat), 0).After(now.Add(leeway)), okNbf && time.Unix(int64(nbf), 0).After(now.Add(leeway)):
		return fmt.Errorf("iat %v or nbf %v is in the future", claims["iat"], claims["nbf"])
	}
	jti, _ := claims["jti"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	if jti == "" || s.usedJTI[jti] {
		return fmt.Errorf("jti %q is missing or was used before", jti)
	}
	s.usedJTI[jti] = true
	return nil
}

func workload(claims map[string]any, client Client, issuer string) error {
	if claims["iss"] != client.AssertionIssuer || claims["sub"] != client.AssertionSubject {
		return fmt.Errorf("iss %v and sub %v are not those of the workload", claims["iss"], claims["sub"])
	}
	if aud, ok := claims["aud"].([]any); claims["aud"] != issuer && (!ok || !slices.Contains(aud, any(issuer))) {
		return fmt.Errorf("aud is %v, want %s", claims["aud"], issuer)
	}
	return nil
}

func verifyAssertion(compact string, client Client) (claims, header map[string]any, err error) {
	algorithms := asymmetric
	if client.Method == "client_secret_jwt" {
		algorithms = []jose.SignatureAlgorithm{jose.HS256}
	}
	jws, err := jose.ParseSignedCompact(compact, algorithms)
	if err != nil {
		return nil, nil, fmt.Errorf("client_assertion: %w", err)
	}
	var key any = []byte(client.Secret)
	if client.Method != "client_secret_jwt" {
		if key, err = keyOf(jws, client.Keys); err != nil {
			return nil, nil, err
		}
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, nil, fmt.Errorf("client_assertion: %w", err)
	}
	header, _, err = Decode(compact)
	if err != nil {
		return nil, nil, err
	}
	return claims, header, json.Unmarshal(payload, &claims)
}

// keyOf finds the registered key that a JWS names by kid.
func keyOf(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) (any, error) {
	kid := jws.Signatures[0].Protected.KeyID
	for _, key := range keys {
		if key.KeyID == kid || len(keys) == 1 && kid == "" {
			return key.Key, nil
		}
	}
	return nil, fmt.Errorf("kid %q names none of the client's %d keys", kid, len(keys))
}
