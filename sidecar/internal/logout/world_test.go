package logout_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/logout"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const (
	issuer   = "https://id.example.com/realms/shop"
	endpoint = "https://id.example.com/logout"
	home     = "https://shop.example.com/"
	hint     = "header.MARKER-id-token.signature"
)

// identityProvider misbehaves as the test wants. Its zero value is a provider
// with all endpoints that is up.
type identityProvider struct {
	mu          sync.Mutex
	noEndpoint  bool
	revocations []token.Set
	revoke      []error // the next answers; nil when there are no more
	verify      func(context.Context, string) (provider.LogoutToken, error)
}

func (p *identityProvider) Issuer() string { return issuer }

func (p *identityProvider) Revoke(ctx context.Context, tokens token.Set) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revocations = append(p.revocations, tokens)
	if len(p.revoke) == 0 {
		return ctx.Err()
	}
	err := p.revoke[0]
	p.revoke = p.revoke[1:]
	return err
}

func (p *identityProvider) revoked() []token.Set {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.revocations
}

func (p *identityProvider) EndSession(_ context.Context, idToken, postLogoutRedirect string) (provider.EndSession, bool) {
	if p.noEndpoint {
		return provider.EndSession{}, false
	}
	return provider.EndSession{URL: endpoint, Form: url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {postLogoutRedirect}, "id_token_hint": {idToken}}}, true
}

func (p *identityProvider) EndSessionURL(_ context.Context, postLogoutRedirect string) (string, bool) {
	return endpoint + "?" + url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {postLogoutRedirect}}.Encode(), !p.noEndpoint
}

func (p *identityProvider) VerifyLogoutToken(ctx context.Context, raw string) (provider.LogoutToken, error) {
	return p.verify(ctx, raw)
}

// sessions is a store of sessions that is down when the test wants. A cookie's
// value is the session's ID and 42 letters A.
type sessions struct {
	mu     sync.Mutex
	alive  map[string]*session.Session
	why    map[string]session.EndReason
	parked map[string][]byte
	seen   map[string]time.Duration
	down   error
	calls  []string
	// lostAnswer is an error of the next Once, which has happened all the same.
	lostAnswer error
	ttl        time.Duration // of what was parked last
}

func newSessions() *sessions {
	return &sessions{alive: map[string]*session.Session{}, why: map[string]session.EndReason{}, parked: map[string][]byte{}, seen: map[string]time.Duration{}}
}

func cookieOf(id string) string { return id + strings.Repeat("A", 42) }

// add logs a user in.
func (s *sessions) add(id, subject, sid string) {
	s.set(func() {
		s.alive[id] = &session.Session{ID: "public-" + id, Issuer: issuer, Subject: subject, ProviderSID: sid,
			Tokens: token.Set{ID: hint, Refresh: "MARKER-refresh-" + id, Access: token.Access{Token: "MARKER-access-" + id}}}
	})
}

func (s *sessions) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// ids are the sessions that live.
func (s *sessions) ids() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := ""
	for _, id := range []string{"a", "b", "c", "d"} {
		if s.alive[id] != nil {
			all += id
		}
	}
	return all
}

func (s *sessions) Find(_ context.Context, value string) (*session.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	if found := s.alive[value[:1]]; found != nil {
		return found, nil
	}
	return nil, session.ErrNone
}

func (s *sessions) end(why session.EndReason, which func(*session.Session) bool) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return 0, s.down
	}
	n := 0
	for id, sess := range s.alive {
		if which(sess) {
			delete(s.alive, id)
			s.why[id] = why
			n++
		}
	}
	return n, nil
}

func (s *sessions) End(_ context.Context, sess *session.Session, why session.EndReason) error {
	_, err := s.end(why, func(other *session.Session) bool { return other == sess })
	return err
}

func (s *sessions) EndBySID(_ context.Context, issuer, sid string, why session.EndReason) (int, error) {
	s.set(func() { s.calls = append(s.calls, "EndBySID "+sid) })
	return s.end(why, func(sess *session.Session) bool { return sess.Issuer == issuer && sess.ProviderSID == sid })
}

func (s *sessions) EndBySubject(_ context.Context, issuer, subject string, why session.EndReason) (int, error) {
	s.set(func() { s.calls = append(s.calls, "EndBySubject "+subject) })
	return s.end(why, func(sess *session.Session) bool { return sess.Issuer == issuer && sess.Subject == subject })
}

func (s *sessions) Park(_ context.Context, value []byte, ttl time.Duration) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return "", s.down
	}
	ticket := "ticket-" + strconv.Itoa(len(s.parked)+1)
	s.parked[ticket], s.ttl = value, ttl
	return ticket, nil
}

func (s *sessions) Take(_ context.Context, ticket string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	value, ok := s.parked[ticket]
	delete(s.parked, ticket)
	if !ok {
		return nil, session.ErrNone
	}
	return value, nil
}

func (s *sessions) Once(_ context.Context, name string, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return false, s.down
	}
	_, seen := s.seen[name]
	s.seen[name] = ttl
	err := s.lostAnswer
	s.lostAnswer = nil
	return !seen && err == nil, err
}

type counts struct {
	mu   sync.Mutex
	seen []string
}

func (c *counts) Finished(f flow.Flow, r flow.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, string(f)+" "+string(r))
}

func (c *counts) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}

func (c *counts) has(want string) bool { return slices.Contains(c.all(), want) }

type world struct {
	t        *testing.T
	provider *identityProvider
	sessions *sessions
	counts   *counts
	*logout.Handler
}

func newWorld(t *testing.T, changes ...func(*logout.Options)) *world {
	w := &world{t: t, provider: &identityProvider{}, sessions: newSessions(), counts: &counts{}}
	public, err := url.Parse("https://shop.example.com")
	if err != nil {
		t.Fatal(err)
	}
	o := logout.Options{Provider: w.provider, Sessions: w.sessions, PublicURL: public, BasePath: "/bff",
		IDTokenHint: v1alpha1.IDTokenHintFormPost, FrontChannel: v1alpha1.Enabled, Observer: w.counts}
	for _, change := range changes {
		change(&o)
	}
	w.Handler = logout.New(o)
	return w
}

// settle waits for what goes on after the answers.
func (w *world) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := w.Shutdown(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) do(serve http.HandlerFunc, r *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	serve(recorder, r)
	return recorder
}

// header lines of the three who call.
var (
	script   = []string{"X-Csrf: 1", "Accept: application/json", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin"}
	navigate = []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	framed   = []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Sec-Fetch-Site: cross-site"}
)

func request(t *testing.T, method, target, id string, headers []string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	if id != "" {
		r.AddCookie(session.Cookie(cookieOf(id)))
	}
	return r
}

func setCookies(w *httptest.ResponseRecorder) map[string]*http.Cookie {
	all := map[string]*http.Cookie{}
	for _, c := range w.Result().Cookies() {
		all[c.Name] = c
	}
	return all
}

func logoutURL(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var answer struct{ LogoutURL string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return answer.LogoutURL
}

var errDown = errors.Join(session.ErrUnavailable, errors.New("the store is away"))
