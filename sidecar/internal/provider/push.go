package provider

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
)

// whether is what pushPlan decides.
type whether int

const (
	doNotPush  whether = iota
	pushIfTold         // and send the parameters with the browser if the provider refuses
	push
)

// pushPlan decides whether an authorization request is pushed (RFC 9126 section
// 5). Its error says what to change.
func pushPlan(mode v1alpha1.PushedAuthorizationRequests, endpoint string, required bool) (whether, error) {
	switch {
	case mode == v1alpha1.PushDisabled && required:
		return doNotPush, errors.New("the provider demands pushed authorization requests: set pushedAuthorizationRequests to Auto")
	case mode == v1alpha1.PushDisabled:
		return doNotPush, nil
	case endpoint == "" && (mode == v1alpha1.PushRequired || required):
		return doNotPush, errors.New("the provider has no usable pushed_authorization_request_endpoint")
	case endpoint == "":
		return doNotPush, nil
	case mode == v1alpha1.PushRequired || required:
		return push, nil
	}
	return pushIfTold, nil
}

// pushed sends the parameters to the provider and returns what stands for them
// (RFC 9126 section 4), or the parameters if they are not to be pushed.
//
// With Auto, a provider that has the endpoint and refuses this client there is
// asked in the usual way: some serve pushed requests to some of their clients
// alone. One that does not answer is not: then nothing is known.
func (c *Client) pushed(ctx context.Context, s *snapshot, key *dpop.Key, form url.Values) (url.Values, error) {
	const attempt = "push the authorization request"
	plan, err := pushPlan(c.config.Provider.PushedAuthorizationRequests, s.metadata.PushEndpoint, s.metadata.RequirePush)
	switch {
	case err != nil:
		return nil, failure(attempt, ReasonPushMissing, err)
	case plan == doNotPush:
		return form, nil
	}
	a, err := c.post(ctx, attempt, s, s.metadata.PushEndpoint, key, form)
	if err != nil {
		return nil, err
	}
	requestURI, failed := c.readPushed(attempt, a)
	switch {
	case failed == nil:
		// These two and no other (PAR-04).
		return url.Values{"client_id": form["client_id"], "request_uri": {requestURI}}, nil
	case plan == push || IsTemporary(failed):
		return nil, failed
	}
	c.config.Logger.LogAttrs(ctx, slog.LevelWarn, "authorization request not pushed, sent with the browser instead",
		slog.String("issuer", c.Issuer()), slog.String("reason", string(failed.Reason)), slog.Any("error", failed))
	return form, nil
}

// readPushed reads the answer to a pushed request (RFC 9126 sections 2.2 and
// 2.3).
func (c *Client) readPushed(attempt string, a answer) (requestURI string, failed *Error) {
	if a.status != http.StatusCreated {
		failed := c.refused(attempt, a)
		if failed.Reason == ReasonRefused || failed.Reason == ReasonResponse {
			failed.Reason = ReasonPushRefused
		}
		return "", failed
	}
	var response struct {
		RequestURI string `json:"request_uri"`
	}
	if json.Unmarshal(a.body, &response) != nil || response.RequestURI == "" {
		return "", failure(attempt, ReasonPushResponse, nil)
	}
	return response.RequestURI, nil
}
