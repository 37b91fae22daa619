package login

import (
	"errors"

	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
)

// Reasons that only a login has.
const (
	ReasonParameter  flow.Reason = "parameter_invalid"       // one that was to be passed on
	ReasonTargetLink flow.Reason = "target_link_uri_invalid" // OpenID Connect Core section 4
	ReasonOtherUser  flow.Reason = "other_user"              // a step-up came back as somebody else

	// Errors of the provider (OpenID Connect Core section 3.1.2.6; OpenID Connect
	// Core Unmet Authentication Requirements section 2).
	ReasonLoginRequired            flow.Reason = "login_required"
	ReasonConsentRequired          flow.Reason = "consent_required"
	ReasonAccountSelectionRequired flow.Reason = "account_selection_required"
	ReasonUnmetAuthentication      flow.Reason = "unmet_authentication_requirements"
	ReasonProviderFailed           flow.Reason = "provider_failed" // server_error, temporarily_unavailable
)

// Sentences for people. They say what to do, not what was tried.
const (
	sayStartAgain = "This login has expired, was used already, or was started in another browser. Nobody was logged in. Start again."
	sayNoParty    = "The answer of the identity provider was not accepted. Nobody was logged in. Start again, and if that does not help, tell whoever runs this site."
	sayDenied     = "The login was cancelled, or the identity provider did not allow it. Nobody was logged in."
	sayAway       = "The identity provider cannot log anybody in right now. Try again in a moment."
	sayTooWeak    = "The identity provider did not confirm who you are as strongly or as lately as it was asked to. Start again and use the way to sign in that it asks for."
	sayOtherUser  = "Somebody else came back from the identity provider than who was logged in here. Nobody is logged in now. Start again."
	sayNotFetched = "The identity provider sends browsers to this address. It cannot be fetched or framed."
	sayNavigate   = "Let the browser go to this address, for example by location.assign(). It cannot be fetched or framed."
	sayReturnTo   = "The parameter returnTo must stand there once, and be a path of this site, such as /orders?page=2."
	sayTargetLink = "The parameter target_link_uri must stand there once, and be an address of this site."
	sayISS        = "The parameter iss must stand there once, and be the issuer identifier of this site's identity provider."
	sayReadable   = "The parameters of this address cannot be read."
	sayForm       = "Send the parameters as a form: Content-Type application/x-www-form-urlencoded, 64 KiB at most."
	sayLoop       = "You were signed in several times within seconds, and this page keeps asking for it again. To go on, try again. If that does not help, tell whoever runs this site."
)

// badRequest refuses a login whose parameters are wrong.
func badRequest(reason flow.Reason, detail string) flow.Refusal {
	return flow.Refusal{Flow: flow.Login, Reason: reason, Kind: problem.BadRequest, Detail: detail}
}

// badParameter refuses a login because of a parameter that was to be passed on.
func badParameter(err *parameterError) flow.Refusal {
	f := badRequest(err.reason, "The parameter "+string(err.name)+" "+err.say+".")
	if err.reason == flow.ReasonNotAllowed {
		f.Kind = problem.NotAllowedParameter
	}
	return f
}

// errorAnswer refuses a callback because the provider said no.
func errorAnswer(reason flow.Reason) flow.Refusal {
	f := flow.Refusal{Reason: reason, Kind: problem.LoginFailed, Detail: sayNoParty}
	switch reason {
	case flow.ReasonAccessDenied:
		f.Detail = sayDenied
	case ReasonUnmetAuthentication:
		f.Detail = sayTooWeak
	case ReasonProviderFailed:
		f.Kind, f.Detail = problem.ProviderUnavailable, sayAway
	}
	return f
}

// notExchanged refuses a callback because its code was not redeemed.
func notExchanged(err error) flow.Refusal {
	if errors.Is(err, provider.ErrUnavailable) {
		return flow.Unavailable(flow.Callback, err, "")
	}
	f := flow.Refusal{Reason: flow.ReasonOf(err), Err: err, Kind: problem.LoginFailed, Detail: sayNoParty}
	switch provider.ReasonOf(err) {
	case provider.ReasonACR, provider.ReasonAuthTime: // STEP-05
		f.Detail = sayTooWeak
	}
	return f
}
