package idp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// Config is everything the provider is told. The zero value of a duration or limit means its default.
type Config struct {
	// Issuer is the provider's identity and the base of every URL it publishes: scheme, host and port, with no path
	// and no trailing slash. Plain http is accepted only for localhost, *.localhost and loopback addresses. Required.
	Issuer string

	// Clients that may ask for logins. At least one.
	Clients []Client

	// Users that may log in. At least one.
	Users []User

	// AccessTokenLifetime is how long an access token is valid. Default 60 seconds: short, so that a refresh can be
	// watched without waiting.
	AccessTokenLifetime time.Duration

	// IDTokenLifetime is how long an ID token is valid. Default 5 minutes.
	IDTokenLifetime time.Duration

	// GrantLifetime is how long after the login its refresh tokens work, however often they are rotated. Default 24 hours.
	GrantLifetime time.Duration

	// SessionLifetime is how long the browser stays logged in at the provider, so that further authorization requests
	// need no password. Default 8 hours.
	SessionLifetime time.Duration

	// MaxEntries bounds each kind of thing kept in memory (pending logins, codes, grants, access tokens, browser
	// sessions). A full table forgets its oldest entry. Default 10000.
	MaxEntries int

	// ShowCredentials prints the users and their passwords on the login page. For demos.
	ShowCredentials bool

	// Events, if set, is told what happened, once per request and before the response is written. It is called from
	// many goroutines at once and must be fast. No event carries a secret.
	Events func(Event)

	// Logger receives one line per event. Default: nothing is logged.
	Logger *slog.Logger
}

// Client is a registered relying party (RFC 6749 section 2). All clients are confidential.
type Client struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`

	// AuthMethod is how the client authenticates at the token and revocation endpoints: client_secret_basic (the
	// default) or client_secret_post. The other one is refused.
	AuthMethod string `json:"authMethod,omitempty"`

	// RedirectURIs are compared as exact strings. At least one.
	RedirectURIs []string `json:"redirectURIs"`

	// PostLogoutRedirectURIs are where the browser may be sent after RP-initiated logout; exact strings.
	PostLogoutRedirectURIs []string `json:"postLogoutRedirectURIs,omitempty"`

	// Audience is the aud of this client's access tokens: the API they are for. Default: "api". It must not contain
	// the client's ID, which is the audience of ID tokens, or an API could mistake one kind of token for the other.
	Audience []string `json:"audience,omitempty"`
}

// User is somebody who can log in.
type User struct {
	Username string `json:"username"`
	Password string `json:"password"`

	// Subject is the sub claim. Default: the username.
	Subject string `json:"subject,omitempty"`

	// Name and Email are released for the scopes profile and email (OpenID Connect Core section 5.4).
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`

	// Claims are released for the scope profile, beside the standard ones. They cannot replace a standard claim.
	Claims map[string]any `json:"claims,omitempty"`
}

// DemoUsers returns alice and bob, whose passwords are alice-demo-pw and bob-demo-pw.
func DemoUsers() []User {
	return []User{
		{Username: "alice", Password: "alice-demo-pw", Subject: "alice", Name: "Alice Liddell", Email: "alice@example.com",
			Claims: map[string]any{"roles": []string{"customer", "admin"}}},
		{Username: "bob", Password: "bob-demo-pw", Subject: "bob", Name: "Bob Sawyer", Email: "bob@example.com",
			Claims: map[string]any{"roles": []string{"customer"}}},
	}
}

const (
	defaultAccessTokenLifetime = 60 * time.Second
	defaultIDTokenLifetime     = 5 * time.Minute
	defaultGrantLifetime       = 24 * time.Hour
	defaultSessionLifetime     = 8 * time.Hour
	defaultMaxEntries          = 10_000
	defaultAudience            = "api"

	pendingLoginLifetime = 10 * time.Minute
	codeLifetime         = time.Minute
)

// complete returns the configuration with its defaults, deeply enough copied that the caller's slices can change, or
// every mistake in it.
func (c Config) complete() (Config, error) {
	var errs []error
	if err := checkIssuer(c.Issuer); err != nil {
		errs = append(errs, err)
	}

	orDefault(&c.AccessTokenLifetime, defaultAccessTokenLifetime)
	orDefault(&c.IDTokenLifetime, defaultIDTokenLifetime)
	orDefault(&c.GrantLifetime, defaultGrantLifetime)
	orDefault(&c.SessionLifetime, defaultSessionLifetime)
	orDefault(&c.MaxEntries, defaultMaxEntries)
	if min(c.AccessTokenLifetime, c.IDTokenLifetime, c.GrantLifetime, c.SessionLifetime) < 0 || c.MaxEntries < 0 {
		errs = append(errs, errors.New("lifetimes and maxEntries must be positive"))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}

	c.Clients = slices.Clone(c.Clients)
	if len(c.Clients) == 0 {
		errs = append(errs, errors.New("clients: name at least one"))
	}
	for i := range c.Clients {
		if err := c.Clients[i].complete(); err != nil {
			errs = append(errs, fmt.Errorf("clients[%d]: %w", i, err))
		}
		if slices.ContainsFunc(c.Clients[:i], func(o Client) bool { return o.ID == c.Clients[i].ID }) {
			errs = append(errs, fmt.Errorf("clients[%d]: id %q is taken", i, c.Clients[i].ID))
		}
	}

	c.Users = slices.Clone(c.Users)
	if len(c.Users) == 0 {
		errs = append(errs, errors.New("users: name at least one"))
	}
	for i := range c.Users {
		u := &c.Users[i]
		if u.Username == "" || u.Password == "" {
			errs = append(errs, fmt.Errorf("users[%d]: username and password are required", i))
		}
		orDefault(&u.Subject, u.Username)
		if slices.ContainsFunc(c.Users[:i], func(o User) bool { return o.Username == u.Username || o.Subject == u.Subject }) {
			errs = append(errs, fmt.Errorf("users[%d]: username %q or subject %q is taken", i, u.Username, u.Subject))
		}
	}
	return c, errors.Join(errs...)
}

func (c *Client) complete() error {
	if c.ID == "" || c.Secret == "" {
		return errors.New("id and secret are required")
	}
	if c.AuthMethod == "" {
		c.AuthMethod = string(oidc.AuthMethodBasic)
	}
	if c.AuthMethod != string(oidc.AuthMethodBasic) && c.AuthMethod != string(oidc.AuthMethodPost) {
		return fmt.Errorf("authMethod %q: use client_secret_basic or client_secret_post", c.AuthMethod)
	}
	if len(c.RedirectURIs) == 0 {
		return errors.New("redirectURIs: name at least one")
	}
	for _, uri := range slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs) {
		u, err := url.Parse(uri)
		if err != nil || u.Host == "" || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") {
			return fmt.Errorf("redirect URI %q: use an absolute http(s) URL without a fragment", uri)
		}
	}
	if len(c.Audience) == 0 {
		c.Audience = []string{defaultAudience}
	}
	if slices.Contains(c.Audience, c.ID) {
		return fmt.Errorf("audience must not contain the client's own id %q: name the API", c.ID)
	}
	return nil
}

// checkIssuer accepts what OpenID Connect Discovery section 3 allows, less paths, plus http on this machine.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || issuer != u.Scheme+"://"+u.Host {
		return fmt.Errorf("issuer %q: use scheme://host[:port], with no path and no trailing slash", issuer)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLocal(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("issuer %q: use https; http is accepted only for localhost, *.localhost and loopback addresses", issuer)
}

func isLocal(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
