package as

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/leak"
)

// authorization is an authorization request on its way.
type authorization struct {
	params  url.Values
	uri     string // of a pushed one
	expires time.Time
	dpopKey string // of the proof on a pushed one
}

// code is an authorization code.
type code struct {
	params   url.Values
	dpopKey  string
	user     User
	acr      string
	authTime time.Time
	sid      string
	expires  time.Time
	used     bool
	family   string
}

var s256 = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// authorize serves the authorization endpoint (OpenID Connect Core section
// 3.1.2).
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, rec *Request) {
	values := rec.Query
	if r.Method == http.MethodPost {
		values = rec.Form
	}
	a, err := s.authorizationOf(rec, values)
	if err != nil {
		s.violated(Authorize, "%v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if wrong, why := s.refusal(a); wrong != "" {
		s.violated(Authorize, "%s: %s", wrong, why)
		s.respond(w, a, url.Values{"error": {wrong}, "error_description": {why}})
		return
	}
	b := s.current()
	prompts := strings.Fields(a.params.Get("prompt"))
	switch {
	case slices.Contains(prompts, "none") && b.LoggedOut:
		s.respond(w, a, url.Values{"error": {"login_required"}})
	case b.Click && !slices.Contains(prompts, "none"):
		s.askForClick(w, a)
	default:
		s.approve(w, a)
	}
}

// askForClick shows the page of a person who has to do something.
func (s *Server) askForClick(w http.ResponseWriter, a *authorization) {
	ticket := token(12)
	s.mu.Lock()
	s.tickets[ticket] = a
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><title>Log in</title><form method="post" action="%s"><input type="hidden" name="ticket" value="%s"><button id="login">Log in</button></form>`,
		html.EscapeString(s.Path(click)), ticket)
}

func (s *Server) clicked(w http.ResponseWriter, rec *Request) {
	s.mu.Lock()
	a := s.tickets[rec.Form.Get("ticket")]
	delete(s.tickets, rec.Form.Get("ticket"))
	s.mu.Unlock()
	if a == nil {
		http.Error(w, "no such ticket", http.StatusBadRequest)
		return
	}
	s.approve(w, a)
}

// authorizationOf finds the parameters of a request: its own, or those of a
// pushed request or of a request object. An error is for the user alone, since
// it is not known where to send it.
func (s *Server) authorizationOf(rec *Request, values url.Values) (*authorization, error) {
	if s.duplicates(rec, values) {
		return nil, fmt.Errorf("a parameter stands there more than once")
	}
	client, b := s.Registered(), s.current()
	if values.Get("client_id") != client.ID {
		return nil, fmt.Errorf("unknown client_id %q", values.Get("client_id"))
	}
	a := &authorization{params: values}
	if uri := values.Get("request_uri"); uri != "" {
		s.mu.Lock()
		pushed := s.pushed[uri]
		delete(s.pushed, uri) // good for once (RFC 9126 section 4)
		s.mu.Unlock()
		if pushed == nil || s.now().After(pushed.expires) {
			return nil, fmt.Errorf("request_uri is unknown, expired or was used before")
		}
		if len(values) != 2 {
			return nil, fmt.Errorf("parameters besides client_id and request_uri: %d", len(values))
		}
		a = pushed
	} else if b.RequirePAR {
		return nil, fmt.Errorf("pushed authorization requests are required")
	}
	if object := a.params.Get("request"); object != "" {
		params, err := s.requestObject(object, a.params)
		if err != nil {
			return nil, err
		}
		a.params = params
	}
	s.Leaks.Add("state", a.params.Get("state"), leak.Browser)
	s.Leaks.Add("nonce", a.params.Get("nonce"), leak.Browser)
	if !slices.Contains(client.RedirectURIs, a.params.Get("redirect_uri")) {
		return nil, fmt.Errorf("redirect_uri %q is not registered", a.params.Get("redirect_uri"))
	}
	return a, nil
}

// requestObject reads the parameters of a signed request object (RFC 9101).
func (s *Server) requestObject(object string, outer url.Values) (url.Values, error) {
	client := s.Registered()
	jws, err := jose.ParseSignedCompact(object, asymmetric)
	if err != nil {
		return nil, fmt.Errorf("request object: %w", err)
	}
	key, err := keyOf(jws, client.Keys)
	if err != nil {
		return nil, fmt.Errorf("request object: %w", err)
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, fmt.Errorf("request object: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("request object: %w", err)
	}
	if header, _, err := Decode(object); err != nil || header["typ"] != "oauth-authz-req+jwt" {
		return nil, fmt.Errorf("request object: typ is %v, want oauth-authz-req+jwt", header["typ"])
	}
	if claims["iss"] != client.ID || claims["aud"] != s.Issuer || claims["client_id"] != outer.Get("client_id") {
		return nil, fmt.Errorf("request object: iss, aud or client_id is wrong: %v, %v, %v", claims["iss"], claims["aud"], claims["client_id"])
	}
	if exp, ok := claims["exp"].(float64); !ok || s.now().After(time.Unix(int64(exp), 0)) {
		return nil, fmt.Errorf("request object: exp %v is over or missing", claims["exp"])
	}
	params := url.Values{}
	for name, value := range claims {
		switch v := value.(type) {
		case string:
			params.Set(name, v)
		case float64:
			params.Set(name, fmt.Sprintf("%.0f", v))
		case []any:
			for _, element := range v {
				params.Add(name, fmt.Sprint(element))
			}
		}
	}
	for _, claim := range []string{"iss", "aud", "exp", "iat", "nbf", "jti"} {
		params.Del(claim)
	}
	return params, nil
}

// refusal says why a request is refused, with an OAuth error code.
func (s *Server) refusal(a *authorization) (code, why string) {
	p := a.params
	b := s.current()
	switch {
	case p.Get("response_type") != "code":
		return "unsupported_response_type", "only code"
	case !slices.Contains(strings.Fields(p.Get("scope")), "openid"):
		return "invalid_scope", "openid is missing"
	case p.Get("code_challenge_method") != "S256" || !s256.MatchString(p.Get("code_challenge")):
		return "invalid_request", "PKCE with S256 is required"
	case p.Get("state") == "" || p.Get("nonce") == "":
		return "invalid_request", "state or nonce is missing"
	case p.Has("response_mode") && p.Get("response_mode") != "form_post":
		return "invalid_request", "response_mode is sent though it is the default"
	}
	for _, resource := range p["resource"] {
		u, err := url.Parse(resource)
		if err != nil || !u.IsAbs() || strings.Contains(resource, "#") || len(b.Resources) > 0 && !slices.Contains(b.Resources, resource) {
			return "invalid_target", "resource " + resource
		}
	}
	return "", ""
}

// approve logs the user in.
func (s *Server) approve(w http.ResponseWriter, a *authorization) {
	b := s.current()
	acr := b.ACR
	if asked := strings.Fields(a.params.Get("acr_values")); acr == "" && len(asked) > 0 {
		acr = asked[0]
	}
	c := &code{
		params: a.params, dpopKey: cmp.Or(a.params.Get("dpop_jkt"), a.dpopKey), user: b.user(), acr: cmp.Or(acr, "1"),
		authTime: b.AuthTime, sid: "sid-" + token(12), expires: s.now().Add(time.Minute), family: token(6),
	}
	if b.WithoutDPoP {
		c.dpopKey = "" // a parameter it does not know
	}
	if c.authTime.IsZero() {
		c.authTime = s.now()
	}
	value := s.mint("authorization code", "MARKER-code-")
	s.mu.Lock()
	s.codes[value] = c
	s.logins++
	s.mu.Unlock()
	s.respond(w, a, url.Values{"code": {value}})
}

// respond sends the browser back to the client.
func (s *Server) respond(w http.ResponseWriter, a *authorization, response url.Values) {
	if state := a.params.Get("state"); state != "" {
		response.Set("state", state)
	}
	b := s.current()
	if !b.WithoutResponseIssuer {
		response.Set("iss", s.Issuer)
	}
	if b.AuthorizeResponse != nil {
		b.AuthorizeResponse(response, a.params)
	}
	target := a.params.Get("redirect_uri")
	if a.params.Get("response_mode") == "form_post" {
		FormPost(w, target, response)
		return
	}
	w.Header().Set("Location", target+"?"+response.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// FormPost writes a page whose form submits itself (OAuth 2.0 Form Post Response
// Mode).
func FormPost(w http.ResponseWriter, target string, fields url.Values) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(w, `<!doctype html><title>One moment</title><body onload="document.forms[0].submit()"><form method="post" action="%s">`, html.EscapeString(target))
	for name, values := range fields {
		for _, value := range values {
			fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, html.EscapeString(name), html.EscapeString(value))
		}
	}
	fmt.Fprint(w, `</form></body>`)
}

// mint makes a secret and tells the leak scan.
func (s *Server) mint(kind, prefix string) string {
	value := prefix + token(24)
	s.Leaks.Add(kind, value, leak.Nowhere)
	return value
}

// Code mints a code as if a user had just been through an authorization request
// with these parameters: what an attacker gets who runs one in another browser.
func (s *Server) Code(params url.Values) string {
	value := s.mint("authorization code", "MARKER-code-")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[value] = &code{params: params, dpopKey: params.Get("dpop_jkt"), user: s.behaviour.user(), acr: "1", authTime: time.Now(), sid: "sid-" + token(12),
		expires: time.Now().Add(time.Minute), family: token(6)}
	return value
}

// hashHalf is the left half of a hash in base64url, as in at_hash (OpenID
// Connect Core section 3.1.3.6).
func hashHalf(algorithm jose.SignatureAlgorithm, value string) string {
	hash := hashes[algorithm]
	if hash == 0 {
		hash = hashes[jose.ES512] // Ed25519 uses SHA-512
	}
	full := sum(hash, []byte(value))
	return base64.RawURLEncoding.EncodeToString(full[:len(full)/2])
}
