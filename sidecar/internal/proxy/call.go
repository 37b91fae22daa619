package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/client"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Refresh renews tokens at the provider for a target.
type Refresh = func(context.Context, token.Set, token.Target) (token.Set, error)

// Sessions is what calls need of package session.
type Sessions interface {
	Find(ctx context.Context, cookieValue string) (*session.Session, error)
	Ready(cookieValue string, target token.Target, needsToken bool) (*session.Session, bool)
	Touch(ctx context.Context, sess *session.Session) error
	Refreshed(ctx context.Context, sess *session.Session, target token.Target, refresh Refresh) (*session.Session, error)
	Renew(ctx context.Context, sess *session.Session, target token.Target, refresh Refresh) (*session.Session, error)
	Watch(sess *session.Session) (<-chan session.Event, func())
}

// Common is what calls and the application have in common. All of it is
// required but TrustedProxies.
type Common struct {
	Sessions Sessions
	Gate     *gate.Gate
	// Binding holds sessions to their network.
	Binding *gate.Binding
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Public is the public URL.
	Public *url.URL
	// LoginURL is where a navigation starts a login.
	LoginURL string
	Clock    func() time.Time
	Logger   *slog.Logger
}

// CallsOptions make Calls. All of them are required but Ended and StepUp.
type CallsOptions struct {
	Common
	// Refresh renews tokens at the provider.
	Refresh Refresh
	// Nonces are those of upstreams. They outlive a change of configuration.
	Nonces *dpop.Nonces
	// StepUp are the parameters that a login URL may carry.
	StepUp []v1alpha1.LoginParameter
	// Ended is told when a session has ended because its tokens cannot be renewed.
	Ended func(context.Context)
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
	return &Calls{CallsOptions: o, forwarder: newForwarder(o.Public, o.Logger)}
}

// Serve answers one call: gate, method, session, network, token, upstream, in
// that order. Without a session it answers 401 and never redirects (GAP-02).
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
	address, _ := client.Address(r.RemoteAddr, r.Header["X-Forwarded-For"], c.TrustedProxies)
	sess, err := c.session(r, address)
	if err == nil && route.Token == v1alpha1.TokenAccess {
		sess, err = c.Sessions.Refreshed(r.Context(), sess, route.Target, c.Refresh)
	}
	out := &call{calls: c, route: route, path: path, id: problem.RequestIDOf(w)}
	if err == nil {
		err = out.use(sess)
	}
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	if gate.IsWebSocket(r) {
		ctx, cancel := c.whileAlive(r.Context(), sess)
		defer cancel()
		r = r.WithContext(ctx)
	}
	out.hop = hop{to: route.Upstream, host: route.Upstream.Host, path: path, client: address, behind: out}
	c.forwarder.forward(w, r, &out.hop)
}

// calls are for calls that are over when they were answered.
var calls = sync.Pool{New: func() any { return new(call) }}

// Quick answers a call as Serve does if all there is to do is to forward it: it
// may pass, its session is in memory and its token is good. Otherwise it does
// nothing at all and says so. The request's context must be an
// upstream.Canceler.
func (c *Calls) Quick(w http.ResponseWriter, r *http.Request, route *Route, path Path) bool {
	if c.Gate.Check(gate.Call, r).Kind != problem.None || !route.Allows(r.Method) || gate.IsWebSocket(r) {
		return false
	}
	value, ok := session.CookieFrom(r)
	if !ok {
		return false
	}
	needsToken := route.Token == v1alpha1.TokenAccess
	sess, ok := c.Sessions.Ready(value, route.Target, needsToken)
	if !ok {
		return false
	}
	address, _ := client.Address(r.RemoteAddr, r.Header["X-Forwarded-For"], c.TrustedProxies)
	if !c.Binding.Passes(sess, address) {
		return false
	}
	if _, ok := sess.Authorization(route.Target); needsToken && !ok {
		return false
	}
	problem.IdentifyAnswer(w)
	out := calls.Get().(*call)
	*out = call{calls: c, route: route, path: path, id: problem.RequestIDOf(w)}
	if out.use(sess) != nil {
		return false
	}
	out.hop = hop{to: route.Upstream, host: route.Upstream.Host, path: path, client: address, behind: out}
	c.forwarder.forwardAgain(w, r, &out.hop)
	*out = call{}
	calls.Put(out)
	return true
}

// Bound lets requests pass to next unless their session is bound to another
// network, or that cannot be known; those it answers. What has no session passes
// too: next says that in its own way.
func (c *Common) Bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if value, ok := session.CookieFrom(r); ok {
			sess, err := c.Sessions.Find(r.Context(), value)
			switch {
			case err == nil:
				address, _ := client.Address(r.RemoteAddr, r.Header["X-Forwarded-For"], c.TrustedProxies)
				err = c.hold(r.Context(), sess, address)
			case isOver(err):
				err = nil
			}
			if err != nil {
				c.refuse(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// session finds a request's session and counts the request as a use of it. The
// network is looked at first: what comes from elsewhere prolongs nothing.
func (c *Common) session(r *http.Request, address netip.Addr) (*session.Session, error) {
	ctx := r.Context()
	value, ok := session.CookieFrom(r)
	if !ok {
		return nil, errNoCookie
	}
	sess, err := c.Sessions.Find(ctx, value)
	if err != nil {
		return nil, err
	}
	if err := c.hold(ctx, sess, address); err != nil {
		return nil, err
	}
	return sess, c.Sessions.Touch(ctx, sess)
}

// hold holds a session to its network.
func (c *Common) hold(ctx context.Context, sess *session.Session, address netip.Addr) error {
	verdict, err := c.Binding.Check(ctx, sess, address)
	if err == nil && verdict.Kind != problem.None {
		err = held{verdict}
	}
	return err
}
