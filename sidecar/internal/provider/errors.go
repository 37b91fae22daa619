package provider

import (
	"errors"
	"fmt"
)

// ErrUnavailable says that the provider cannot be used right now: it is
// unreachable, too slow, overloaded, or answers nonsense where metadata or keys
// should be. It may pass; nothing is known about any grant or session.
var ErrUnavailable = errors.New("identity provider unavailable")

// Reason names a cause of failure, for logs and as a metric's label.
type Reason string

// Reasons why the provider cannot be used right now. Errors with these match
// ErrUnavailable.
const (
	// ReasonUnreachable: no answer, or not in time.
	ReasonUnreachable Reason = "provider_unreachable"
	// ReasonStatus: the provider answered 429, 5xx, or metadata or keys with any
	// status but 200.
	ReasonStatus Reason = "provider_status"
	// ReasonMetadata: the discovery document is not one, or lacks what this client
	// needs.
	ReasonMetadata Reason = "provider_metadata_invalid"
	// ReasonIssuerMismatch: the discovery document names another issuer (OpenID
	// Connect Discovery section 4.3).
	ReasonIssuerMismatch Reason = "provider_issuer_mismatch"
	// ReasonKeys: the provider's keys are not a JSON Web Key Set.
	ReasonKeys Reason = "provider_keys_invalid"
)

// Reasons why a call of the token or revocation endpoint failed.
const (
	// ReasonClientSecret: there is no client secret to authenticate with. Nothing
	// was sent (RFC 10017 section 6.1.3.1).
	ReasonClientSecret Reason = "client_secret_missing"
	// ReasonClientRefused: the provider does not accept this client or its
	// authentication (RFC 6749 section 5.2, invalid_client and
	// unauthorized_client).
	ReasonClientRefused Reason = "client_refused"
	// ReasonGrantRefused: the provider refused the code or refresh token (RFC 6749
	// section 5.2, invalid_grant).
	ReasonGrantRefused Reason = "grant_refused"
	// ReasonRefused: the provider refused the request for another reason.
	ReasonRefused Reason = "request_refused"
	// ReasonResponse: the answer is not a token response (RFC 6749 section 5.1).
	ReasonResponse Reason = "token_response_invalid"
	// ReasonTokenType: the access token is not a Bearer token (RFC 6749 section
	// 7.1).
	ReasonTokenType Reason = "token_type_unknown"
	// ReasonNoRefreshToken: a refresh was asked for without a refresh token.
	// Nothing was sent.
	ReasonNoRefreshToken Reason = "refresh_token_missing"
)

// Reasons why an ID token is not accepted (OpenID Connect Core section
// 3.1.3.7).
const (
	ReasonIDTokenMissing   Reason = "id_token_missing"
	ReasonIDTokenMalformed Reason = "id_token_malformed"
	// ReasonIDTokenSignature: wrong signature, unknown key, or an algorithm that
	// is not among the agreed ones.
	ReasonIDTokenSignature       Reason = "id_token_signature_invalid"
	ReasonIDTokenIssuer          Reason = "id_token_issuer_mismatch"
	ReasonIDTokenSubject         Reason = "id_token_subject_invalid"
	ReasonIDTokenAudience        Reason = "id_token_audience_mismatch"
	ReasonIDTokenAuthorizedParty Reason = "id_token_authorized_party_mismatch"
	ReasonIDTokenExpired         Reason = "id_token_expired"
	ReasonIDTokenNotYet          Reason = "id_token_not_yet_valid"
	ReasonIDTokenNonce           Reason = "nonce_mismatch"
	ReasonIDTokenAccessHash      Reason = "id_token_at_hash_mismatch"
	// ReasonIDTokenChanged: a refreshed ID token is about another issuer, subject
	// or audience than the first one (OpenID Connect Core section 12.2).
	ReasonIDTokenChanged Reason = "id_token_changed"
)

// Error is every failure this package returns. Its text holds no token, code,
// secret or text of the provider, so it may be logged.
type Error struct {
	// Reason is the stable name of the cause.
	Reason Reason

	attempt string // what was attempted
	cause   error  // nil, or an error whose text is safe to log
}

// Error says what was attempted and why it failed.
func (e *Error) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("%s: %s", e.attempt, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %v", e.attempt, e.Reason, e.cause)
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// Is makes an Error match ErrUnavailable, by its reason.
func (e *Error) Is(target error) bool {
	if target != ErrUnavailable {
		return false
	}
	switch e.Reason {
	case ReasonUnreachable, ReasonStatus, ReasonMetadata, ReasonIssuerMismatch, ReasonKeys:
		return true
	}
	return false
}

// ReasonOf is the reason of the first Error in err's tree, or "" if there is
// none.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

func failure(attempt string, reason Reason, cause error) *Error {
	return &Error{Reason: reason, attempt: attempt, cause: cause}
}
