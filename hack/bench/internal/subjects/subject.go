// Package subjects are the proxies that are compared: how each is started and
// logged in to, with the settings that are kindest to it.
package subjects

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/browser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/process"
	"github.com/bff-operator/bff-operator/hack/bench/internal/window"
	"github.com/bff-operator/bff-operator/hack/bench/internal/world"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
)

// Subject is one of them.
type Subject struct {
	Name, Title string
	// Ours says that it is a build of bff-sidecar.
	Ours bool
	// Address is host:port that it listens on.
	Address string

	login, callback string // paths, "" without authentication
	secret          string
	start           func(context.Context, *Subject, *world.World) (*process.Process, error) // nil: the upstream itself

	process *process.Process
	pid     int
	cookie  string
}

// patience is how long a program may take to start.
const patience = 20 * time.Second

// Authenticated says that calls need a session.
func (s *Subject) Authenticated() bool { return s.login != "" }

// Clients are the registrations of all subjects that log in.
func Clients(all []*Subject) []idp.Client {
	var clients []idp.Client
	for _, s := range all {
		if s.Authenticated() {
			clients = append(clients, idp.Client{ID: s.Name, Secret: s.secret, RedirectURIs: []string{"http://" + s.Address + s.callback}})
		}
	}
	return clients
}

// Start starts the subject, logs in, and proves that it does what it should.
func (s *Subject) Start(ctx context.Context, w *world.World) error {
	if s.start == nil {
		s.Address, s.pid = w.Upstream, w.UpstreamPID()
		return nil
	}
	p, err := s.start(ctx, s, w)
	if err != nil {
		return err
	}
	s.process, s.pid = p, p.PID()
	if err := p.AwaitListening(ctx, s.Address, patience); err != nil {
		return err
	}
	if !s.Authenticated() {
		return nil
	}
	target := "http://" + s.Address + world.AuthedPath
	if s.cookie, err = browser.Login(ctx, "http://"+s.Address+s.login, target, w.Person); err != nil {
		return fmt.Errorf("%s: %w\n%s", s.Name, err, p.Log())
	}
	if err := s.prove(ctx, w); err != nil {
		return fmt.Errorf("%s: %w\n%s", s.Name, err, p.Log())
	}
	return nil
}

// Stop ends it.
func (s *Subject) Stop() {
	if s.process != nil {
		s.process.Stop()
	}
}

// PID is the subject's first process.
func (s *Subject) PID() int { return s.pid }

// Request is the call that is measured.
func (s *Subject) Request() window.Request {
	path := world.OpenPath
	if s.Authenticated() {
		path = world.AuthedPath
	}
	return window.Request{Address: s.Address, Path: path, Header: fetch("http://"+s.Address, s.cookie)}
}

var (
	errNoToken = errors.New("the upstream did not get the access token")
	errOpen    = errors.New("a call without a cookie was answered")
)

// prove asks the upstream what arrived, and the provider whether that is an
// access token of its own.
func (s *Subject) prove(ctx context.Context, w *world.World) error {
	base := "http://" + s.Address
	got, err := world.Get(ctx, base+world.EchoPath, fetch(base, s.cookie))
	if err != nil {
		return fmt.Errorf("call with a session: %w", err)
	}
	if !strings.HasPrefix(got, "Bearer ") {
		return errNoToken
	}
	// An ID token is a JWT too, but no key to this door.
	if _, err := world.Get(ctx, w.Person.Issuer+"/userinfo", []window.Field{{Name: "Authorization", Value: got}}); err != nil {
		return fmt.Errorf("%w: the provider does not take it: %w", errNoToken, err)
	}
	if _, err := world.Get(ctx, base+world.AuthedPath, fetch(base, "")); !errors.Is(err, world.ErrStatus) {
		return fmt.Errorf("%w: %v", errOpen, err)
	}
	return nil
}

// fetch is the header of a call that a page's script makes in Chromium, beside
// Host. The session's cookie stands between two of the application's own.
func fetch(origin, session string) []window.Field {
	cookies := "theme=dark; "
	if session != "" {
		cookies += session + "; "
	}
	return []window.Field{
		{Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36"},
		{Name: "Accept", Value: "application/json"},
		{Name: "Accept-Language", Value: "en-US,en;q=0.9,de;q=0.8"},
		{Name: "Accept-Encoding", Value: "gzip, deflate, br, zstd"},
		{Name: "Referer", Value: origin + "/orders"},
		{Name: "sec-ch-ua", Value: `"Chromium";v="137", "Not/A)Brand";v="24"`},
		{Name: "sec-ch-ua-mobile", Value: "?0"},
		{Name: "sec-ch-ua-platform", Value: `"Linux"`},
		{Name: "Sec-Fetch-Dest", Value: "empty"},
		{Name: "Sec-Fetch-Mode", Value: "cors"},
		{Name: "Sec-Fetch-Site", Value: "same-origin"},
		{Name: "X-CSRF", Value: "1"},
		{Name: "Cookie", Value: cookies + "lang=en-US"},
	}
}
