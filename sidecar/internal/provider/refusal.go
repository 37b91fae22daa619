package provider

import (
	"encoding/json"
	"errors"
	"net/http"

	"golang.org/x/oauth2"
)

// refusalReason explains an error response of an endpoint that authenticates
// the client (RFC 6749 section 5.2). Of the answer only the error code is looked
// at, which selects a reason.
func refusalReason(status int, code string) Reason {
	switch {
	case isTemporary(status):
		return ReasonStatus
	case status != http.StatusBadRequest && status != http.StatusUnauthorized:
		return ReasonResponse
	}
	switch code {
	case "invalid_grant":
		return ReasonGrantRefused
	case "invalid_client", "unauthorized_client":
		return ReasonClientRefused
	case "invalid_target", "invalid_scope":
		return ReasonTarget
	case "invalid_dpop_proof", "use_dpop_nonce":
		return ReasonProofRefused
	case "unsupported_token_type":
		return ReasonRevocationUnsupported
	}
	return ReasonRefused
}

// errorCode reads an error response, and returns "" if it is none.
func errorCode(body []byte) string {
	var response struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &response) != nil {
		return ""
	}
	return response.Error
}

// tokenFailure explains a failed call of the token endpoint.
func (c *Client) tokenFailure(attempt string, err error) *Error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return callFailure(attempt, err, ReasonResponse)
	}
	status := refused.Response.StatusCode
	return answered(attempt, refusalReason(status, refused.ErrorCode), status, refused.Response.Header, c.config.Clock())
}

// refused explains an answer that is an error response.
func (c *Client) refused(attempt string, a answer) *Error {
	return answered(attempt, refusalReason(a.status, errorCode(a.body)), a.status, a.header, c.config.Clock())
}
