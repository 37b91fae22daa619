package provider

import (
	"context"
	"net/url"
)

// EndSession is a request that the browser makes to log out at the provider
// too.
type EndSession struct {
	// URL is where a form goes by POST.
	URL string
	// Form is what it holds.
	Form url.Values
}

// EndSession is how to log out at the provider too, and to come back to
// postLogoutRedirect, which must be registered (OpenID Connect RP-Initiated
// Logout section 2). With an ID token as hint the provider need not ask the
// user; it may have expired. It returns false if the provider has no such
// endpoint, or cannot be asked before ctx ends.
func (c *Client) EndSession(ctx context.Context, idToken, postLogoutRedirect string) (EndSession, bool) {
	endpoint, ok := c.endSessionEndpoint(ctx)
	if !ok {
		return EndSession{}, false
	}
	form := c.endSessionForm(postLogoutRedirect)
	if idToken != "" {
		form.Set("id_token_hint", idToken)
	}
	return EndSession{URL: endpoint.String(), Form: form}, true
}

// EndSessionURL is EndSession as a URL. It leaves id_token_hint out: no token
// ever stands in a URL. A provider may then ask the user to confirm.
func (c *Client) EndSessionURL(ctx context.Context, postLogoutRedirect string) (string, bool) {
	endpoint, ok := c.endSessionEndpoint(ctx)
	if !ok {
		return "", false
	}
	query := endpoint.Query()
	for name, values := range c.endSessionForm(postLogoutRedirect) {
		query[name] = values
	}
	endpoint.RawQuery = query.Encode()
	return endpoint.String(), true
}

func (c *Client) endSessionForm(postLogoutRedirect string) url.Values {
	return url.Values{"client_id": {c.config.Provider.ClientID}, "post_logout_redirect_uri": {postLogoutRedirect}}
}

func (c *Client) endSessionEndpoint(ctx context.Context) (*url.URL, bool) {
	s, err := c.snapshot.get(ctx)
	if err != nil || s.metadata.EndSessionEndpoint == "" {
		return nil, false
	}
	endpoint, err := url.Parse(s.metadata.EndSessionEndpoint)
	return endpoint, err == nil
}
