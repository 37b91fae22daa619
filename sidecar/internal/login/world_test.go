package login_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/login"
	"github.com/bff-operator/bff-operator/sidecar/internal/problem"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const publicURL = "https://shop.example.com"

// world is the endpoints with everything behind them: real sessions in a real
// store, a real client of a provider.
type world struct {
	t        *testing.T
	handler  *login.Handler
	mux      http.Handler
	sessions *session.Sessions
	outage   *outage
	log      *log
	formPost bool

	mu        sync.Mutex
	ahead     time.Duration // how much the clock is ahead
	finished  []string      // "flow reason"
	discarded []token.Set
}

// log keeps what was logged and answered, to be searched for secrets.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// outage is sessions whose store can be made to fail.
type outage struct {
	login.Sessions
	mu  sync.Mutex
	err error
}

func (o *outage) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *outage) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *outage) Create(ctx context.Context, s session.Session) (string, error) {
	if err := o.failure(); err != nil {
		return "", err
	}
	return o.Sessions.Create(ctx, s)
}

func (o *outage) Find(ctx context.Context, value string) (*session.Session, error) {
	if err := o.failure(); err != nil {
		return nil, err
	}
	return o.Sessions.Find(ctx, value)
}

func (o *outage) End(ctx context.Context, s *session.Session, why session.EndReason) error {
	if err := o.failure(); err != nil {
		return err
	}
	return o.Sessions.End(ctx, s, why)
}

// setup is what a test needs to be different.
type setup struct {
	login        v1alpha1.Login
	responseMode v1alpha1.ResponseMode
	dpop         v1alpha1.DPoPMode
	claims       []string
	network      func(*http.Request) netip.Prefix
}

func newWorld(t *testing.T, issuer, clientSecret string, s setup) *world {
	t.Helper()
	ring, err := keyring.New(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, log: &log{}, formPost: s.responseMode == v1alpha1.ResponseModeFormPost}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	memory := store.NewMemory(w.now, 1000)
	t.Cleanup(memory.Close)
	w.sessions = session.New(session.Options{
		Store: memory, Ring: func() *keyring.Ring { return ring }, PolicyUID: "uid",
		Limits: func() session.Limits {
			return session.Limits{Lifetime: 12 * time.Hour, IdleTimeout: 30 * time.Minute}
		},
		Clock: w.now, Logger: logger,
	})
	w.outage = &outage{Sessions: w.sessions}
	origin, _ := url.Parse(publicURL)
	var maxAge *time.Duration
	if s.login.MaxAge != nil {
		maxAge = &s.login.MaxAge.Duration
	}
	w.handler = login.New(login.Options{
		Provider: provider.New(provider.Config{
			Provider: v1alpha1.Provider{
				IssuerURL: issuer, ClientID: providertest.ClientID,
				ClientAuthentication: v1alpha1.ClientAuthentication{Method: v1alpha1.ClientSecretBasic},
				Scopes:               []string{"openid", "profile", "email", "offline_access"},
				ResponseMode:         s.responseMode, DPoP: s.dpop,
			},
			Credentials: func() clientauth.Credentials { return clientauth.Credentials{Secret: secret.New(clientSecret)} },
			ACRValues:   s.login.ACRValues, MaxAge: maxAge,
			RedirectURL: publicURL + "/bff/callback", Logger: logger, Timeout: 2 * time.Second,
		}),
		Sessions: w.outage, Ring: func() *keyring.Ring { return ring }, PublicURL: origin, BasePath: "/bff",
		Login: s.login, ResponseMode: s.responseMode, Claims: s.claims, Network: s.network, Discard: w.discard,
		Clock: w.now, Logger: logger, Observer: w,
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/bff/login", w.handler.Login)
	mux.HandleFunc("/bff/callback", w.handler.Callback)
	mux.HandleFunc("/bff/session", w.handler.Session)
	w.mux = problem.Identify(mux)
	return w
}

// scripted is a world with a provider that misbehaves on demand.
func scripted(t *testing.T, s setup) (*world, *providertest.Server) {
	t.Helper()
	server := providertest.Start(t, providertest.Behaviour{})
	return newWorld(t, server.Issuer, providertest.ClientSecret, s), server
}

// discard takes the tokens that nobody can use.
func (w *world) discard(_ context.Context, tokens token.Set) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.discarded = append(w.discarded, tokens)
}

func (w *world) discards() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.discarded)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

// Finished implements flow.Observer.
func (w *world) Finished(f flow.Flow, reason flow.Reason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished = append(w.finished, string(f)+" "+string(reason))
}

// wantFinished checks how the last flow ended.
func (w *world) wantFinished(f flow.Flow, reason flow.Reason) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if want := string(f) + " " + string(reason); len(w.finished) == 0 || w.finished[len(w.finished)-1] != want {
		w.t.Errorf("flows finished: %q, want %q last", w.finished, want)
	}
}

// jwt begins every token of the providers here, and is too long to stand in a
// random value by chance.
const jwt = "eyJhbGciOi"

