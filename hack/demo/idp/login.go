package idp

import (
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// credentials are what a login is checked against.
type credentials struct {
	subject  string
	password digest
}

func hashPasswords(users []User) map[string]credentials {
	m := map[string]credentials{}
	for _, u := range users {
		m[u.Username] = credentials{subject: u.Subject, password: digestOf(u.Password)}
	}
	return m
}

func (p *Provider) loginPage(w http.ResponseWriter, r *http.Request) {
	p.showLogin(w, r, http.StatusOK, r.URL.Query().Get("request"), "", "")
}

func (p *Provider) showLogin(w http.ResponseWriter, r *http.Request, status int, id, username, failure string) {
	pending, err := p.storage.AuthRequestByID(r.Context(), id)
	if err != nil {
		p.refuse(w, r, "", "This sign-in has expired. Go back to the application and start again.")
		return
	}
	if a, ok := pending.(authorization); ok && username == "" {
		username = a.loginHint
	}
	view := page{
		Title:        "Sign in",
		Message:      "to continue to " + pending.GetClientID(),
		LoginURL:     pathLogin,
		Request:      id,
		Username:     username,
		Failure:      failure,
		FormRedirect: pending.GetRedirectURI(),
	}
	if p.config.ShowCredentials {
		view.Users = p.config.Users
	}
	p.render(w, status, view)
}

func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.refuse(w, r, "", "The form could not be read.")
		return
	}
	id, username, password := r.PostForm.Get("request"), r.PostForm.Get("username"), r.PostForm.Get("password")
	pending, err := p.storage.AuthRequestByID(r.Context(), id)
	if err != nil {
		p.refuse(w, r, "", "This sign-in has expired. Go back to the application and start again.")
		return
	}
	username = strings.TrimSpace(username)
	want, known := p.users[username]
	account := username
	if !known {
		account = ""
	}
	ok, braked := p.brake.try(account, func() bool { return want.password.matches(password) && known })

	event := Event{Kind: EventLogin, ClientID: pending.GetClientID(), Subject: want.subject}
	if !ok {
		event.Error = string(oidc.AccessDenied)
	}
	p.emit(r.Context(), event)
	switch {
	case braked:
		w.Header().Set("Retry-After", "60")
		p.showLogin(w, r, http.StatusTooManyRequests, id, username, "Too many attempts. Wait a minute and try again.")
	case !ok:
		p.showLogin(w, r, http.StatusUnauthorized, id, username, "Wrong username or password.")
	default:
		if old, loggedIn := p.sessionOf(r); loggedIn && old.subject != want.subject {
			p.storage.endSession(old.sid) // somebody else logs in at this browser
		}
		who, cookie := p.storage.startSession(want.subject, p.now())
		p.setCookie(w, cookie)
		p.finish(w, r, id, who)
	}
}

// The browser's session cookie. The __Host- prefix needs Secure, which plain http on localhost cannot promise.

func (p *Provider) secure() bool { return strings.HasPrefix(p.config.Issuer, "https://") }

func (p *Provider) cookieName() string {
	if p.secure() {
		return "__Host-idp-session"
	}
	return "idp-session"
}

func (p *Provider) setCookie(w http.ResponseWriter, value string) {
	http.SetCookie(w, &http.Cookie{Name: p.cookieName(), Value: value, Path: "/", HttpOnly: true, Secure: p.secure(),
		SameSite: http.SameSiteLaxMode}) // Lax: clients send the browser here from other sites
}

func (p *Provider) clearCookie(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: p.cookieName(), Path: "/", MaxAge: -1, HttpOnly: true, Secure: p.secure(),
		SameSite: http.SameSiteLaxMode})
}

func (p *Provider) sessionOf(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(p.cookieName())
	if err != nil {
		return session{}, false
	}
	return p.storage.sessionByCookie(cookie.Value)
}
