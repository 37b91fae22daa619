// Package logout is how logins end: by the user here, with the rest of the
// logout at the provider (OpenID Connect RP-Initiated Logout 1.0), and by the
// provider (OpenID Connect Back-Channel Logout 1.0 and Front-Channel Logout
// 1.0). The session ends first; what has to be told to the provider follows, and
// no failure there brings the session back.
package logout

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Provider is what a logout needs of the identity provider. *provider.Client is
// one.
type Provider interface {
	Issuer() string
	Revoke(context.Context, token.Set) error
	EndSession(ctx context.Context, idToken, postLogoutRedirect string) (provider.EndSession, bool)
	EndSessionURL(ctx context.Context, postLogoutRedirect string) (string, bool)
	VerifyLogoutToken(ctx context.Context, raw string) (provider.LogoutToken, error)
}

// Sessions is what a logout needs of the sessions. *session.Sessions is one.
type Sessions interface {
	Find(ctx context.Context, cookieValue string) (*session.Session, error)
	End(context.Context, *session.Session, session.EndReason) error
	EndBySID(ctx context.Context, issuer, sid string, why session.EndReason) (int, error)
	EndBySubject(ctx context.Context, issuer, subject string, why session.EndReason) (int, error)
	Park(ctx context.Context, value []byte, ttl time.Duration) (ticket string, err error)
	Take(ctx context.Context, ticket string) ([]byte, error)
	Once(ctx context.Context, name string, ttl time.Duration) (first bool, err error)
}

// Options make a Handler. Fields without a default are required.
type Options struct {
	Provider Provider
	Sessions Sessions
	// PublicURL is the origin the browser sees. PublicURL + "/" is where the
	// provider sends the browser after a logout, character by character (RPL-03).
	PublicURL *url.URL
	// BasePath is the path the endpoints live below, such as /bff.
	BasePath string
	// IDTokenHint says how the provider gets the ID token. Default: by a form.
	IDTokenHint v1alpha1.IDTokenHint
	// FrontChannel opens the front-channel endpoint. Default: it is closed.
	FrontChannel v1alpha1.Switch

	// Clock tells the time. Default: time.Now.
	Clock func() time.Time
	// Logger is told why something failed. Default: nothing is logged.
	Logger *slog.Logger
	// Observer counts how flows end. Default: nobody does.
	Observer flow.Observer
}

// Handler serves the endpoints Logout, Continue, BackChannel and FrontChannel.
// It trusts that who calls Logout for a POST has checked that the request comes
// from this origin (RFC 10017 section 6.1.3.3). It is safe for concurrent use.
type Handler struct {
	refuser      flow.Refuser
	provider     Provider
	sessions     Sessions
	home         string // where a browser goes when there is nowhere else
	basePath     string
	hint         bool
	frontChannel bool
	framer       string // the policy of what the provider may frame
	clock        func() time.Time

	verifying chan struct{} // one element for each logout token that is being verified
	jobs      *jobs         // what goes on after the answers
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
		o.Observer = flow.Nobody{}
	}
	return &Handler{
		refuser:      flow.Refuser{Logger: o.Logger, Observer: o.Observer},
		provider:     o.Provider,
		sessions:     o.Sessions,
		home:         o.PublicURL.Scheme + "://" + o.PublicURL.Host + "/",
		basePath:     o.BasePath,
		hint:         o.IDTokenHint != v1alpha1.IDTokenHintNone,
		frontChannel: o.FrontChannel == v1alpha1.Enabled,
		framer:       framerPolicy(o.Provider.Issuer()),
		clock:        o.Clock,
		verifying:    make(chan struct{}, maxVerifying),
		jobs:         newJobs(),
	}
}

// Shutdown waits for what goes on after the answers were sent: revocations, and
// logouts that the store could not carry out yet. If ctx ends first, they are
// given up and Shutdown returns ctx's error.
func (h *Handler) Shutdown(ctx context.Context) error { return h.jobs.shutdown(ctx) }

// continuePath is the path of Continue.
func (h *Handler) continuePath() string { return h.basePath + "/logout/continue" }
