package as

import (
	"context"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// endSession serves the end_session_endpoint (OpenID Connect RP-Initiated Logout
// section 2), by GET and POST.
func (s *Server) endSession(w http.ResponseWriter, rec *Request) {
	values := rec.Query
	if rec.Method == http.MethodPost {
		values = rec.Form
		if len(rec.Query) > 0 {
			s.violated(EndSession, "POST with parameters in the URL")
		}
	}
	s.duplicates(rec, values)
	client := s.Registered()
	hint, back := values.Get("id_token_hint"), values.Get("post_logout_redirect_uri")
	s.mu.Lock()
	issued := s.idTokens[hint]
	s.mu.Unlock()
	var sid string
	switch {
	case hint != "" && !issued:
		s.violated(EndSession, "id_token_hint is none that was issued")
		back = ""
	case hint != "":
		if _, claims, err := Decode(hint); err == nil {
			sid, _ = claims["sid"].(string)
		}
	case values.Get("client_id") != client.ID:
		s.violated(EndSession, "neither id_token_hint nor client_id")
		back = ""
	}
	if id := values.Get("client_id"); id != "" && id != client.ID {
		s.violated(EndSession, "client_id is %q", id)
	}
	if back != "" && !slices.Contains(client.PostLogoutRedirectURIs, back) {
		s.violated(EndSession, "post_logout_redirect_uri %q is not registered", back)
		back = ""
	}
	if client.BackChannelLogoutURI != "" && sid != "" {
		if _, _, err := s.SendLogoutToken(s.LogoutToken(func(claims, _ map[string]any) { claims["sid"] = sid })); err != nil {
			s.violated(EndSession, "back-channel logout: %v", err)
		}
	}
	if client.FrontChannelLogoutURI != "" && sid != "" {
		s.frames(w, sid, withState(back, values.Get("state")))
		return
	}
	if back == "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>Logged out</title><p id=\"loggedout\">You are logged out.")
		return
	}
	w.Header().Set("Location", withState(back, values.Get("state")))
	w.WriteHeader(http.StatusSeeOther)
}

func withState(back, state string) string {
	if back == "" || state == "" {
		return back
	}
	separator := "?"
	if strings.Contains(back, "?") {
		separator = "&"
	}
	return back + separator + url.Values{"state": {state}}.Encode()
}

// frames writes the page that loads the client's front-channel logout URI.
func (s *Server) frames(w http.ResponseWriter, sid, back string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, `<!doctype html><title>Logging out</title>`, FrontChannelFrame(s.FrontChannelURL(sid)))
	if back != "" {
		fmt.Fprintf(w, `<a id="back" href="%s">Back</a>`, html.EscapeString(back))
	}
}

// FrontChannelFrame is an iframe that loads a front-channel logout URL.
func FrontChannelFrame(target string) string {
	return fmt.Sprintf(`<iframe id="logout" src="%s"></iframe>`, html.EscapeString(target))
}

// FrontChannelURL is the URL that ends one session (OpenID Connect Front-Channel
// Logout section 2).
func (s *Server) FrontChannelURL(sid string) string {
	return s.Registered().FrontChannelLogoutURI + "?" + url.Values{"iss": {s.Issuer}, "sid": {sid}}.Encode()
}

// LogoutEvent is the member that events of a logout token must have.
const LogoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// LogoutToken signs a logout token (OpenID Connect Back-Channel Logout section
// 2.4). It is right in everything but that it names nobody: change adds sub, sid
// or both, and may spoil it.
func (s *Server) LogoutToken(change func(claims, header map[string]any)) string {
	now := s.now()
	claims := map[string]any{
		"iss": s.Issuer, "aud": s.Registered().ID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"jti": "jti-" + token(12), "events": map[string]any{LogoutEvent: map[string]any{}},
		"marker": s.mint("claim of a logout token", "MARKER-logout-"),
	}
	header := map[string]any{"typ": "logout+jwt"}
	if change != nil {
		change(claims, header)
	}
	return s.Sign(claims, header)
}

// SendLogoutToken posts a logout token to the client's back-channel logout URI.
func (s *Server) SendLogoutToken(token string) (status int, body string, err error) {
	response, body, err := s.PostLogout(url.Values{"logout_token": {token}})
	if err != nil {
		return 0, "", err
	}
	return response.StatusCode, body, nil
}

// PostLogout posts any form to the client's back-channel logout URI.
func (s *Server) PostLogout(form url.Values) (*http.Response, string, error) {
	client := s.Registered()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if client.BackChannelAddress != "" {
			address = client.BackChannelAddress
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	// TLS in front of the client ends at an ingress, which this stands in for.
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, client.BackChannelLogoutURI, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return response, string(body), err
}
