package idp

import (
	"net/http"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// authorize is the authorization endpoint (OpenID Connect Core section 3.1.2).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	request, err := op.ParseAuthorizeRequest(r, p.op.Decoder())
	if err != nil {
		p.refuse(w, r, "", "The authorization request could not be read.")
		return
	}
	client, err := p.storage.GetClientByClientID(r.Context(), request.ClientID)
	if err != nil {
		p.refuse(w, r, request.ClientID, "No client with this client_id is registered.")
		return
	}
	// Nothing is sent to a redirect URI before it is known to be the client's (RFC 9700 section 4.11.2).
	if !slices.Contains(client.RedirectURIs(), request.RedirectURI) {
		p.refuse(w, r, request.ClientID, "The redirect_uri is not one that this client has registered.")
		return
	}

	who, loggedIn := p.sessionOf(r)
	need, failure := p.decide(r, request, client, who, loggedIn)
	if failure != nil {
		p.emit(r.Context(), Event{Kind: EventAuthorize, ClientID: request.ClientID, Error: string(failure.ErrorType)})
		p.respond(w, r, request.RedirectURI, authorizationResponse{
			Error: string(failure.ErrorType), ErrorDescription: failure.Description, State: request.State})
		return
	}

	pending, err := p.storage.CreateAuthRequest(r.Context(), request, "")
	if err != nil {
		p.refuse(w, r, request.ClientID, "The authorization request could not be stored.")
		return
	}
	p.emit(r.Context(), Event{Kind: EventAuthorize, ClientID: request.ClientID})
	if need == loginNeeded {
		http.Redirect(w, r, client.LoginURL(pending.GetID()), http.StatusSeeOther)
		return
	}
	p.finish(w, r, pending.GetID(), who)
}

// decide validates the request against the registration and says what has to happen next.
func (p *Provider) decide(r *http.Request, request *oidc.AuthRequest, client op.Client, who session, loggedIn bool) (interaction, *oidc.Error) {
	if failure := checkProfile(request); failure != nil {
		return 0, failure
	}
	ctx := r.Context()
	hinted, err := op.ValidateAuthRequestClient(ctx, request, client, p.op.IDTokenHintVerifier(ctx))
	if err != nil {
		return 0, oidc.DefaultToServerError(err, "the request could not be validated")
	}
	return decideInteraction(request.Prompt, request.MaxAge, hinted, who, loggedIn, p.now())
}

// unsupportedResponseType is missing in the library (RFC 6749 section 4.1.2.1).
const unsupportedResponseType = "unsupported_response_type"

// checkProfile holds the rules that are this provider's and not the library's.
func checkProfile(request *oidc.AuthRequest) *oidc.Error {
	switch {
	case request.ResponseType == "":
		return oidc.ErrInvalidRequest().WithDescription("response_type is missing")
	case request.ResponseType != oidc.ResponseTypeCode:
		return &oidc.Error{ErrorType: unsupportedResponseType, Description: "only response_type=code is supported"}
	case request.RequestParam != "":
		return oidc.ErrRequestNotSupported().WithDescription("request objects are not supported")
	case request.CodeChallenge == "" || request.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		return oidc.ErrInvalidRequest().WithDescription("PKCE is required: send code_challenge with code_challenge_method=S256")
	case len(request.CodeChallenge) != 43: // base64url of a SHA-256, RFC 7636 section 4.2
		return oidc.ErrInvalidRequest().WithDescription("code_challenge must be 43 characters long")
	case request.ResponseMode != "" && request.ResponseMode != oidc.ResponseModeQuery:
		return oidc.ErrInvalidRequest().WithDescription("response_mode: only query is supported")
	case !slices.Contains(request.Scopes, oidc.ScopeOpenID):
		return oidc.ErrInvalidScope().WithDescription("scope must contain openid")
	}
	return nil
}

type interaction int

const (
	loginNeeded interaction = iota + 1
	nothingNeeded
)

// decideInteraction says whether the browser's session answers the request or the user has to log in (OpenID Connect
// Core sections 3.1.2.1 and 3.1.2.3). Consent is never asked for.
func decideInteraction(prompt []string, maxAge *uint, hinted string, who session, loggedIn bool, now time.Time) (interaction, *oidc.Error) {
	usable := loggedIn &&
		(hinted == "" || hinted == who.subject) &&
		!slices.Contains(prompt, oidc.PromptLogin) && !slices.Contains(prompt, oidc.PromptSelectAccount) &&
		(maxAge == nil || now.Sub(who.authTime) <= time.Duration(min(*maxAge, 1<<31))*time.Second)
	switch {
	case usable:
		return nothingNeeded, nil
	case slices.Contains(prompt, oidc.PromptNone):
		return 0, oidc.ErrLoginRequired().WithDescription("the user is not logged in")
	default:
		return loginNeeded, nil
	}
}

// finish gives the request its code and sends the browser back to the client.
func (p *Provider) finish(w http.ResponseWriter, r *http.Request, id string, who session) {
	pending, err := p.storage.AuthRequestByID(r.Context(), id)
	if err == nil {
		err = p.storage.completeLogin(id, who)
	}
	code := newSecret()
	if err == nil {
		err = p.storage.SaveAuthCode(r.Context(), id, code)
	}
	if err != nil {
		p.refuse(w, r, "", "This sign-in has expired. Go back to the application and start again.")
		return
	}
	p.respond(w, r, pending.GetRedirectURI(), authorizationResponse{Code: code, State: pending.GetState()})
}

// authorizationResponse is what comes back in the redirect URI's query (RFC 6749 section 4.1.2, RFC 9207 section 2).
type authorizationResponse struct {
	Code             string `schema:"code,omitempty"`
	State            string `schema:"state,omitempty"`
	Error            string `schema:"error,omitempty"`
	ErrorDescription string `schema:"error_description,omitempty"`
	Issuer           string `schema:"iss"`
}

func (p *Provider) respond(w http.ResponseWriter, r *http.Request, redirectURI string, response authorizationResponse) {
	response.Issuer = p.config.Issuer
	location, err := op.AuthResponseURL(redirectURI, oidc.ResponseTypeCode, oidc.ResponseModeQuery, response, p.op.Encoder())
	if err != nil {
		p.refuse(w, r, "", "The answer could not be written.")
		return
	}
	http.Redirect(w, r, location, http.StatusSeeOther)
}

// refuse shows an error to the user, because there is no client that it could be sent to.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, clientID, message string) {
	if _, known := p.storage.clients[clientID]; !known {
		clientID = "" // what a stranger typed does not belong into events and logs
	}
	p.emit(r.Context(), Event{Kind: EventAuthorize, ClientID: clientID, Error: string(oidc.InvalidRequest)})
	p.render(w, http.StatusBadRequest, page{Title: "Sign-in failed", Message: message})
}
