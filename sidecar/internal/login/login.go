package login

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/page"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Login sends the browser to the identity provider. It is for navigations, since
// a script could not follow it anywhere, and never for frames, also not with
// prompt=none (FM-05, OIDC-18).
//
// There are two ways to ask. A page of this site goes to
//
//	GET login?returnTo=/path
//
// with the parameters for the provider that the policy allows. Anybody else goes
// to GET or POST login with iss, target_link_uri and login_hint (OpenID Connect
// Core section 4); what else stands there is ignored.
func (h *Handler) Login(w http.ResponseWriter, r *http.Request) {
	if !flow.Allowed(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	w.Header().Set("X-Frame-Options", "DENY") // for browsers that do not say what they load
	if !flow.IsNavigation(r.Header) {
		h.refuser.Refuse(w, r, flow.Refusal{Flow: flow.Login, Reason: flow.ReasonNotNavigation,
			Kind: problem.NotNavigation, Detail: sayNavigate})
		return
	}
	wanted, refusal := h.read(w, r)
	if refusal.Reason != "" {
		refusal.Again = h.loginURL(wanted.marked(returning(wanted.returnTo)))
		h.refuser.Refuse(w, r, refusal)
		return
	}
	next := h.loginURL(wanted.marked(wanted.parameters))
	if heldBack(r) {
		page.Write(w, http.StatusOK, page.Page{Title: "Sign-in", Text: "One moment.", Next: next, Link: next, LinkText: "Continue"})
		return
	}
	if wanted.elsewhere {
		switch user, err := h.userOf(r.Context(), cookieOf(r)); {
		case err != nil:
			h.refuser.Refuse(w, r, flow.Unavailable(flow.Login, err, next))
			return
		case user != nil:
			flow.SeeOther(w, wanted.returnTo)
			return
		}
	}
	target, refusal := h.begin(w, r, wanted)
	if refusal.Reason != "" {
		refusal.Again = next
		if refusal.Kind == problem.BadRequest { // the same would be refused again
			refusal.Again = h.loginURL(wanted.marked(returning(wanted.returnTo)))
		}
		h.refuser.Refuse(w, r, refusal)
		return
	}
	h.observer.Finished(flow.Login, flow.OK)
	flow.SeeOther(w, target)
}

func cookieOf(r *http.Request) string {
	value, _ := session.CookieFrom(r)
	return value
}

// maxForm bounds the body of a form, in bytes. What stands in it could as well
// stand in a URL.
const maxForm = 64 << 10

// wanted is a login as somebody asks for it.
type wanted struct {
	// elsewhere says that another origin began it.
	elsewhere bool
	returnTo  string
	provider.Parameters
	// parameters are those the login can be asked for with once more.
	parameters url.Values
}

// read reads what login is wanted.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (wanted, flow.Refusal) {
	encoded, elsewhere := r.URL.RawQuery, fromElsewhere(r)
	if r.Method == http.MethodPost {
		var err error
		if encoded, err = flow.Form(w, r, maxForm); err != nil {
			return wanted{elsewhere: elsewhere}, badRequest(flow.ReasonParameters, sayForm)
		}
	}
	parameters, err := url.ParseQuery(encoded)
	if err != nil {
		return wanted{elsewhere: elsewhere}, badRequest(flow.ReasonParameters, sayReadable)
	}
	read := h.readRequest
	if r.Method == http.MethodPost || parameters.Has("iss") {
		read = h.readInitiation
	}
	wanted, refusal := read(parameters)
	wanted.elsewhere = elsewhere || parameters.Has(paramElsewhere)
	return wanted, refusal
}