// browser keeps cookies as a browser does: by name, with the rules of their
// prefixes, and held back from other sites as SameSite says.
type browser struct {
	w       *world
	cookies map[string]*http.Cookie
}

func (w *world) browser() *browser { return &browser{w: w, cookies: map[string]*http.Cookie{}} }

// Where a request comes from.
const (
	sameOrigin = "same-origin"
	sameSite   = "same-site"
	crossSite  = "cross-site"
)

// navigate goes to an address of the application.
func (b *browser) navigate(target, site string) *http.Response {
	return b.do(http.MethodGet, target, site, http.Header{
		"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {site}, "Accept": {"text/html,*/*;q=0.8"}})
}

// fetch is a script's call from the application's page.
func (b *browser) fetch(method, target string) *http.Response {
	return b.do(method, target, sameOrigin, http.Header{
		"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {sameOrigin}, "Accept": {"*/*"}, "X-Csrf": {"1"}})
}

// post has another site's page send a form here. A browser says of it what it
// says of every navigation.
func (b *browser) post(target, site string, form url.Values) *http.Response {
	return b.send(http.MethodPost, target, site, http.Header{
		"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {site}, "Accept": {"text/html,*/*;q=0.8"},
		"Origin": {"null"}, "Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
}

func (b *browser) do(method, target, site string, header http.Header) *http.Response {
	b.w.t.Helper()
	return b.send(method, target, site, header, "")
}

func (b *browser) send(method, target, site string, header http.Header, body string) *http.Response {
	b.w.t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		b.w.t.Fatal(err)
	}
	r := httptest.NewRequest(method, u.RequestURI(), strings.NewReader(body)).WithContext(b.w.t.Context())
	r.Header = header
	for _, cookie := range b.cookies {
		if site == crossSite && (cookie.SameSite == http.SameSiteStrictMode || cookie.SameSite == http.SameSiteLaxMode && method != http.MethodGet) {
			continue
		}
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	recorder := httptest.NewRecorder()
	b.w.mux.ServeHTTP(recorder, r)
	answer := recorder.Result()
	for _, cookie := range answer.Cookies() {
		b.take(cookie)
	}
	b.w.check(u.Path, recorder)
	return answer
}

// take stores a cookie, and complains about one that is not as all of ours
// should be (BFF-17 to BFF-22).
func (b *browser) take(c *http.Cookie) {
	b.w.t.Helper()
	if !strings.HasPrefix(c.Name, "__Host-Http-bff") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" {
		b.w.t.Errorf("cookie %s: Secure %t, HttpOnly %t, Path %q, Domain %q", c.Name, c.Secure, c.HttpOnly, c.Path, c.Domain)
	}
	want := http.SameSiteLaxMode
	switch {
	case c.Name == session.CookieName:
		want = http.SameSiteStrictMode
	case b.w.formPost && strings.HasPrefix(c.Name, login.TransactionCookiePrefix): // COOK-07
		want = http.SameSiteNoneMode
	}
	if c.SameSite != want {
		b.w.t.Errorf("cookie %s has SameSite %v", c.Name, c.SameSite)
	}
	if c.MaxAge < 0 {
		delete(b.cookies, c.Name)
		return
	}
	b.cookies[c.Name] = c
}

// transactions is how many logins are pending in the browser.
func (b *browser) transactions() int {
	n := 0
	for name := range b.cookies {
		if strings.HasPrefix(name, login.TransactionCookiePrefix) {
			n++
		}
	}
	return n
}

func (b *browser) sessionCookie() string {
	if c := b.cookies[session.CookieName]; c != nil {
		return c.Value
	}
	return ""
}

// check looks at what every answer must have, and must not (BFF-03, GAP-08,
// GAP-12).
func (w *world) check(path string, answer *httptest.ResponseRecorder) {
	w.t.Helper()
	if got := answer.Header().Get("Cache-Control"); got != "no-store" {
		w.t.Errorf("%s: Cache-Control %q", path, got)
	}
	body := answer.Body.String()
	if strings.HasPrefix(answer.Header().Get("Content-Type"), "text/html") {
		policy := answer.Header().Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, directive) {
				w.t.Errorf("%s: the page's policy lacks %s: %s", path, directive, policy)
			}
		}
		if answer.Header().Get("Referrer-Policy") != "no-referrer" || answer.Header().Get("X-Content-Type-Options") != "nosniff" {
			w.t.Errorf("%s: page headers %v", path, answer.Header())
		}
	}
	for _, text := range []string{body, answer.Header().Get("Location")} {
		if strings.Contains(text, "MARKER") || strings.Contains(text, jwt) {
			w.t.Errorf("%s gives something away: %s", path, text)
		}
	}
}

// wantNoSecrets searches the log, down to debug level (GAP-09).
func (w *world) wantNoSecrets(secrets ...string) {
	w.t.Helper()
	text := w.log.String()
	for _, s := range append(secrets, "MARKER", jwt, providertest.ClientSecret) {
		if s != "" && strings.Contains(text, s) {
			w.t.Errorf("the log holds %q:\n%s", s, text)
		}
	}
}
