package idp

import "time"

// startSession logs a browser in and returns the value of its cookie.
func (s *storage) startSession(subject string, now time.Time) (session, string) {
	who := session{sid: newSecret(), subject: subject, authTime: now}
	var cookie string
	cookie, who.cookie = newHandle(who.sid)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.add(who.sid, who)
	return who, cookie
}

// sessionByCookie returns the session of a browser.
func (s *storage) sessionByCookie(cookie string) (session, bool) {
	sid, secret, ok := splitHandle(cookie)
	if !ok {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	who, ok := s.sessions.get(sid)
	if !ok || !who.cookie.matches(secret) {
		return session{}, false
	}
	return who, true
}

// endSession logs a browser out and revokes everything that was granted in its session.
func (s *storage) endSession(sid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.remove(sid)
	s.grants.removeFunc(func(g grant) bool { return g.session.sid == sid })
	s.codes.removeFunc(func(c issuedCode) bool { return c.authorization.session.sid == sid })
}

// endSubject logs a user out everywhere.
func (s *storage) endSubject(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions.removeFunc(func(who session) bool { return who.subject == subject })
	s.grants.removeFunc(func(g grant) bool { return g.session.subject == subject })
	s.pending.removeFunc(func(a authorization) bool { return a.session.subject == subject })
	s.codes.removeFunc(func(c issuedCode) bool { return c.authorization.session.subject == subject })
}
