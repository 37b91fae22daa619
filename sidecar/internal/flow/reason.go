package flow

// Reason is how a flow ended: OK, one of the reasons below, or a
// provider.Reason. There are few and they stay the same, so they can be a
// metric's label.
type Reason string

// OK is the Reason of what succeeded.
const OK Reason = "ok"

// Reasons of a request that should not have come.
const (
	ReasonMethod        Reason = "method_not_allowed"
	ReasonNotNavigation Reason = "not_navigation"
	ReasonReturnTo      Reason = "return_to_invalid"
	ReasonParameters    Reason = "parameters_invalid"    // given twice, or not decodable
	ReasonNotAllowed    Reason = "parameter_not_allowed" // by the policy
	ReasonUnsupported   Reason = "parameter_unsupported" // by the provider's metadata
	ReasonIssuer        Reason = "issuer_mismatch"       // of a login or logout that somebody else initiated
	ReasonLoop          Reason = "login_loop"
	ReasonSID           Reason = "sid_mismatch"
	ReasonReplayed      Reason = "logout_token_replayed"
	ReasonDisabled      Reason = "disabled"              // by the policy
	ReasonBody          Reason = "body_invalid"          // too large, too slow, or of another media type
	ReasonTicket        Reason = "logout_ticket_missing" // the rest of a logout that is over, or was never begun
)

// Reasons of an authorization response (RFC 6749 section 4.1.2).
const (
	ReasonStateMissing       Reason = "state_missing"
	ReasonStateMismatch      Reason = "state_mismatch"
	ReasonTransactionMissing Reason = "transaction_missing" // another browser, a second time, or long ago
	ReasonTransactionInvalid Reason = "transaction_invalid" // not sealed by us, for this
	ReasonTransactionExpired Reason = "transaction_expired"
	ReasonISSMissing         Reason = "iss_missing"  // RFC 9207 section 2.4
	ReasonISSMismatch        Reason = "iss_mismatch" // RFC 9207 section 2.4
	ReasonCodeMissing        Reason = "code_missing"
	ReasonAccessDenied       Reason = "access_denied"
	ReasonInteraction        Reason = "interaction_required" // a silent login that needs the user
	ReasonProviderError      Reason = "provider_error"       // any other error response
)

// Reasons of this side.
const (
	ReasonKeyRing           Reason = "key_ring_missing"
	ReasonStoreUnavailable  Reason = "store_unavailable"
	ReasonSessionUnreadable Reason = "session_unreadable"
	ReasonSessionTooLarge   Reason = "session_too_large"
	ReasonNoSession         Reason = "no_session"
	ReasonBusy              Reason = "busy" // too much of this is under way
	ReasonInternal          Reason = "internal"
)
