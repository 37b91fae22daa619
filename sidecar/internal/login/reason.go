package login

import (
	"errors"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

// Flow is what a request is part of.
type Flow string

// Flows.
const (
	FlowLogin      Flow = "login"      // on the way to the provider
	FlowCallback   Flow = "callback"   // on the way back
	FlowSession    Flow = "session"    // a script asks who is logged in
	FlowLogout     Flow = "logout"     //
	FlowRevocation Flow = "revocation" // of the refresh token, after a logout
)

// Reason is how a flow ended: OK, one of the reasons below, or a
// provider.Reason. There are few and they stay the same, so they can be a
// metric's label.
type Reason string

// Reasons.
const (
	OK Reason = "ok"

	// Of a request that should not have come.
	ReasonNotNavigation Reason = "not_navigation"
	ReasonReturnTo      Reason = "return_to_invalid"
	ReasonParameters    Reason = "parameters_invalid" // given twice, or not decodable
	ReasonSID           Reason = "sid_mismatch"

	// Of an authorization response (RFC 6749 section 4.1.2).
	ReasonStateMissing       Reason = "state_missing"
	ReasonStateMismatch      Reason = "state_mismatch"
	ReasonTransactionMissing Reason = "transaction_missing" // another browser, a second time, or long ago
	ReasonTransactionInvalid Reason = "transaction_invalid" // not sealed by us, for this
	ReasonTransactionExpired Reason = "transaction_expired"
	ReasonISSMissing         Reason = "iss_missing"  // RFC 9207 section 2.4
	ReasonISSMismatch        Reason = "iss_mismatch" // RFC 9207 section 2.4
	ReasonCodeMissing        Reason = "code_missing"
	ReasonAccessDenied       Reason = "access_denied"
	ReasonProviderError      Reason = "provider_error" // any other error response

	// Of this side.
	ReasonKeyRing           Reason = "key_ring_missing"
	ReasonStoreUnavailable  Reason = "store_unavailable"
	ReasonSessionUnreadable Reason = "session_unreadable"
	ReasonSessionTooLarge   Reason = "session_too_large"
	ReasonNoSession         Reason = "no_session"
	ReasonBusy              Reason = "busy" // too many revocations at once
	ReasonInternal          Reason = "internal"
)

// Observer is told how every flow ended. It must not block, and may be called
// by many goroutines at once.
type Observer interface {
	Finished(flow Flow, reason Reason)
}

type nobody struct{}

func (nobody) Finished(Flow, Reason) {}

// reasonOf is the reason of an error of the provider or the sessions.
func reasonOf(err error) Reason {
	if reason := provider.ReasonOf(err); reason != "" {
		return Reason(reason)
	}
	switch {
	case errors.Is(err, errNoKeyRing):
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
