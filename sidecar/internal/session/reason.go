package session

import (
	"errors"
	"fmt"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// EndReason says why a session has ended. It is kept as a note in the store for
// store.NoteTime, so that every replica can say it.
type EndReason string

// Reasons.
const (
	// EndLogout: the user has logged out here.
	EndLogout EndReason = "logout"
	// EndBackChannel: the provider has said so (OpenID Connect Back-Channel Logout).
	EndBackChannel EndReason = "backchannel_logout"
	// EndFrontChannel: the provider has said so through the browser.
	EndFrontChannel EndReason = "frontchannel_logout"
	// EndReplaced: a later login of the same browser took its place.
	EndReplaced EndReason = "replaced"
	// EndRefused: the provider no longer takes its refresh token, or has answered
	// with the tokens of somebody else.
	EndRefused EndReason = "refused"
	// EndLimit: the user has logged in elsewhere more often than may be.
	EndLimit EndReason = "session_limit"
	// EndNetwork: it was used from another network than it is bound to.
	EndNetwork EndReason = "network_changed"
	// EndExpired: its lifetime or idle time is over, or its access token is and
	// there is nothing to renew it with.
	EndExpired EndReason = "expired"
	// EndUnknown: it is not there, and nobody has left a note.
	EndUnknown EndReason = "unknown"
)

func (r EndReason) known() bool {
	switch r {
	case EndLogout, EndBackChannel, EndFrontChannel, EndReplaced, EndRefused, EndLimit, EndNetwork, EndExpired:
		return true
	}
	return false
}

// endedError is ErrNone or ErrEnded with its reason.
type endedError struct {
	error
	reason EndReason
}

func (e *endedError) Unwrap() error { return e.error }

// ReasonOf says why a session is not there any more, of an error that matches
// ErrNone or ErrEnded. It is EndUnknown when nothing is known: there may never
// have been one.
func ReasonOf(err error) EndReason {
	if ended, ok := errors.AsType[*endedError](err); ok {
		return ended.reason
	}
	return EndUnknown
}

func because(err error, reason EndReason) error { return &endedError{err, reason} }

// fromStore turns a store's error into one of this package. What a store does
// not know how to say is unavailable: it says nothing about the session. That
// somebody has the lease or was first is for the caller to understand.
func fromStore(err error) error {
	switch gone, ok := errors.AsType[*store.GoneError](err); {
	case err == nil, errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrHeld):
		return err
	case ok && EndReason(gone.Note).known(): // the store's content is not ours to trust
		return because(ErrNone, EndReason(gone.Note))
	case errors.Is(err, store.ErrNotFound):
		return ErrNone
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
