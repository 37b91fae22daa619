package as

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/proof"
)

// AccessToken is what the provider knows about an access token.
type AccessToken struct {
	Value     string
	Subject   string
	SID       string
	Scope     []string
	Resources []string
	Expires   time.Time
	Revoked   bool
	// Thumbprint of the DPoP key it is bound to, "" for Bearer.
	Thumbprint string
	// CertificateThumbprint is the x5t#S256 it is bound to, "" if none.
	CertificateThumbprint string

	grant  *code
	family string
}

// refreshToken is one member of a family that began with a login.
type refreshToken struct {
	grant   *code
	scope   []string
	family  string
	used    bool
	revoked bool
}

var verifierFormat = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// grantError is an error of the token endpoint.
type grantError struct {
	code, why string
	violation bool
}

// token serves the token endpoint.
func (s *Server) token(w http.ResponseWriter, rec *Request) {
	if rec.Method != http.MethodPost || len(rec.Query) > 0 {
		s.violated(Token, "%s with %d parameters in the URL: want POST and none", rec.Method, len(rec.Query))
	}
	if s.duplicates(rec, rec.Form) {
		writeError(w, http.StatusBadRequest, "invalid_request", "a parameter stands there more than once")
		return
	}
	if !s.authenticate(rec) {
		writeError(w, http.StatusUnauthorized, "invalid_client", "client authentication failed")
		return
	}
	dpop, ok := s.checkProof(w, rec, "")
	if !ok {
		return
	}
	grant := rec.Form.Get("grant_type")
	var body map[string]any
	var refused *grantError
	switch grant {
	case "authorization_code":
		body, refused = s.redeem(rec, dpop)
	case "refresh_token":
		body, refused = s.refreshGrant(rec, dpop)
	default:
		refused = &grantError{"unsupported_grant_type", "grant_type " + grant, true}
	}
	if refused != nil {
		if refused.violation {
			s.violated(Token, "%s: %s", refused.code, refused.why)
		}
		writeError(w, http.StatusBadRequest, refused.code, refused.why)
		return
	}
	if change := s.current().TokenResponse; change != nil {
		change(grant, body)
	}
	writeJSON(w, http.StatusOK, body)
}

// redeem exchanges a code (RFC 6749 section 4.1.3).
func (s *Server) redeem(rec *Request, dpop proof.Proof) (map[string]any, *grantError) {
	s.mu.Lock()
	c := s.codes[rec.Form.Get("code")]
	var family string
	used := false
	if c != nil {
		family, used = c.family, c.used
		c.used = true
	}
	s.mu.Unlock()
	challenge := sha256.Sum256([]byte(rec.Form.Get("code_verifier")))
	switch {
	case c == nil:
		return nil, &grantError{"invalid_grant", "no such code", true}
	case used:
		s.revokeFamily(family)
		return nil, &grantError{"invalid_grant", "the code was used before", true}
	case s.now().After(c.expires):
		return nil, &grantError{"invalid_grant", "the code has expired", false}
	case rec.Form.Get("redirect_uri") != c.params.Get("redirect_uri"):
		return nil, &grantError{"invalid_grant", "redirect_uri is another than in the authorization request", true}
	case !verifierFormat.MatchString(rec.Form.Get("code_verifier")):
		return nil, &grantError{"invalid_grant", "code_verifier is malformed", true}
	case base64.RawURLEncoding.EncodeToString(challenge[:]) != c.params.Get("code_challenge"):
		return nil, &grantError{"invalid_grant", "code_verifier does not match", false}
	case c.dpopKey != "" && c.dpopKey != dpop.Thumbprint:
		return nil, &grantError{"invalid_grant", "another DPoP key than in the authorization request", true}
	}
	scope := strings.Fields(c.params.Get("scope"))
	resources, refused := s.narrow(rec, c, &scope)
	if refused != nil {
		return nil, refused
	}
	body := s.issue(rec, c, scope, resources, dpop)
	if slices.Contains(scope, "offline_access") && !s.current().NoRefreshToken {
		body["refresh_token"] = s.newRefreshToken(c, scope)
	}
	body["id_token"] = s.idToken("authorization_code", c, body["access_token"].(string), c.params.Get("nonce"))
	return body, nil
}

