package proxy

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// errNoCookie says that a request names no session.
var errNoCookie = errors.New("no session cookie")

// held says that a session is bound to another network.
type held struct{ gate.Verdict }

func (held) Error() string { return "the session is bound to another network" }

// isOver says whether a session is known to be over, and not merely out of
// reach (GAP-07).
func isOver(err error) bool {
	return errors.Is(err, session.ErrNone) || errors.Is(err, session.ErrEnded)
}

func (c *Calls) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, session.ErrEnded) {
		c.Ended(problem.WithRequestID(r.Context(), problem.RequestIDOf(w)))
	}
	c.Common.refuse(w, r, err)
}

// refuse answers a request whose session could not be used.
func (c *Common) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the browser has gone
	}
	if errors.Is(err, errNoCookie) {
		problem.NoSession.Write(w, r, "Log in first.", problem.LoginURL(c.LoginURL))
		return
	}
	if verdict, ok := errors.AsType[held](err); ok {
		if verdict.Kind == problem.SessionEnded {
			http.SetCookie(w, session.ExpiredCookie())
		}
		verdict.Kind.Write(w, r, verdict.Detail, problem.LoginURL(c.LoginURL))
		return
	}
	if isOver(err) {
		c.over(w, r, session.ReasonOf(err))
		return
	}
	if errors.Is(err, session.ErrTarget) || errors.Is(err, errPresent) {
		c.log(w, r, problem.TokenUnavailable, "no token for a route", err)
		problem.TokenUnavailable.Write(w, r, "The identity provider gives no token for this route. Its operator has to look into that; logging in again does not help.")
		return
	}
	kind := kindOf(err)
	c.log(w, r, kind, "session not usable", err)
	kind.Write(w, r, "The session is kept. Try again in a moment.")
}

// over answers a request whose session is over.
func (c *Common) over(w http.ResponseWriter, r *http.Request, reason session.EndReason) {
	if reason != session.EndReplaced {
		// A session that a newer one has replaced: the browser has that one's cookie,
		// or is about to get it.
		http.SetCookie(w, session.ExpiredCookie()) // BFF-13
	}
	problem.SessionEnded.Write(w, r, whyEnded(reason), problem.LoginURL(c.LoginURL))
}

func (c *Common) log(w http.ResponseWriter, r *http.Request, kind problem.Kind, message string, err error) {
	c.Logger.LogAttrs(r.Context(), slog.LevelWarn, message, slog.String("code", kind.Code()),
		slog.String("requestID", problem.RequestIDOf(w)), slog.Any("error", err))
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

// whyEnded tells a user why a session is over.
func whyEnded(reason session.EndReason) string {
	switch reason {
	case session.EndLogout:
		return "You have logged out. Log in again."
	case session.EndBackChannel, session.EndFrontChannel:
		return "The identity provider has ended this login. Log in again."
	case session.EndReplaced:
		return "A newer login in this browser has replaced this one. Load the page again."
	case session.EndRefused:
		return "The identity provider does not renew this login any more. Log in again."
	case session.EndLimit:
		return "A newer login of this user has ended this one, since there may be only so many at once. Log in again."
	case session.EndNetwork:
		return "The session was used from another network and has ended. Log in again."
	case session.EndExpired:
		return "The session was too old, or was not used for too long. Log in again."
	}
	return "The session is over, or the session store does not have it any more. Log in again."
}

// refusal is an answer in place of the upstream's.
type refusal func(http.ResponseWriter, *http.Request)

func (refusal) Error() string { return "answered in the upstream's place" }

// refusal is the refusal of a call whose session or token could not be used.
func (c *Calls) refusal(err error) error {
	return refusal(func(w http.ResponseWriter, r *http.Request) { c.refuse(w, r, err) })
}

func unreachable(w http.ResponseWriter, r *http.Request, timedOut bool) {
	if timedOut {
		problem.UpstreamTimeout.Write(w, r, "The service behind this route did not answer in time.")
		return
	}
	problem.UpstreamUnreachable.Write(w, r, "The service behind this route did not answer.")
}
