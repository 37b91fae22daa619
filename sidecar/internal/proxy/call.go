package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Sessions is what calls need of package session.
type Sessions interface {
	Find(ctx context.Context, cookieValue string) (*session.Session, error)
	Touch(ctx context.Context, sess *session.Session) error
	Refreshed(ctx context.Context, sess *session.Session, refresh func(context.Context, token.Set) (token.Set, error)) (*session.Session, error)
}

// CallsOptions make Calls. All of them are required but Ended.
type CallsOptions struct {
	Transport http.RoundTripper
	Sessions  Sessions
	// Refresh renews tokens at the provider.
	Refresh func(context.Context, token.Set) (token.Set, error)
	Gate    *gate.Gate
	// Public is the public URL.
	Public *url.URL
	// LoginURL is where a navigation starts a login.
	LoginURL string
	// Ended is told when a session has ended because its refresh token is dead.
	Ended  func(context.Context)
	Logger *slog.Logger
}

// Calls forwards calls of routes.
type Calls struct {
	CallsOptions
	forwarder *forwarder
}

// NewCalls makes the handler of a table's routes.
func NewCalls(o CallsOptions) *Calls {
	if o.Ended == nil {
		o.Ended = func(context.Context) {}
	}
	return &Calls{CallsOptions: o, forwarder: newForwarder(o.Transport, o.Public, o.Logger)}
}

// Serve answers one call: gate, method, session, token, upstream, in that
// order. Without a session it answers 401 and never redirects (GAP-02).
func (c *Calls) Serve(w http.ResponseWriter, r *http.Request, route *Route, path Path) {
	if v := c.Gate.Check(gate.Call, r); v.Kind != problem.None {
		v.Kind.Write(w, r, v.Detail)
		return
	}
	if !route.Allows(r.Method) {
		w.Header().Set("Allow", route.Allow)
		problem.MethodNotAllowed.Write(w, r, "This route takes "+route.Allow+".")
		return
	}
	sess, err := c.session(r, route)
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	if gate.IsWebSocket(r) || gate.FactsOf(r).EventStream {
		// A stream does not outlive its session.
		ctx, cancel := context.WithDeadline(r.Context(), sess.ExpiresAt)
		defer cancel()
		r = r.WithContext(ctx)
	}
	c.forwarder.forward(w, r, hop{
		to: route.Upstream, host: route.Upstream.Host, path: path,
		request: func(h http.Header) {
			scrub(h, ofCalls)
			if route.Token == v1alpha1.TokenAccess {
				h["Authorization"] = []string{"Bearer " + sess.Tokens.Access}
			}
		},
		response: func(h http.Header) {
			scrubAnswer(h)
			private(h, noStore)
		},
		failed: unreachable,
	})
}

// session finds the call's session, counts the call as a use of it, and renews
// its access token if the route needs one.
func (c *Calls) session(r *http.Request, route *Route) (*session.Session, error) {
	ctx := r.Context()
	value, ok := session.CookieFrom(r)
	if !ok {
		return nil, session.ErrNone
	}
	sess, err := c.Sessions.Find(ctx, value)
	if err != nil {
		return nil, err
	}
	if err := c.Sessions.Touch(ctx, sess); err != nil {
		return nil, err
	}
	if route.Token != v1alpha1.TokenAccess {
		return sess, nil
	}
	return c.Sessions.Refreshed(ctx, sess, c.Refresh)
}

func (c *Calls) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, session.ErrEnded) {
		c.Ended(r.Context())
		http.SetCookie(w, session.ExpiredCookie()) // BFF-13
	}
	refuse(w, r, c.Logger, c.LoginURL, err)
}

// refuse answers a request whose session could not be used. Only a session
// that is known to be over is said to be over (GAP-07).
func refuse(w http.ResponseWriter, r *http.Request, logger *slog.Logger, loginURL string, err error) {
	if r.Context().Err() != nil {
		return // the browser has gone
	}
	switch {
	case errors.Is(err, session.ErrNone):
		problem.NoSession.Write(w, r, "Log in first.", problem.LoginURL(loginURL))
		return
	case errors.Is(err, session.ErrEnded):
		problem.SessionEnded.Write(w, r, "The identity provider has ended this login. Log in again.", problem.LoginURL(loginURL))
		return
	}
	kind := kindOf(err)
	logger.LogAttrs(r.Context(), slog.LevelWarn, "session not usable", slog.String("code", kind.Code()),
		slog.String("requestID", problem.RequestID(r.Context())), slog.Any("error", err))
	kind.Write(w, r, "The session is kept. Try again in a moment.")
}

// kindOf tells whose fault it is that a session cannot be used just now.
func kindOf(err error) problem.Kind {
	switch {
	case errors.Is(err, session.ErrUnavailable):
		return problem.StoreUnavailable
	case errors.Is(err, session.ErrUnreadable):
		return problem.SessionUnreadable
	case errors.Is(err, session.ErrRefreshFailed):
		return problem.ProviderUnavailable
	}
	return problem.Internal
}

func unreachable(w http.ResponseWriter, r *http.Request, timedOut bool) {
	if timedOut {
		problem.UpstreamTimeout.Write(w, r, "The service behind this route did not answer in time.")
		return
	}
	problem.UpstreamUnreachable.Write(w, r, "The service behind this route did not answer.")
}
