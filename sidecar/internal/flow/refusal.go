package flow

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/page"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
)

// Refusal is how a flow ends that does not succeed.
type Refusal struct {
	Flow   Flow
	Reason Reason
	Err    error // for the log; nil if the reason says it all

	Kind   problem.Kind
	Detail string // a sentence or two for a person, about what to do
	// Again is the path where a person can try again, "" if that makes no sense.
	Again string
	// Wait is how long the provider wants to be left alone, if it said so.
	Wait time.Duration
}

// Refuser writes refusals. Both fields are required.
type Refuser struct {
	Logger   *slog.Logger
	Observer Observer
}

// Refuse answers a person with a page and a script with a problem, and tells log
// and observer why.
func (f Refuser) Refuse(w http.ResponseWriter, r *http.Request, refusal Refusal) {
	f.Record(r, refusal)
	w.Header().Add("Vary", "Sec-Fetch-Mode, Accept, X-CSRF") // what the choice depends on
	if after := max(refusal.Kind.RetryAfter(), refusal.Wait); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(after/time.Second)))
	}
	if !WantsPage(r.Header) {
		refusal.Kind.Write(w, r, refusal.Detail)
		return
	}
	p := page.Page{Title: refusal.title(), Text: refusal.Detail, RequestID: problem.RequestID(r.Context())}
	if refusal.Again != "" {
		p.Link, p.LinkText = refusal.Again, "Try again"
	}
	page.Write(w, refusal.Kind.Status(), p)
}

// Record tells log and observer of a refusal that is answered in another way.
func (f Refuser) Record(r *http.Request, refusal Refusal) {
	level := slog.LevelInfo // the browser's doing, which happens
	if refusal.Kind.Status() >= 500 || refusal.Err != nil {
		level = slog.LevelWarn
	}
	attributes := []slog.Attr{
		slog.String("flow", string(refusal.Flow)), slog.String("reason", string(refusal.Reason)),
		slog.String("requestID", problem.RequestID(r.Context())),
	}
	if refusal.Err != nil {
		attributes = append(attributes, slog.Any("error", refusal.Err))
	}
	f.Logger.LogAttrs(r.Context(), level, "flow refused", attributes...)
	f.Observer.Finished(refusal.Flow, refusal.Reason)
}

func (f Refusal) title() string {
	switch {
	case f.Flow == Continue:
		return "You are signed out of this site only"
	case f.Flow == Logout, f.Flow == FrontChannel:
		return "You were not signed out"
	case f.Kind.Status() >= http.StatusInternalServerError:
		return "Sign-in is not possible right now"
	}
	return "You were not signed in"
}

// longestWait bounds what a provider can have us tell people (PAR-09).
const longestWait = time.Hour

// Unavailable is a refusal because of the provider or the store.
func Unavailable(flow Flow, err error, again string) Refusal {
	f := Refusal{Flow: flow, Reason: ReasonOf(err), Err: err, Again: again}
	switch f.Reason {
	case ReasonStoreUnavailable:
		f.Kind, f.Detail = problem.StoreUnavailable, "Sessions cannot be reached right now. Try again in a moment."
	case ReasonSessionUnreadable, ReasonKeyRing:
		f.Kind, f.Detail = problem.SessionUnreadable, "The session cannot be read right now. Try again in a moment."
	case ReasonSessionTooLarge, ReasonInternal:
		f.Kind, f.Detail = problem.Internal, "Something went wrong on our side."
	default:
		f.Kind, f.Detail = problem.ProviderUnavailable, "The identity provider cannot be reached right now. Try again in a moment."
		f.Wait = min(provider.RetryAfter(err), longestWait)
	}
	return f
}