// readRequest reads what a page of this site asks for.
func (h *Handler) readRequest(parameters url.Values) (wanted, flow.Refusal) {
	returnTo, err := ReturnTo(parameters.Get("returnTo"), h.basePath)
	if err != nil || len(parameters["returnTo"]) > 1 {
		refusal := badRequest(flow.ReasonReturnTo, sayReturnTo)
		refusal.Kind = problem.BadReturnTo
		return wanted{}, refusal
	}
	p, bad := parseParameters(parameters, h.policy.AllowedParameters)
	if bad != nil {
		return wanted{returnTo: returnTo}, badParameter(bad)
	}
	again := returning(returnTo)
	for _, name := range passedOn {
		if value := parameters.Get(string(name)); value != "" {
			if again == nil {
				again = url.Values{}
			}
			again.Set(string(name), value)
		}
	}
	return wanted{returnTo: returnTo, Parameters: p, parameters: again}, flow.Refusal{}
}

// begin makes a transaction, gives it to the browser, and returns where that has
// to go.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, want wanted) (target string, f flow.Refusal) {
	ctx, now := r.Context(), h.clock()
	chain := chainOf(r, now)
	if chain > maxChain {
		http.SetCookie(w, expiredChainCookie()) // who tries again begins a new one
		return "", flow.Refusal{Flow: flow.Login, Reason: flow.ReasonLoop, Kind: problem.LoginLoop, Detail: sayLoop}
	}
	asked := want.Parameters
	if asked.Prompt != "" || asked.UILocales != "" || len(asked.ACRValues) > 0 {
		advertised, err := h.provider.Advertised(ctx)
		if err != nil {
			return "", flow.Unavailable(flow.Login, err, "")
		}
		var bad *parameterError
		if asked, bad = supported(asked, advertised); bad != nil {
			return "", badParameter(bad)
		}
	}
	if bad := allowedBy(h.policy, asked); bad != nil {
		return "", badParameter(bad)
	}
	t := transaction{
		State: random(), Nonce: random(), Verifier: random(), ReturnTo: want.returnTo, Created: now.Unix(),
		ACRValues: asked.ACRValues, Silent: asked.Prompt == promptNone, Chain: chain,
	}
	if asked.MaxAge != nil {
		seconds := int64(*asked.MaxAge / time.Second)
		t.MaxAge = &seconds
	}
	t.Previous = cookieOf(r)
	if len(t.ACRValues) > 0 || t.MaxAge != nil {
		var err error
		if t.User, err = h.userOf(ctx, t.Previous); err != nil {
			return "", flow.Unavailable(flow.Login, err, "")
		}
	}
	key, err := h.provider.NewKey(ctx)
	if err != nil {
		return "", flow.Unavailable(flow.Login, err, "")
	}
	if key != nil {
		t.Key = key.Marshal()
	}
	target, err = h.provider.AuthorizationURL(ctx, provider.AuthorizationRequest{
		State: t.State, Nonce: t.Nonce, CodeVerifier: t.Verifier, Key: key, Parameters: asked})
	if err == nil {
		err = h.remember(w, r, t)
	}
	if err != nil {
		return "", flow.Unavailable(flow.Login, err, "")
	}
	return target, flow.Refusal{}
}

// userOf stands for the user of a session that is there; nil if there is none.
func (h *Handler) userOf(ctx context.Context, cookieValue string) ([]byte, error) {
	if cookieValue == "" {
		return nil, nil
	}
	sess, err := h.sessions.Find(ctx, cookieValue)
	switch {
	case err == nil:
		return userOf(sess.Issuer, sess.Subject), nil
	case errors.Is(err, session.ErrNone):
		return nil, nil
	}
	return nil, err
}

// remember gives a transaction to the browser, in the place of others that have
// to go.
func (h *Handler) remember(w http.ResponseWriter, r *http.Request, t transaction) error {
	name := transactionCookieName(t.State)
	value, err := h.sealer.seal(name, t)
	if err != nil {
		return err
	}
	for _, old := range evict(h.sealer.pendingIn(r), len(name)+len(value), h.clock()) {
		http.SetCookie(w, h.expiredTransactionCookie(old))
	}
	http.SetCookie(w, h.transactionCookie(name, value))
	return nil
}

// random is 256 random bits in base64url: a state, a nonce, or a code verifier
// (RFC 7636 section 4.1).
func random() string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(bits[:])
}
