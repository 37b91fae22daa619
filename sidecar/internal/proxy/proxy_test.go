package proxy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/dpop"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const (
	publicOrigin = "https://shop.example.com"
	accessToken  = "the-access-token"
)

// upstream is a server that remembers what it was sent.
type upstream struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

func newUpstream(t testing.TB, answer http.HandlerFunc) *upstream {
	t.Helper()
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, r.Clone(context.WithoutCancel(r.Context())))
		u.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) requests() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

func (u *upstream) last(t testing.TB) *http.Request {
	t.Helper()
	seen := u.requests()
	if len(seen) == 0 {
		t.Fatal("nothing arrived")
	}
	return seen[len(seen)-1]
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// rig is calls and application behind one handler, as package server puts them
// together.
type rig struct {
	handler  http.Handler
	sessions *session.Sessions
	cookie   string
	refresh  proxy.Refresh
	log      *bytes.Buffer
	audited  []gate.Move
}

type parts struct {
	upstream, application string
	token                 v1alpha1.TokenType
	target                token.Target
	requireLogin          bool
	sessions              proxy.Sessions // instead of real ones
	tokens                token.Set
	session               session.Session // more of the session
	binding               v1alpha1.BindingMode
	trusted               []netip.Prefix
	stepUp                []v1alpha1.LoginParameter
	peer                  proxy.Peer
	nonces                *dpop.Nonces
}

func newRig(t testing.TB, p parts) *rig {
	t.Helper()
	ring, err := keyring.New(time.Now(), rand.Reader)
	must(t, err)
	if p.nonces == nil {
		p.nonces = &dpop.Nonces{}
	}
	r := &rig{log: &bytes.Buffer{},
		refresh: func(context.Context, token.Set, token.Target) (token.Set, error) { panic("nothing to refresh") }}
	memory := store.NewMemory(time.Now, 1000)
	t.Cleanup(memory.Close)
	r.sessions = session.New(session.Options{
		Store: memory, Ring: func() *keyring.Ring { return ring }, PolicyUID: "u1",
		Limits: func() session.Limits { return session.Limits{Lifetime: time.Hour, IdleTimeout: time.Hour} },
	})
	if p.tokens.Access.Token == "" {
		p.tokens = token.Set{Access: token.Access{Token: accessToken, Expiry: time.Now().Add(time.Hour)}, Refresh: "the-refresh-token"}
	}
	sess := p.session
	sess.Issuer, sess.Subject, sess.Tokens = "https://id.example.com", "alice", p.tokens
	r.cookie, err = r.sessions.Create(t.Context(), sess)
	must(t, err)
	if p.sessions == nil {
		p.sessions = r.sessions
	}
	if p.token == "" {
		p.token = v1alpha1.TokenAccess
	}

	public, err := url.Parse(publicOrigin)
	must(t, err)
	g, err := gate.New(publicOrigin)
	must(t, err)
	transport := proxy.NewTransport(p.peer)
	t.Cleanup(transport.CloseIdleConnections)
	table, err := proxy.NewTable("/bff", []v1alpha1.Route{{
		Name: "api", Path: "/api", Methods: []v1alpha1.Method{"GET", "HEAD", "POST"},
		Upstream: v1alpha1.Upstream{URL: p.upstream},
		Token:    v1alpha1.RouteToken{Type: p.token, Resource: p.target.Resource, Scopes: p.target.Scopes},
	}}, func(*v1alpha1.Route) http.RoundTripper { return transport })
	must(t, err)
	common := proxy.Common{
		Sessions: p.sessions, Gate: g, TrustedProxies: p.trusted, Public: public, LoginURL: "/bff/login", Clock: time.Now,
		Logger: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Binding: gate.NewBinding(gate.BindingOptions{
			Mode:  func() v1alpha1.BindingMode { return p.binding },
			End:   func(ctx context.Context, s *session.Session) error { return r.sessions.End(ctx, s, session.EndNetwork) },
			Audit: func(_ context.Context, m gate.Move) { r.audited = append(r.audited, m) }}),
	}
	calls := proxy.NewCalls(proxy.CallsOptions{
		Common: common, Nonces: p.nonces, StepUp: p.stepUp,
		Refresh: func(ctx context.Context, old token.Set, target token.Target) (token.Set, error) {
			return r.refresh(ctx, old, target)
		},
	})
	application := proxy.NewApplication(proxy.ApplicationOptions{
		Common: common, Transport: proxy.NewApplicationTransport(), Address: p.application, RequireLogin: p.requireLogin,
		ReturnTo: func(target string) string { return target },
	})
	r.handler = problem.Identify(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		path, err := proxy.ParseTarget(req.RequestURI, public.Host)
		if err != nil {
			problem.BadPath.Write(w, req, err.Error())
			return
		}
		if target, err := table.Find(path); err == nil && target.Class == proxy.ToRoute {
			calls.Serve(w, req, target.Route, path)
			return
		}
		application.Serve(w, req, path)
	}))
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call is a request of our own page, with a session.
func (r *rig) call(method, target string, headers ...string) *http.Request {
	req := httptest.NewRequest(method, target, nil)
	req.RequestURI = target
	req.Header.Set("X-CSRF", "1")
	req.Header.Set("Cookie", session.CookieName+"="+r.cookie)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header[name] = append(req.Header[name], value) // as spelled
	}
	return req
}

func (r *rig) do(req *http.Request) *http.Response {
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	return w.Result()
}

func code(t testing.TB, answer *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	_, rest, _ := strings.Cut(string(body), `"code":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
