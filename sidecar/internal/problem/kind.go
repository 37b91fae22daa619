package problem

import (
	"net/http"
	"time"
)

// Kind is a kind of problem. Each has a code, a type URI made of it, a title
// and a status that never change, so that a program can rely on them.
type Kind uint8

// The catalogue. The comment of a kind says when it is used.
const (
	// None is the zero Kind: no problem. It is never written.
	None Kind = iota

	// NoSession: a call needs a session and came without the cookie of one. Carries
	// loginURL.
	NoSession
	// SessionEnded: the call's cookie names a session that is over or that the
	// store does not have. The detail says why, if that is known. Carries loginURL.
	SessionEnded
	// NetworkChanged: the session is bound to another client network than the call
	// came from. The session stays. Carries loginURL.
	NetworkChanged
	// StepUpRequired: the route's upstream wants a stronger or fresher
	// authentication (RFC 9470). Carries loginURL with what it asks for.
	StepUpRequired
	// CSRFHeaderMissing: a call came without the header X-CSRF: 1.
	CSRFHeaderMissing
	// CrossOrigin: a call came from another origin, or could not show that it did
	// not.
	CrossOrigin
	// MethodNotAllowed: the route or endpoint does not take this method. Carries
	// the header Allow.
	MethodNotAllowed
	// BadPath: the path can be read in more than one way.
	BadPath
	// NotFound: there is no such endpoint.
	NotFound
	// NotNavigation: an endpoint for navigations was fetched or framed.
	NotNavigation
	// BadReturnTo: returnTo is not a path of this origin.
	BadReturnTo
	// NotAllowedParameter: the login URL has a parameter that the policy does not
	// let pass.
	NotAllowedParameter
	// BadRequest: a parameter is missing, malformed or given twice.
	BadRequest
	// LoginFailed: the provider's answer was not accepted. Nobody was logged in.
	LoginFailed
	// LoginLoop: this browser has started many logins in a short time, which looks
	// like a page that sends it there again and again.
	LoginLoop
	// TooManyStreams: as many event streams are open as may be.
	TooManyStreams
	// TokenUnavailable: the provider gives no access token for the route's resource
	// or scopes. The session stays.
	TokenUnavailable
	// SendAgain: the route's upstream wanted other credentials, which are there
	// now, and the request's body was too large to be kept.
	SendAgain
	// UpstreamUnreachable: the route's upstream did not answer.
	UpstreamUnreachable
	// UpstreamTimeout: the route's upstream took too long.
	UpstreamTimeout
	// ApplicationUnreachable: the application behind the sidecar did not answer.
	// The connection is closed, so that the next try may reach another replica.
	ApplicationUnreachable
	// StoreUnavailable: the session store cannot be reached. The session may well
	// be alive.
	StoreUnavailable
	// SessionUnreadable: the session is there and cannot be opened.
	SessionUnreadable
	// ProviderUnavailable: the identity provider cannot be reached.
	ProviderUnavailable
	// RequestTimeout: the browser stopped sending in the middle of a request.
	RequestTimeout
	// Internal: a defect of the sidecar.
	Internal

	kinds // how many there are
)

type entry struct {
	code, title string
	status      int
	retryAfter  time.Duration // for 429 and 503: when trying again makes sense
	closes      bool          // the connection is closed after the answer
}

var catalogue = [kinds]entry{
	NoSession:              {code: "no_session", title: "No session", status: http.StatusUnauthorized},
	SessionEnded:           {code: "session_ended", title: "The session has ended", status: http.StatusUnauthorized},
	NetworkChanged:         {code: "network_changed", title: "The client network has changed", status: http.StatusUnauthorized},
	StepUpRequired:         {code: "step_up_required", title: "A stronger or fresher login is required", status: http.StatusUnauthorized},
	CSRFHeaderMissing:      {code: "csrf_header_missing", title: "CSRF header missing", status: http.StatusForbidden},
	CrossOrigin:            {code: "cross_origin", title: "Cross-origin request refused", status: http.StatusForbidden},
	MethodNotAllowed:       {code: "method_not_allowed", title: "Method not allowed", status: http.StatusMethodNotAllowed},
	BadPath:                {code: "bad_path", title: "Ambiguous path", status: http.StatusBadRequest},
	NotFound:               {code: "not_found", title: "Not found", status: http.StatusNotFound},
	NotNavigation:          {code: "not_navigation", title: "For navigations only", status: http.StatusBadRequest},
	BadReturnTo:            {code: "bad_return_to", title: "returnTo is not a path of this site", status: http.StatusBadRequest},
	NotAllowedParameter:    {code: "not_allowed_parameter", title: "Login parameter not allowed", status: http.StatusBadRequest},
	BadRequest:             {code: "bad_request", title: "Bad request", status: http.StatusBadRequest},
	LoginFailed:            {code: "login_failed", title: "Login failed", status: http.StatusBadRequest},
	LoginLoop:              {code: "login_loop", title: "Too many logins in a row", status: http.StatusTooManyRequests, retryAfter: time.Minute},
	TooManyStreams:         {code: "too_many_streams", title: "Too many event streams", status: http.StatusTooManyRequests, retryAfter: 30 * time.Second},
	TokenUnavailable:       {code: "token_unavailable", title: "No token for this route", status: http.StatusBadGateway},
	SendAgain:              {code: "send_again", title: "Send the request again", status: http.StatusServiceUnavailable, retryAfter: time.Second},
	UpstreamUnreachable:    {code: "upstream_unreachable", title: "Upstream unreachable", status: http.StatusBadGateway},
	UpstreamTimeout:        {code: "upstream_timeout", title: "Upstream timed out", status: http.StatusGatewayTimeout},
	ApplicationUnreachable: {code: "application_unreachable", title: "Application unreachable", status: http.StatusServiceUnavailable, retryAfter: time.Second, closes: true},
	StoreUnavailable:       {code: "store_unavailable", title: "Session store unavailable", status: http.StatusServiceUnavailable, retryAfter: 2 * time.Second},
	SessionUnreadable:      {code: "session_unreadable", title: "Session cannot be read", status: http.StatusServiceUnavailable, retryAfter: 5 * time.Second},
	ProviderUnavailable:    {code: "provider_unavailable", title: "Identity provider unavailable", status: http.StatusServiceUnavailable, retryAfter: 2 * time.Second},
	RequestTimeout:         {code: "request_timeout", title: "The request did not arrive in time", status: http.StatusRequestTimeout, closes: true},
	Internal:               {code: "internal", title: "Internal error", status: http.StatusInternalServerError},
}

// typeBase is what a problem's type URI begins with; its code follows. The URI
// identifies the kind and need not lead anywhere (RFC 9457 section 3.1.1).
const typeBase = "https://bff-operator.io/problems/"

// Code is the kind's name in answers, logs and metrics.
func (k Kind) Code() string { return catalogue[k].code }

// Status is the HTTP status code of the kind's answers.
func (k Kind) Status() int { return catalogue[k].status }

// RetryAfter is when trying again makes sense: not zero for status 429 and 503
// alone.
func (k Kind) RetryAfter() time.Duration { return catalogue[k].retryAfter }

// String is Code.
func (k Kind) String() string { return k.Code() }
