package provider

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
	// ReasonKeysOutdated: a token names a key that is not among those known, and
	// newer ones cannot be fetched.
	ReasonKeysOutdated Reason = "provider_keys_outdated"
)

// Reasons why a call of an endpoint failed.
const (
	// ReasonCredentials: what the client authenticates with is not there. Nothing
	// was sent (RFC 10017 section 6.1.3.1).
	ReasonCredentials Reason = "client_credentials_missing"
	// ReasonClientRefused: the provider does not accept this client or its
	// authentication (RFC 6749 section 5.2, invalid_client and
	// unauthorized_client).
	ReasonClientRefused Reason = "client_refused"
	// ReasonGrantRefused: the provider refused the code or refresh token (RFC 6749
	// section 5.2, invalid_grant).
	ReasonGrantRefused Reason = "grant_refused"
	// ReasonTarget: the provider gives no token for a resource or scope (RFC 8707
	// section 2, invalid_target; RFC 6749 section 5.2, invalid_scope).
	ReasonTarget Reason = "target_refused"
	// ReasonProofRefused: the provider refused a DPoP proof, also one with its own
	// nonce (RFC 9449 section 5).
	ReasonProofRefused Reason = "dpop_proof_refused"
	// ReasonRefused: the provider refused the request for another reason.
	ReasonRefused Reason = "request_refused"
	// ReasonResponse: the answer is not what the endpoint answers with.
	ReasonResponse Reason = "token_response_invalid"
	// ReasonTokenType: the access token is of a type this client did not ask for
	// (RFC 6749 section 7.1).
	ReasonTokenType Reason = "token_type_unknown"
	// ReasonNotBound: the access token is a Bearer token, though the policy demands
	// one that is bound to a key (RFC 9449 section 5).
	ReasonNotBound Reason = "access_token_not_bound"
	// ReasonKey: no key for proofs can be made or read. Nothing was sent.
	ReasonKey Reason = "dpop_key_invalid"
	// ReasonNoRefreshToken: a refresh was asked for without a refresh token.
	// Nothing was sent.
	ReasonNoRefreshToken Reason = "refresh_token_missing"
	// ReasonRevocationMissing: the provider has no endpoint to revoke tokens at.
	// Nothing was sent.
	ReasonRevocationMissing Reason = "revocation_endpoint_missing"
	// ReasonRevocationUnsupported: the provider does not revoke tokens of this type
	// (RFC 7009 section 2.2.1), which is a normal answer.
	ReasonRevocationUnsupported Reason = "revocation_unsupported"
)

// Reasons why there is no authorization request.
const (
	// ReasonPushRefused: the provider refused the pushed request (RFC 9126 section
	// 2.3).
	ReasonPushRefused Reason = "push_refused"
	// ReasonPushResponse: the answer has no request_uri (RFC 9126 section 2.2).
	ReasonPushResponse Reason = "push_response_invalid"
	// ReasonPushMissing: the policy demands to push and the provider has no
	// endpoint for it, or the other way round.
	ReasonPushMissing Reason = "push_impossible"
	// ReasonRequestObject: the request cannot be signed, or the provider demands
	// that it is (RFC 9101).
	ReasonRequestObject Reason = "request_object_impossible"
)

