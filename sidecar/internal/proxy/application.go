package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/client"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/page"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// retryPause is how long a request waits for an application that does not
// listen, before its second and last try.
const retryPause = 100 * time.Millisecond

// ApplicationOptions make an Application. All of them are required.
type ApplicationOptions struct {
	Common
	Transport http.RoundTripper
	// Address is host:port of the application.
	Address string
	// RequireLogin lets only sessions reach the application.
	RequireLogin bool
	// ReturnTo is where a login may come back to for a navigation to a path of this
	// site: that path, or another if a login would not take it.
	ReturnTo func(target string) string
}

// Application forwards what is neither a route's nor ours to the single-page
// application.
type Application struct {
	ApplicationOptions
	to        *url.URL
	transport again
	forwarder *forwarder
}

// NewApplication makes the handler of the application.
func NewApplication(o ApplicationOptions) *Application {
	return &Application{
		ApplicationOptions: o,
		to:                 &url.URL{Scheme: "http", Host: o.Address},
		transport:          again{next: o.Transport, pause: retryPause},
		forwarder:          newForwarder(o.Public, o.Logger),
	}
}

// Serve answers one request. The application sees the public host and its own
// cookies; it never sees ours, and no token.
func (a *Application) Serve(w http.ResponseWriter, r *http.Request, path Path) {
	address, _ := client.Address(r.RemoteAddr, r.Header["X-Forwarded-For"], a.TrustedProxies)
	v := &visit{application: a}
	if a.RequireLogin {
		// What an application does about other origins is its own business, but it
		// takes what we let through for logged in. A socket is the one thing that their
		// scripts could read (GAP-01).
		if gate.IsWebSocket(r) {
			if refused := a.Gate.Check(gate.Call, r); refused.Kind != problem.None {
				refused.Kind.Write(w, r, refused.Detail)
				return
			}
		}
		var err error
		if v.sess, err = a.session(r, address); err != nil {
			a.sendToLogin(w, r, path, err)
			return
		}
		if gate.IsWebSocket(r) {
			ctx, cancel := a.whileAlive(r.Context(), v.sess)
			defer cancel()
			r = r.WithContext(ctx)
		}
	}
	a.forwarder.forward(w, r, &hop{to: a.to, host: a.Public.Host, path: path, client: address, behind: v})
}

// sendToLogin answers a request without a session: navigations go to the login,
// everything else gets 401 (GAP-02).
func (a *Application) sendToLogin(w http.ResponseWriter, r *http.Request, path Path, err error) {
	w.Header().Add("Vary", "Cookie, Sec-Fetch-Mode, Sec-Fetch-Site, Accept") // FM-08
	_, bound := errors.AsType[held](err)
	switch loginHelps := bound || errors.Is(err, errNoCookie) || isOver(err); {
	case !loginHelps || !isNavigation(r):
		a.refuse(w, r, err)
	case crossSite(r):
		bounce(w, path)
	default:
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", a.LoginURL+"?returnTo="+url.QueryEscape(a.ReturnTo(path.Target())))
		w.WriteHeader(http.StatusSeeOther)
	}
}

// visit is one request on its way to the application.
type visit struct {
	application *Application
	sess        *session.Session // nil unless a login is required
}

// RoundTrip implements behind.
func (v *visit) RoundTrip(out *http.Request) (*http.Response, error) {
	return v.application.transport.RoundTrip(out)
}

func (v *visit) keep([]byte) {}

func (v *visit) request(h http.Header) {
	scrub(h, nil)
	withoutOurs(h)
}

func (v *visit) response(answer *http.Response) {
	withoutSettingOurs(answer.Header)
	if v.sess == nil {
		return
	}
	private(answer.Header, revalidate)
}

func (v *visit) stream(answer *http.Response) io.ReadCloser {
	if v.sess == nil {
		return answer.Body
	}
	return v.application.stream(answer.Request.Context(), answer.Body, v.sess)
}

func (v *visit) failed(w http.ResponseWriter, r *http.Request, _ bool) {
	problem.ApplicationUnreachable.Write(w, r, "The application behind this address did not answer.")
}

// isNavigation says whether a browser is about to show the answer as a page.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// crossSite says whether the navigation was started by another site. A browser
// does not send a SameSite=Strict cookie with it, so nothing is known about the
// session yet (COOK-08, COOK-09).
func crossSite(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// bounce makes the browser come again, now from a page of this site.
func bounce(w http.ResponseWriter, path Path) {
	// The path begins with exactly one slash, so that it stays on this origin.
	page.Write(w, http.StatusOK, page.Page{Title: "One moment", Text: "The page is about to open.", Next: path.Target(), Link: path.Target(), LinkText: "Continue"})
}
