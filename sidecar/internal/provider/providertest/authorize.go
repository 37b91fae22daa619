package providertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// AuthorizationRequest is a request that the authorization endpoint got.
type AuthorizationRequest struct {
	// Query is what the browser sent.
	Query url.Values
	// Parameters are the same, or what the request object or the pushed request
	// says.
	Parameters url.Values
}

// AuthorizationRequests are those of the authorization endpoint so far.
func (s *Server) AuthorizationRequests() []AuthorizationRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.logins)
}

// authorize logs everybody in without a question.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	parameters, err := s.parameters(query)
	if err != nil {
		http.Error(w, MarkerText+": "+err.Error(), http.StatusBadRequest)
		return
	}
	code := fmt.Sprintf("%s-%d", MarkerCode, s.next())
	s.mu.Lock()
	s.logins = append(s.logins, AuthorizationRequest{Query: query, Parameters: parameters})
	s.codes[code] = &grant{parameters: parameters, authTime: time.Now()}
	s.mu.Unlock()
	answer := url.Values{"code": {code}, "state": {parameters.Get("state")}, "iss": {s.Issuer}}
	if change := s.current().Redirect; change != nil {
		change(answer)
	}
	target := parameters.Get("redirect_uri")
	if parameters.Get("response_mode") == "form_post" {
		writeForm(w, target, answer)
		return
	}
	w.Header().Set("Location", target+"?"+answer.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// parameters are what a request says: by itself, by a request object (RFC 9101),
// or by the name of a pushed one (RFC 9126), which is good once.
func (s *Server) parameters(query url.Values) (url.Values, error) {
	if requestURI := query.Get("request_uri"); requestURI != "" {
		s.mu.Lock()
		parameters, known := s.pushed[requestURI]
		delete(s.pushed, requestURI)
		s.mu.Unlock()
		if !known || query.Get("client_id") != ClientID {
			return nil, errors.New("unknown request_uri")
		}
		return parameters, nil
	}
	if s.current().RequirePAR {
		return nil, errors.New("the request was not pushed")
	}
	return s.opened(query)
}

// opened replaces a request object by what it says.
func (s *Server) opened(query url.Values) (url.Values, error) {
	if !query.Has("request") {
		return query, nil
	}
	claims, err := s.verifyClient(query.Get("request"), "oauth-authz-req+jwt")
	if err != nil {
		return nil, fmt.Errorf("request object: %w", err)
	}
	if claims["iss"] != ClientID || claims["client_id"] != query.Get("client_id") || claims["aud"] != s.Issuer {
		return nil, errors.New("request object: iss, client_id or aud")
	}
	parameters := url.Values{}
	for name, value := range claims {
		switch value := value.(type) {
		case string:
			parameters.Set(name, value)
		case float64:
			parameters.Set(name, strconv.FormatInt(int64(value), 10))
		case []any:
			for _, one := range value {
				parameters.Add(name, fmt.Sprint(one))
			}
		}
	}
	return parameters, nil
}

// push keeps an authorization request (RFC 9126 section 2).
func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	form := r.PostForm
	if form.Has("request_uri") || form.Get("client_id") != ClientID {
		Fail(w, http.StatusBadRequest, "invalid_request")
		return
	}
	parameters, err := s.opened(form)
	if err != nil {
		Fail(w, http.StatusBadRequest, "invalid_request_object")
		return
	}
	requestURI := fmt.Sprintf("%s-%d", MarkerRequest, s.next())
	s.mu.Lock()
	s.pushed[requestURI] = parameters
	s.mu.Unlock()
	WriteJSON(w, http.StatusCreated, map[string]any{"request_uri": requestURI, "expires_in": 60})
}

// verifyClient verifies a JWT that one of the client's keys has signed, of a
// type, and returns its claims. It is accepted once.
func (s *Server) verifyClient(raw, typ string) (map[string]any, error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.RS256, jose.EdDSA, jose.HS256})
	if err != nil {
		return nil, errors.New("no JWT")
	}
	header := jws.Signatures[0].Protected
	if got, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != "" && got != typ {
		return nil, fmt.Errorf("type %q", got)
	}
	var payload []byte
	if header.Algorithm == string(jose.HS256) {
		payload, err = jws.Verify([]byte(ClientSecret))
	} else {
		s.mu.Lock()
		registered := slices.Clone(s.clientKeys)
		s.mu.Unlock()
		err = errors.New("no key of the client")
		for _, key := range registered {
			if payload, err = jws.Verify(key); err == nil {
				break
			}
		}
	}
	if err != nil {
		return nil, errors.New("signature")
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, errors.New("claims")
	}
	expiry, _ := claims["exp"].(float64)
	if at := time.Unix(int64(expiry), 0); at.Before(time.Now()) || at.After(time.Now().Add(time.Hour)) {
		return nil, errors.New("exp")
	}
	if jti, _ := claims["jti"].(string); !s.spend(jti) {
		return nil, errors.New("jti")
	}
	return claims, nil
}

// writeForm sends an answer by form_post (OAuth 2.0 Form Post Response Mode).
func writeForm(w http.ResponseWriter, target string, answer url.Values) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<body onload="document.forms[0].submit()"><form method="post" action="%s">`, html.EscapeString(target))
	for name := range answer {
		fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, html.EscapeString(name), html.EscapeString(answer.Get(name)))
	}
	_, _ = io.WriteString(w, `</form></body>`)
}

var (
	formAction = regexp.MustCompile(`action="([^"]*)"`)
	formField  = regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`)
)

// SignIn plays the browser: it opens an authorization URL and returns where the
// browser goes next and with what, be it a redirect or a form.
func (s *Server) SignIn(authorizationURL string) (target string, answer url.Values, err error) {
	browser := *s.server.Client()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := browser.Get(authorizationURL)
	if err != nil {
		return "", nil, err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return "", nil, err
	}
	if location, err := response.Location(); err == nil {
		answer = location.Query()
		location.RawQuery = ""
		return location.String(), answer, nil
	}
	action := formAction.FindStringSubmatch(string(page))
	if response.StatusCode != http.StatusOK || action == nil {
		return "", nil, fmt.Errorf("status %d: %s", response.StatusCode, strings.TrimSpace(string(page)))
	}
	answer = url.Values{}
	for _, field := range formField.FindAllStringSubmatch(string(page), -1) {
		answer.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return html.UnescapeString(action[1]), answer, nil
}
