package as

import (
	"net/http"
	"time"
)

// revoke serves the revocation endpoint (RFC 7009 section 2).
func (s *Server) revoke(w http.ResponseWriter, rec *Request) {
	if rec.Method != http.MethodPost || len(rec.Query) > 0 {
		s.violated(Revocation, "%s with %d parameters in the URL: want POST and none", rec.Method, len(rec.Query))
	}
	if s.duplicates(rec, rec.Form) || !rec.Form.Has("token") {
		s.violated(Revocation, "token is missing or stands there twice")
		writeError(w, http.StatusBadRequest, "invalid_request", "token is missing or stands there twice")
		return
	}
	if !s.authenticate(rec) {
		writeError(w, http.StatusUnauthorized, "invalid_client", "client authentication failed")
		return
	}
	value := rec.Form.Get("token")
	family := ""
	s.mu.Lock()
	if t := s.refresh[value]; t != nil && s.behaviour.RevokeOne {
		t.revoked = true
	} else if t != nil {
		family = t.family
	} else if t := s.access[value]; t != nil {
		t.Revoked = true
	}
	s.mu.Unlock()
	if family != "" {
		s.revokeFamily(family) // access tokens of the grant too, as section 2.1 advises
	}
	w.WriteHeader(http.StatusOK)
}

// Living are the kinds of the tokens of a session that would still be taken.
func (s *Server) Living(sid string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kinds []string
	for _, t := range s.access {
		if t.SID == sid && !t.Revoked && time.Now().Add(s.behaviour.ClockOffset).Before(t.Expires) {
			kinds = append(kinds, "access token")
		}
	}
	for _, t := range s.refresh {
		if t.grant.sid == sid && !t.revoked && !(t.used && s.behaviour.Rotation == Rotate) {
			kinds = append(kinds, "refresh token")
		}
	}
	return kinds
}
