package proxy

import (
	"errors"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// retryPause is how long a request waits for an application that does not
// listen, before its second and last try.
const retryPause = 100 * time.Millisecond

// ApplicationOptions make an Application. All of them are required.
type ApplicationOptions struct {
	Transport http.RoundTripper
	// Address is host:port of the application.
	Address string
	// Public is the public URL.
	Public *url.URL
	// RequireLogin lets only sessions reach the application.
	RequireLogin bool
	Sessions     Sessions
	// LoginURL is where a navigation starts a login.
	LoginURL string
	Logger   *slog.Logger
}

// Application forwards what is neither a route's nor ours to the single-page
// application.
type Application struct {
	ApplicationOptions
	to        *url.URL
	forwarder *forwarder
}

// NewApplication makes the handler of the application.
func NewApplication(o ApplicationOptions) *Application {
	transport := again{next: o.Transport, pause: retryPause}
	return &Application{
		ApplicationOptions: o,
		to:                 &url.URL{Scheme: "http", Host: o.Address},
		forwarder:          newForwarder(transport, o.Public, o.Logger),
	}
}

// Serve answers one request. The application sees the public host and its own
// cookies; it never sees ours, and no token.
func (a *Application) Serve(w http.ResponseWriter, r *http.Request, path Path) {
	if a.RequireLogin && !a.loggedIn(w, r, path) {
		return
	}
	a.forwarder.forward(w, r, hop{
		to: a.to, host: a.Public.Host, path: path,
		request: func(h http.Header) {
			scrub(h, nil)
			withoutOurs(h)
		},
		response: func(h http.Header) {
			withoutSettingOurs(h)
			if a.RequireLogin {
				private(h, revalidate)
			}
		},
		failed: func(w http.ResponseWriter, r *http.Request, _ bool) {
			problem.ApplicationUnreachable.Write(w, r, "The application behind this address did not answer.")
		},
	})
}

// loggedIn says whether the request has a session, and answers it if not:
// navigations go to the login, everything else gets 401 (GAP-02).
func (a *Application) loggedIn(w http.ResponseWriter, r *http.Request, path Path) bool {
	err := session.ErrNone
	if value, ok := session.CookieFrom(r); ok {
		var sess *session.Session
		if sess, err = a.Sessions.Find(r.Context(), value); err == nil {
			err = a.Sessions.Touch(r.Context(), sess)
		}
	}
	switch {
	case err == nil:
		return true
	case !errors.Is(err, session.ErrNone) || !isNavigation(r):
		refuse(w, r, a.Logger, a.LoginURL, err)
	case crossSite(r):
		bounce(w, path)
	default:
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", a.LoginURL+"?returnTo="+url.QueryEscape(path.Target()))
		w.WriteHeader(http.StatusSeeOther)
	}
	return false
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
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	// The path begins with exactly one slash, so that it stays on this origin.
	_, _ = w.Write([]byte(`<!doctype html><meta http-equiv="refresh" content="0;url=` + html.EscapeString(path.Target()) + `"><title>One moment</title>`))
}
