package idp

import (
	"net/http"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const pathConfirm = "/end-session/confirm"

// endSession is the end session endpoint (OpenID Connect RP-Initiated Logout section 2). A valid id_token_hint proves
// that the request comes from a client of the session, so it ends at once; without one the user is asked.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	request, err := op.ParseEndSessionRequest(r, p.op.Decoder())
	if err != nil {
		p.refuseLogout(w, r, "The logout request could not be read.")
		return
	}
	valid, err := op.ValidateEndSessionRequest(r.Context(), request, p.op)
	if err != nil {
		p.refuseLogout(w, r, "The logout request is not valid: "+oidc.DefaultToServerError(err, "unexpected error").Description+".")
		return
	}
	who, loggedIn := p.sessionOf(r)
	switch {
	case valid.IDTokenHintClaims != nil && valid.IDTokenHintClaims.SessionID != "":
		p.storage.endSession(valid.IDTokenHintClaims.SessionID)
		if loggedIn && who.sid == valid.IDTokenHintClaims.SessionID {
			p.clearCookie(w)
		}
		p.loggedOut(w, r, valid.ClientID, valid.UserID, valid.RedirectURI)
	case !loggedIn:
		p.loggedOut(w, r, valid.ClientID, "", valid.RedirectURI)
	default:
		p.render(w, http.StatusOK, page{
			Title:        "Sign out?",
			Message:      "Signed in as " + p.storage.users[who.subject].Username + ".",
			ConfirmURL:   pathConfirm,
			ClientID:     request.ClientID,
			ReturnURL:    request.PostLogoutRedirectURI,
			State:        request.State,
			FormRedirect: valid.RedirectURI,
		})
	}
}

// confirmEndSession is the answer to that question.
func (p *Provider) confirmEndSession(w http.ResponseWriter, r *http.Request) {
	request, err := op.ParseEndSessionRequest(r, p.op.Decoder())
	if err != nil {
		p.refuseLogout(w, r, "The logout request could not be read.")
		return
	}
	valid, err := op.ValidateEndSessionRequest(r.Context(), request, p.op)
	if err != nil {
		p.refuseLogout(w, r, "The logout request is not valid.")
		return
	}
	who, loggedIn := p.sessionOf(r)
	if loggedIn {
		p.storage.endSession(who.sid)
	}
	p.clearCookie(w)
	p.loggedOut(w, r, valid.ClientID, who.subject, valid.RedirectURI)
}

// loggedOut sends the browser to the client's registered address, or says goodbye when there is none.
func (p *Provider) loggedOut(w http.ResponseWriter, r *http.Request, clientID, subject, redirectURI string) {
	p.emit(r.Context(), Event{Kind: EventEndSession, ClientID: clientID, Subject: subject})
	if u, err := r.URL.Parse(redirectURI); err == nil && u.Host != "" {
		http.Redirect(w, r, redirectURI, http.StatusSeeOther)
		return
	}
	p.render(w, http.StatusOK, page{Title: "Signed out", Message: "You are signed out of the demo identity provider."})
}

func (p *Provider) refuseLogout(w http.ResponseWriter, r *http.Request, message string) {
	p.emit(r.Context(), Event{Kind: EventEndSession, Error: string(oidc.InvalidRequest)})
	p.render(w, http.StatusBadRequest, page{Title: "Sign-out failed", Message: message})
}