// refreshGrant renews an access token (RFC 6749 section 6).
func (s *Server) refreshGrant(rec *Request, dpop proof.Proof) (map[string]any, *grantError) {
	b := s.current()
	s.mu.Lock()
	t := s.refresh[rec.Form.Get("refresh_token")]
	var reused, revoked bool
	if t != nil {
		reused, revoked = t.used && b.Rotation == Rotate, t.revoked
		if !revoked {
			t.used = true
		}
	}
	s.mu.Unlock()
	switch {
	case t == nil:
		return nil, &grantError{"invalid_grant", "no such refresh token", true}
	case revoked:
		return nil, &grantError{"invalid_grant", "the refresh token was revoked", false}
	case reused:
		s.revokeFamily(t.family) // reuse detection (RFC 9700 section 4.14.2)
		return nil, &grantError{"invalid_grant", "the refresh token was used before", true}
	}
	scope := slices.Clone(t.scope)
	if asked := strings.Fields(rec.Form.Get("scope")); len(asked) > 0 {
		for _, one := range asked {
			if !slices.Contains(t.scope, one) {
				return nil, &grantError{"invalid_scope", "scope " + one + " was not granted", true}
			}
		}
		scope = asked
	}
	resources, refused := s.narrow(rec, t.grant, &scope)
	if refused != nil {
		s.mu.Lock()
		t.used = false
		s.mu.Unlock()
		return nil, refused
	}
	body := s.issue(rec, t.grant, scope, resources, dpop)
	if b.Rotation != Keep {
		body["refresh_token"] = s.newRefreshToken(t.grant, t.scope)
	}
	if b.RefreshIDToken {
		body["id_token"] = s.idToken("refresh_token", t.grant, body["access_token"].(string), "")
	}
	return body, nil
}

// narrow says which resources a token is for (RFC 8707 section 2.2).
func (s *Server) narrow(rec *Request, c *code, _ *[]string) ([]string, *grantError) {
	granted, asked := c.params["resource"], rec.Form["resource"]
	if len(asked) == 0 {
		return granted, nil
	}
	allowed := s.current().Resources
	for _, one := range asked {
		u, err := url.Parse(one)
		switch {
		case err != nil || !u.IsAbs() || strings.Contains(one, "#"):
			return nil, &grantError{"invalid_target", "resource " + one + " is no absolute URI", true}
		case len(granted) > 0 && !slices.Contains(granted, one), len(allowed) > 0 && !slices.Contains(allowed, one):
			return nil, &grantError{"invalid_target", "resource " + one + " was not granted", false}
		}
	}
	return asked, nil
}

// issue makes an access token and the body that carries it.
func (s *Server) issue(rec *Request, c *code, scope, resources []string, dpop proof.Proof) map[string]any {
	b := s.current()
	lifetime := cmp.Or(b.AccessLifetime, 5*time.Minute)
	t := &AccessToken{
		Value: s.mint("access token", "MARKER-at-"), Subject: c.user.Subject, SID: c.sid, Scope: scope, Resources: resources,
		Expires: s.now().Add(lifetime), Thumbprint: dpop.Thumbprint, grant: c, family: c.family,
	}
	if rec.Certificate != nil && rec.Alias {
		t.CertificateThumbprint = certificateThumbprint(rec.Certificate)
	}
	s.mu.Lock()
	s.access[t.Value] = t
	s.mu.Unlock()
	kind := "Bearer"
	if t.Thumbprint != "" {
		kind = "DPoP"
	}
	return map[string]any{
		"access_token": t.Value, "token_type": kind, "expires_in": int(lifetime / time.Second), "scope": strings.Join(scope, " "),
	}
}

func (s *Server) newRefreshToken(c *code, scope []string) string {
	value := s.mint("refresh token", "MARKER-rt-")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh[value] = &refreshToken{grant: c, scope: scope, family: c.family}
	return value
}

// revokeFamily ends all tokens that came of one login.
func (s *Server) revokeFamily(family string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.refresh {
		if t.family == family {
			t.revoked = true
		}
	}
	for _, t := range s.access {
		if t.family == family {
			t.Revoked = true
		}
	}
}

// RevokeAll ends every token, as an administrator would.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.refresh {
		t.revoked = true
	}
	for _, t := range s.access {
		t.Revoked = true
	}
}

// RevokeRefreshTokens ends every grant; access tokens live on until they expire.
func (s *Server) RevokeRefreshTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.refresh {
		t.revoked = true
	}
}

// ExpireAccessTokens has every access token end now, though its client thinks
// otherwise.
func (s *Server) ExpireAccessTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.access {
		t.Expires = time.Time{}
	}
}

// TokenInfo is what a resource server learns of an access token: ok is false if
// it was never issued, has expired, or was revoked.
func (s *Server) TokenInfo(value string) (t AccessToken, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.access[value]
	if found == nil {
		return AccessToken{}, false
	}
	return *found, !found.Revoked && time.Now().Add(s.behaviour.ClockOffset).Before(found.Expires)
}

// Tokens are all access tokens issued so far, the oldest first.
func (s *Server) Tokens() []AccessToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []AccessToken
	for _, t := range s.access {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b AccessToken) int { return a.Expires.Compare(b.Expires) })
	return all
}
