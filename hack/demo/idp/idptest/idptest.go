// Package idptest starts the demo identity provider in a test and plays the browser at it.
package idptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bff-operator/bff-operator/hack/demo/idp"
)

// Server is a running provider.
type Server struct {
	*idp.Provider

	// Issuer is http://127.0.0.1:port unless the configuration named another one.
	Issuer string

	// Addr is the host:port to dial, also when the issuer says something else.
	Addr string

	mu     sync.Mutex
	events []idp.Event
}

// Start runs a provider on a loopback port until the test ends. An empty Issuer becomes the server's own address, and
// empty Users become idp.DemoUsers. Config.Events, if set, is called too.
func Start(t testing.TB, config idp.Config) *Server {
	t.Helper()
	return StartBehind(t, config, func(next http.Handler) http.Handler { return next })
}

// StartBehind is Start with a handler in front of the provider that can make it misbehave: slow, failing, or gone.
func StartBehind(t testing.TB, config idp.Config, front func(http.Handler) http.Handler) *Server {
	t.Helper()
	listener := httptest.NewUnstartedServer(nil)
	s := &Server{Addr: listener.Listener.Addr().String()}
	if config.Issuer == "" {
		config.Issuer = "http://" + s.Addr
	}
	if len(config.Users) == 0 {
		config.Users = idp.DemoUsers()
	}
	also := config.Events
	config.Events = func(e idp.Event) {
		s.mu.Lock()
		s.events = append(s.events, e)
		s.mu.Unlock()
		if also != nil {
			also(e)
		}
	}
	provider, err := idp.New(config)
	if err != nil {
		listener.Close()
		t.Fatal(err)
	}
	s.Provider, s.Issuer = provider, config.Issuer
	listener.Config.Handler = front(provider)
	listener.Start()
	t.Cleanup(listener.Close)
	return s
}

// Events returns what has happened so far.
func (s *Server) Events() []idp.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Count returns how many events of a kind there were, failed ones included.
func (s *Server) Count(kind idp.EventKind) int {
	n := 0
	for _, e := range s.Events() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// SignIn plays the browser: it opens an authorization URL, fills in the login page if one comes, and returns where the
// provider sends the browser, which is the client's redirect URI with a code or an error. It does not go there. The
// client's cookie jar, if it has one, remembers the login, and its transport may dial elsewhere than the issuer says.
func SignIn(ctx context.Context, client *http.Client, authorizationURL, username, password string) (*url.URL, error) {
	browser := *client
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	location, err := follow(ctx, &browser, http.MethodGet, authorizationURL, nil)
	if err != nil {
		return nil, fmt.Errorf("open authorization endpoint: %w", err)
	}
	start, err := url.Parse(authorizationURL)
	if err != nil {
		return nil, fmt.Errorf("parse authorization URL: %w", err)
	}
	if location.Host != start.Host || location.Path != "/login" {
		return location, nil // logged in already, or refused
	}
	form := url.Values{"request": {location.Query().Get("request")}, "username": {username}, "password": {password}}
	location.RawQuery = ""
	location, err = follow(ctx, &browser, http.MethodPost, location.String(), form)
	if err != nil {
		return nil, fmt.Errorf("submit login page: %w", err)
	}
	return location, nil
}

// ErrNoRedirect is returned by SignIn when the provider answers with a page, as it does for a wrong password.
var ErrNoRedirect = errors.New("the identity provider did not redirect")

func follow(ctx context.Context, browser *http.Client, method, target string, form url.Values) (*url.URL, error) {
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := browser.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // so that the connection is used again
	location, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("%w: status %d", ErrNoRedirect, response.StatusCode)
	}
	return location, nil
}
