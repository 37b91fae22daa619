package login

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Provider is what a login needs of the identity provider. *provider.Client is
// one.
type Provider interface {
	Issuer() string
	AuthorizationURL(context.Context, provider.AuthorizationRequest) (string, error)
	SendsIssuer(context.Context) (bool, error)
	Exchange(ctx context.Context, code, codeVerifier, nonce string) (*provider.Login, error)
	Revoke(ctx context.Context, refreshToken string) error
	EndSessionURL(ctx context.Context, postLogoutRedirect string) (string, bool)
}

// Sessions is what a login needs of the sessions. *session.Sessions is one.
type Sessions interface {
	Create(context.Context, session.Session) (cookieValue string, err error)
	Find(ctx context.Context, cookieValue string) (*session.Session, error)
	End(context.Context, *session.Session) error
}

// Options make a Handler. Fields without a default are required.
type Options struct {
	Provider Provider
	Sessions Sessions
	// Ring is the namespace's current key ring. It is asked at every use.
	Ring func() *keyring.Ring
	// PublicURL is the origin the browser sees.
	PublicURL *url.URL
	// BasePath is the path the endpoints live below, such as /bff.
	BasePath string

	// Clock tells the time. Default: time.Now.
	Clock func() time.Time
	// Logger is told why something failed. Default: nothing is logged.
	Logger *slog.Logger
	// Observer counts how flows end. Default: nobody does.
	Observer Observer
}

// Handler serves the endpoints Login, Callback, Session and Logout. It trusts
// that who calls Session and Logout has checked that the request comes from this
// origin (RFC 10017 section 6.1.3.3). It is safe for concurrent use.
type Handler struct {
	provider Provider
	sessions Sessions
	sealer   sealer
	home     string // where a browser goes when there is nowhere else
	basePath string
	clock    func() time.Time
	logger   *slog.Logger
	observer Observer

	revocations chan struct{} // one element for each that is under way
	background  sync.WaitGroup
}

// New makes a Handler.
func New(o Options) *Handler {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	origin := o.PublicURL.Scheme + "://" + o.PublicURL.Host
	return &Handler{
		provider:    o.Provider,
		sessions:    o.Sessions,
		sealer:      sealer{ring: o.Ring, origin: origin, issuer: o.Provider.Issuer()},
		home:        origin + "/",
		basePath:    o.BasePath,
		clock:       o.Clock,
		logger:      o.Logger,
		observer:    o.Observer,
		revocations: make(chan struct{}, maxRevocations),
	}
}

// Shutdown waits for what goes on after the answers were sent: revocations. It
// returns ctx's error if that ends first.
func (h *Handler) Shutdown(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		h.background.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refusal is how a flow ends that does not succeed.
type refusal struct {
	flow   Flow
	reason Reason
	err    error // for the log; nil if the reason says it all

	kind   problem.Kind
	detail string // a sentence or two for a person, about what to do
	// again is where a person can try again, "" if that makes no sense.
	again string
}

// refuse answers a person with a page and a script with a problem, and tells log
// and observer why.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, f refusal) {
	level := slog.LevelInfo // the browser's doing, which happens
	if f.kind.Status() >= 500 || f.err != nil {
		level = slog.LevelWarn
	}
	attributes := []slog.Attr{
		slog.String("flow", string(f.flow)), slog.String("reason", string(f.reason)),
		slog.String("requestID", problem.RequestID(r.Context())),
	}
	if f.err != nil {
		attributes = append(attributes, slog.Any("error", f.err))
	}
	h.logger.LogAttrs(r.Context(), level, "login flow refused", attributes...)
	h.observer.Finished(f.flow, f.reason)

	w.Header().Add("Vary", "Sec-Fetch-Mode, Accept, X-CSRF") // what the choice depends on
	if wantsPage(r.Header) {
		writeErrorPage(w, r, f)
		return
	}
	f.kind.Write(w, r, f.detail)
}

// loginURL is where a login starts that returns to a path ReturnTo has accepted.
func (h *Handler) loginURL(returnTo string) string {
	login := h.basePath + "/login"
	if returnTo == "/" || returnTo == "" {
		return login
	}
	return login + "?" + url.Values{"returnTo": {returnTo}}.Encode()
}

// unavailable is a refusal because of the provider or the store.
func unavailable(flow Flow, err error, again string) refusal {
	f := refusal{flow: flow, reason: reasonOf(err), err: err, again: again}
	switch f.reason {
	case ReasonStoreUnavailable:
		f.kind, f.detail = problem.StoreUnavailable, "Sessions cannot be reached right now. Try again in a moment."
	case ReasonSessionUnreadable, ReasonKeyRing:
		f.kind, f.detail = problem.SessionUnreadable, "The session cannot be read right now. Try again in a moment."
	case ReasonSessionTooLarge, ReasonInternal:
		f.kind, f.detail = problem.Internal, "Something went wrong on our side."
	default:
		f.kind, f.detail = problem.ProviderUnavailable, "The identity provider cannot be reached right now. Try again in a moment."
	}
	return f
}
