package provider

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
)

// AuthorizationRequest is what differs from one authorization request to the
// next. State, Nonce and CodeVerifier are random and used once.
type AuthorizationRequest struct {
	// State binds the answer to the browser (RFC 6749 section 10.12).
	State string
	// Nonce binds the ID token to the request (OpenID Connect Core section
	// 3.1.2.1).
	Nonce string
	// CodeVerifier binds the code to the request (RFC 7636). Only its S256
	// challenge is sent.
	CodeVerifier string
	// Key is what the code and the tokens are bound to (RFC 9449 section 10); nil:
	// nothing.
	Key *dpop.Key
	// Parameters are what the page asks for.
	Parameters Parameters
}

// Parameters are those of an authorization request that a page may set (OpenID
// Connect Core section 3.1.2.1). Each is left out when it is zero.
type Parameters struct {
	Prompt    string
	LoginHint string
	// ACRValues go in place of the policy's. The login must fulfil both.
	ACRValues []string
	// MaxAge goes in place of the policy's if it is shorter.
	MaxAge    *time.Duration
	UILocales string
}

// AuthorizationURL is where the browser goes to log in (OpenID Connect Core
// section 3.1.2.1). Depending on the policy and the provider it holds the
// parameters, a request object (RFC 9101), or the name of a request that has
// been pushed (RFC 9126). It is good for one login.
//
// Its error matches ErrUnavailable if the provider cannot be used right now.
func (c *Client) AuthorizationURL(ctx context.Context, r AuthorizationRequest) (string, error) {
	s, err := c.snapshot.get(ctx)
	if err != nil {
		return "", err
	}
	form := c.parameters(s.metadata, r)
	if form, err = c.signedRequest(s.metadata, form); err != nil {
		return "", err
	}
	if form, err = c.pushed(ctx, s, r.Key, form); err != nil {
		return "", err
	}
	endpoint, err := url.Parse(s.metadata.AuthorizationEndpoint)
	if err != nil {
		return "", failure("make an authorization request", ReasonMetadata, nil)
	}
	query := endpoint.Query()
	for name, values := range form {
		query[name] = values
	}
	endpoint.RawQuery = query.Encode()
	return endpoint.String(), nil
}

// parameters are those of a plain authorization request.
func (c *Client) parameters(m metadata, r AuthorizationRequest) url.Values {
	p := c.config.Provider
	form := url.Values{
		"response_type": {"code"}, "client_id": {p.ClientID}, "redirect_uri": {c.config.RedirectURL},
		"scope": {strings.Join(p.Scopes, " ")}, "state": {r.State}, "nonce": {r.Nonce},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(r.CodeVerifier)}, "code_challenge_method": {"S256"},
	}
	set := func(name, value string) {
		if value != "" {
			form.Set(name, value)
		}
	}
	standing := ""
	for _, further := range p.AuthorizationParameters {
		switch {
		case further.Name == "prompt":
			standing = further.Value
		case !slices.Contains(v1alpha1.ReservedParameters, further.Name):
			set(further.Name, further.Value)
		}
	}
	if p.ResponseMode == v1alpha1.ResponseModeFormPost {
		set("response_mode", string(p.ResponseMode)) // the other one is the default (OIDC-03)
	}
	if len(p.Resources) > 0 {
		form["resource"] = p.Resources
	}
	acrValues := r.Parameters.ACRValues
	if len(acrValues) == 0 {
		acrValues = c.config.ACRValues
	}
	set("acr_values", strings.Join(acrValues, " "))
	if maxAge := shorter(c.config.MaxAge, r.Parameters.MaxAge); maxAge != nil {
		set("max_age", strconv.FormatInt(int64(*maxAge/time.Second), 10))
	}
	set("prompt", prompt(r.Parameters.Prompt, standing, p.Scopes, m.PromptValues))
	set("login_hint", r.Parameters.LoginHint)
	set("ui_locales", r.Parameters.UILocales)
	if r.Key != nil {
		set("dpop_jkt", r.Key.Thumbprint())
	}
	return form
}

// prompt is what the page asks for, or else the policy. Where offline_access
// demands consent (OpenID Connect Core section 11, OIDC-15) the page's prompt has
// it added, unless the policy decides otherwise, nobody is to be asked, or the
// provider says that it knows no consent.
func prompt(asked, standing string, scopes, known []string) string {
	const none, consent = "none", "consent"
	prompts := strings.Fields(asked)
	switch {
	case standing != "":
		return cmp.Or(asked, standing)
	case !slices.Contains(scopes, "offline_access"), len(known) > 0 && !slices.Contains(known, consent),
		slices.Contains(prompts, none), slices.Contains(prompts, consent):
		return asked
	}
	return strings.Join(append(prompts, consent), " ")
}
