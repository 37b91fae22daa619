// Package flow is what the endpoints for browsers have in common: how they read a
// form, how they end, how they refuse, and how they tell a person from a script.
package flow

import (
	"errors"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Flow is what a request is part of.
type Flow string

// Flows.
const (
	Login        Flow = "login"               // on the way to the provider
	Callback     Flow = "callback"            // on the way back
	Session      Flow = "session"             // a script asks who is logged in
	Logout       Flow = "logout"              // here
	Continue     Flow = "logout_continue"     // the rest of a logout, at the provider
	BackChannel  Flow = "backchannel_logout"  // by the provider
	FrontChannel Flow = "frontchannel_logout" // by the provider, in a frame
	Revocation   Flow = "revocation"          // of tokens that are of no use any more
	Events       Flow = "events"              // a page listens to what happens to its session
)

// Observer is told how every flow ended. It must not block, and may be called
// by many goroutines at once.
type Observer interface {
	Finished(flow Flow, reason Reason)
}

// Nobody is an Observer that does nothing.
type Nobody struct{}

// Finished does nothing.
func (Nobody) Finished(Flow, Reason) {}

// ErrNoKeyRing says that the namespace's key ring is not there.
var ErrNoKeyRing = errors.New("there is no key ring")

// ReasonOf is the reason of an error of the provider or the sessions.
func ReasonOf(err error) Reason {
	if reason := provider.ReasonOf(err); reason != "" {
		return Reason(reason)
	}
	switch {
	case errors.Is(err, ErrNoKeyRing):
		return ReasonKeyRing
	case errors.Is(err, session.ErrNone):
		return ReasonNoSession
	case errors.Is(err, session.ErrUnavailable):
		return ReasonStoreUnavailable
	case errors.Is(err, session.ErrUnreadable):
		return ReasonSessionUnreadable
	case errors.Is(err, session.ErrTooLarge):
		return ReasonSessionTooLarge
	}
	return ReasonInternal
}