// Reasons why an ID token is not accepted (OpenID Connect Core section
// 3.1.3.7).
const (
	ReasonIDTokenMissing   Reason = "id_token_missing"
	ReasonIDTokenMalformed Reason = "id_token_malformed"
	// ReasonIDTokenEncrypted: this client has no key to decrypt with.
	ReasonIDTokenEncrypted Reason = "id_token_encrypted"
	// ReasonIDTokenType: it is a token of another kind.
	ReasonIDTokenType Reason = "id_token_type_mismatch"
	// ReasonIDTokenAlgorithm: it is signed with an algorithm that is not among the
	// agreed ones.
	ReasonIDTokenAlgorithm Reason = "id_token_algorithm_mismatch"
	// ReasonIDTokenSignature: wrong signature or unknown key.
	ReasonIDTokenSignature       Reason = "id_token_signature_invalid"
	ReasonIDTokenIssuer          Reason = "id_token_issuer_mismatch"
	ReasonIDTokenSubject         Reason = "id_token_subject_invalid"
	ReasonIDTokenAudience        Reason = "id_token_audience_mismatch"
	ReasonIDTokenAuthorizedParty Reason = "id_token_authorized_party_mismatch"
	ReasonIDTokenExpired         Reason = "id_token_expired"
	ReasonIDTokenNotYet          Reason = "id_token_not_yet_valid"
	ReasonIDTokenNonce           Reason = "nonce_mismatch"
	ReasonIDTokenAccessHash      Reason = "id_token_at_hash_mismatch"
	// ReasonACR: the user was not authenticated in one of the ways that were asked
	// for (item 12).
	ReasonACR Reason = "acr_insufficient"
	// ReasonAuthTime: the user was authenticated longer ago than was asked for, or
	// the provider does not say when (item 13).
	ReasonAuthTime Reason = "auth_time_too_old"
	// ReasonIDTokenChanged: a refreshed ID token is about another issuer, subject
	// or audience than the first one, or older (section 12.2).
	ReasonIDTokenChanged Reason = "id_token_changed"
	// ReasonAuthTimeChanged: a refreshed ID token is about another authentication
	// (section 12.2).
	ReasonAuthTimeChanged Reason = "auth_time_changed"
)

// Reasons why the answer of the UserInfo endpoint is not accepted (OpenID
// Connect Core section 5.3).
const (
	ReasonUserInfoMissing   Reason = "userinfo_endpoint_missing"
	ReasonUserInfoRefused   Reason = "userinfo_refused"
	ReasonUserInfoResponse  Reason = "userinfo_response_invalid"
	ReasonUserInfoEncrypted Reason = "userinfo_encrypted"
	ReasonUserInfoSignature Reason = "userinfo_signature_invalid"
	// ReasonUserInfoAlgorithm: see ReasonIDTokenAlgorithm.
	ReasonUserInfoAlgorithm Reason = "userinfo_algorithm_mismatch"
	ReasonUserInfoIssuer    Reason = "userinfo_issuer_mismatch"
	ReasonUserInfoAudience  Reason = "userinfo_audience_mismatch"
	// ReasonUserInfoSubject: it is about another user than the ID token.
	ReasonUserInfoSubject Reason = "userinfo_subject_mismatch"
)

// Reasons why a logout token is not accepted (OpenID Connect Back-Channel
// Logout section 2.6).
const (
	ReasonLogoutMalformed Reason = "logout_token_malformed"
	ReasonLogoutEncrypted Reason = "logout_token_encrypted"
	// ReasonLogoutType: it is a token of another kind.
	ReasonLogoutType Reason = "logout_token_type_mismatch"
	// ReasonLogoutAlgorithm: see ReasonIDTokenAlgorithm.
	ReasonLogoutAlgorithm Reason = "logout_token_algorithm_mismatch"
	ReasonLogoutSignature Reason = "logout_token_signature_invalid"
	ReasonLogoutIssuer    Reason = "logout_token_issuer_mismatch"
	ReasonLogoutAudience  Reason = "logout_token_audience_mismatch"
	ReasonLogoutExpired   Reason = "logout_token_expired"
	ReasonLogoutNotYet    Reason = "logout_token_not_yet_valid"
	// ReasonLogoutSubject: it names neither a user nor a session.
	ReasonLogoutSubject Reason = "logout_token_subject_missing"
	// ReasonLogoutEvent: it is not about a logout.
	ReasonLogoutEvent Reason = "logout_token_event_missing"
	// ReasonLogoutNonce: it has a nonce, as ID tokens do.
	ReasonLogoutNonce Reason = "logout_token_nonce_present"
	// ReasonLogoutID: it has no jti.
	ReasonLogoutID Reason = "logout_token_jti_missing"
)
