package providertest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// LogoutEvent is what a logout token is about (OpenID Connect Back-Channel
// Logout section 2.4).
const LogoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// LogoutClaims are the claims of a logout token for the session that ID tokens
// are about.
func (s *Server) LogoutClaims() map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": s.Issuer, "sub": Subject, "aud": ClientID, "sid": "provider-session",
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": fmt.Sprintf("logout-%d", s.next()),
		"events": map[string]any{LogoutEvent: map[string]any{}},
	}
}

// LogoutToken makes a logout token whose claims change has changed, unless it is
// nil.
func (s *Server) LogoutToken(change func(map[string]any)) string {
	claims := s.LogoutClaims()
	if change != nil {
		change(claims)
	}
	return s.SignTyped(jose.RS256, "logout+jwt", claims)
}

// EndSessions are the forms that the end session endpoint got.
func (s *Server) EndSessions() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.endSessions)
}

// endSession is the end session endpoint (OpenID Connect RP-Initiated Logout
// section 2). Without a hint that it has issued it asks the user.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, MarkerText, http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.endSessions = append(s.endSessions, r.Form)
	hinted := s.hints[r.Form.Get("id_token_hint")]
	s.mu.Unlock()
	if !hinted {
		_, _ = fmt.Fprint(w, "Do you want to log out?")
		return
	}
	w.Header().Set("Location", r.Form.Get("post_logout_redirect_uri"))
	w.WriteHeader(http.StatusSeeOther)
}
