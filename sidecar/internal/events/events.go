// Package events tells a page what becomes of its session, as server-sent events
// (WHATWG HTML section 9.2): that its tokens were renewed, that it is about to
// end, and that it has ended, with the reason.
package events

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

const (
	// maxStreams bounds the streams in all, maxPerSession those of one session: the
	// tabs of a browser.
	maxStreams    = 1024
	maxPerSession = 16
)

// Sessions is what streams need of the sessions. *session.Sessions is one.
type Sessions interface {
	Find(ctx context.Context, cookieValue string) (*session.Session, error)
	Watch(*session.Session) (<-chan session.Event, func())
}

// Options make a Handler. Fields without a default are required.
type Options struct {
	Sessions Sessions
	// BasePath is the path the endpoints live below, such as /bff.
	BasePath string
	// Draining is closed when the sidecar is about to go, or these sessions are no
	// longer its own: streams end, and pages connect again. Default: never.
	Draining <-chan struct{}

	// Clock tells the time. Default: time.Now.
	Clock func() time.Time
	// Logger is told why something failed. Default: nothing is logged.
	Logger *slog.Logger
	// Observer counts how streams end. Default: nobody does.
	Observer flow.Observer
}

// Handler serves the endpoint events. It trusts that who calls it has checked
// that the request comes from this origin. It is safe for concurrent use.
type Handler struct {
	sessions Sessions
	loginURL string
	draining <-chan struct{}
	clock    func() time.Time
	refuser  flow.Refuser

	mu        sync.Mutex
	streams   int
	bySession map[string]int
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
		sessions: o.Sessions, loginURL: o.BasePath + "/login", draining: o.Draining, clock: o.Clock,
		refuser:   flow.Refuser{Logger: o.Logger, Observer: o.Observer},
		bySession: map[string]int{},
	}
}

// ServeHTTP streams events: GET events. Each has an object as data:
//
//	expiring   {"expiresIn":60,"idleExpiresIn":60}  a minute before the end; a use may put it off
//	refreshed  {"expiresIn":900,"idleExpiresIn":900}  the session has new tokens
//	ended      {"reason":"logout"}  a session.EndReason; the stream ends
//
// Listening is no use of the session: it does not extend it. Without a session
// the answer is 401, on which an EventSource gives up.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !flow.Allowed(w, r, http.MethodGet) {
		return
	}
	w.Header().Add("Vary", "Cookie")
	value, ok := session.CookieFrom(r)
	if !ok {
		h.refuser.Observer.Finished(flow.Events, flow.ReasonNoSession)
		problem.NoSession.Write(w, r, "There is no session. Log in.", problem.LoginURL(h.loginURL))
		return
	}
	sess, err := h.sessions.Find(r.Context(), value)
	switch {
	case errors.Is(err, session.ErrNone):
		h.refuser.Observer.Finished(flow.Events, flow.ReasonNoSession)
		problem.SessionEnded.Write(w, r, "The session has ended ("+string(session.ReasonOf(err))+"). Log in again.", problem.LoginURL(h.loginURL))
		return
	case err != nil:
		h.refuser.Refuse(w, r, flow.Unavailable(flow.Events, err, ""))
		return
	}
	if !h.enter(sess.ID) {
		h.refuser.Refuse(w, r, flow.Refusal{Flow: flow.Events, Reason: flow.ReasonBusy, Kind: problem.TooManyStreams,
			Detail: "Too many pages listen. Let the tabs of a browser share one stream, or ask the session endpoint now and then."})
		return
	}
	defer h.leave(sess.ID)
	s := stream{Handler: h, out: newWriter(w), value: value, sess: sess}
	if err := s.out.begin(); err != nil {
		h.refuser.Refuse(w, r, flow.Refusal{Flow: flow.Events, Reason: flow.ReasonInternal, Err: err, Kind: problem.Internal,
			Detail: "Something went wrong on our side."})
		return
	}
	defer s.out.end()
	s.run(r.Context())
	h.refuser.Observer.Finished(flow.Events, flow.OK)
}

// enter counts a stream, if there is room for it.
func (h *Handler) enter(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams >= maxStreams || h.bySession[id] >= maxPerSession {
		return false
	}
	h.streams++
	h.bySession[id]++
	return true
}

func (h *Handler) leave(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
	if h.bySession[id]--; h.bySession[id] == 0 {
		delete(h.bySession, id)
	}
}
