package login

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Provider is what a login needs of the identity provider. *provider.Client is
// one.
type Provider interface {
	Issuer() string
	Advertised(context.Context) (provider.Advertised, error)
	NewKey(context.Context) (*dpop.Key, error)
	AuthorizationURL(context.Context, provider.AuthorizationRequest) (string, error)
	Exchange(context.Context, provider.ExchangeRequest) (*provider.Login, error)
}

// Sessions is what a login needs of the sessions. *session.Sessions is one.
type Sessions interface {
	Create(context.Context, session.Session) (cookieValue string, err error)
	Find(ctx context.Context, cookieValue string) (*session.Session, error)
	End(context.Context, *session.Session, session.EndReason) error
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

	// Login is the policy's section about logins. Default: nothing is passed on and
	// nothing is demanded.
	Login v1alpha1.Login
	// ResponseMode is how the provider sends browsers back. Default: query.
	ResponseMode v1alpha1.ResponseMode
	// Claims are the claims a page may see. Default: the standard ones about a
	// person (OpenID Connect Core section 5.1), without address and phone.
	Claims []string
	// Network is the client network of a request that sessions are bound to.
	// Default: they are not.
	Network func(*http.Request) netip.Prefix
	// Discard is told of tokens that were issued and that no session holds: the
	// provider should revoke them. It must not block. Default: they expire.
	Discard func(context.Context, token.Set)

	// Clock tells the time. Default: time.Now.
	Clock func() time.Time
	// Logger is told why something failed. Default: nothing is logged.
	Logger *slog.Logger
	// Observer counts how flows end. Default: nobody does.
	Observer flow.Observer
}

// Handler serves the endpoints Login, Callback and Session. It trusts that who
// calls Session has checked that the request comes from this origin (RFC 10017
// section 6.1.3.3). It is safe for concurrent use.
type Handler struct {
	provider Provider
	sessions Sessions
	sealer   sealer
	origin   string
	basePath string
	policy   v1alpha1.Login
	formPost bool
	claims   []string
	network  func(*http.Request) netip.Prefix
	discard  func(context.Context, token.Set)
	clock    func() time.Time
	logger   *slog.Logger
	observer flow.Observer
	refuser  flow.Refuser
}

// New makes a Handler.
func New(o Options) *Handler {
	if len(o.Claims) == 0 {
		o.Claims = standardClaims
	}
	if o.Network == nil {
		o.Network = func(*http.Request) netip.Prefix { return netip.Prefix{} }
	}
	if o.Discard == nil {
		o.Discard = func(context.Context, token.Set) {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = flow.Nobody{}
	}
	origin := o.PublicURL.Scheme + "://" + o.PublicURL.Host
	return &Handler{
		provider: o.Provider,
		sessions: o.Sessions,
		sealer:   sealer{ring: o.Ring, origin: origin, issuer: o.Provider.Issuer()},
		origin:   origin,
		basePath: o.BasePath,
		policy:   o.Login,
		formPost: o.ResponseMode == v1alpha1.ResponseModeFormPost,
		claims:   o.Claims,
		network:  o.Network,
		discard:  o.Discard,
		clock:    o.Clock,
		logger:   o.Logger,
		observer: o.Observer,
		refuser:  flow.Refuser{Logger: o.Logger, Observer: o.Observer},
	}
}

// loginURL is where a login starts with the given parameters.
func (h *Handler) loginURL(parameters url.Values) string {
	if len(parameters) == 0 {
		return h.basePath + "/login"
	}
	return h.basePath + "/login?" + parameters.Encode()
}

// returning are the parameters of a login that returns to a path ReturnTo has
// accepted.
func returning(returnTo string) url.Values {
	if returnTo == "/" || returnTo == "" {
		return nil
	}
	return url.Values{"returnTo": {returnTo}}
}
