package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/idp/idptest"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/server"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

const (
	publicURL    = "https://shop.example.com"
	clientSecret = "client-secret-MARKER"
)

// world is a whole sidecar, as it runs in a pod, with everything around it
// real: mounted files, an identity provider, a resource server, an application,
// and an ingress that ends TLS.
type world struct {
	t                *testing.T
	dir              string
	provider         *idptest.Server // nil if another one stands in its place
	issuer           string
	secrets          *secrets // that must never be seen outside
	api, app         *recorder
	source           *config.Source
	traffic, admin   string
	log              *buffer
	clock            *clock
	stop             func()                           // tells the sidecar to end
	end              func() error                     // and waits for that
	providerHandlers atomic.Pointer[http.HandlerFunc] // in place of the provider, if set
}

// setup is what a test wants different.
type setup struct {
	policy       func(text string) string
	accessToken  time.Duration
	clientSecret string
	api          http.HandlerFunc
	secrets      map[string]string    // more of them, by NAME/KEY
	instead      *providertest.Server // of the usual provider: one that does what a test wants
}

func start(t *testing.T, s setup) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &buffer{}, clock: &clock{}, secrets: &secrets{}}
	if s.instead != nil {
		w.issuer, s.clientSecret = s.instead.Issuer, providertest.ClientSecret
	} else {
		w.provider = idptest.StartBehind(t, idp.Config{
			Clients: []idp.Client{{ID: "shop", Secret: clientSecret, RedirectURIs: []string{publicURL + "/bff/callback"},
				PostLogoutRedirectURIs: []string{publicURL, publicURL + "/"}, Audience: []string{"shop-api"}}},
			AccessTokenLifetime: s.accessToken,
		}, w.front)
		w.issuer = w.provider.Issuer
	}
	if s.api == nil {
		s.api = func(rw http.ResponseWriter, r *http.Request) { fmt.Fprintf(rw, `{"path":%q}`, r.RequestURI) }
	}
	w.api = record(t, s.api)
	w.app = record(t, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "<!doctype html>the page") })

	text := w.policy()
	if s.policy != nil {
		text = s.policy(text)
	}
	w.writePolicy(text)
	w.writeSecret("shop-oidc/client-secret", orElse(s.clientSecret, clientSecret)+"\n")
	for name, value := range s.secrets {
		w.writeSecret(name, value)
	}
	ring, err := keyring.New(time.Now(), rand.Reader)
	must(t, err)
	data, err := ring.Marshal()
	must(t, err)
	w.writeSecret("bff-operator-keys/keyring.json", string(data))
	w.run()
	return w
}

func (w *world) run() {
	w.t.Helper()
	at := config.Location{PolicyFile: filepath.Join(w.dir, "policy.yaml"), SecretsDir: filepath.Join(w.dir, "secrets")}
	var err error
	w.source, err = config.Open(at.Load, 5*time.Millisecond, time.Now)
	must(w.t, err)
	logger, err := telemetry.NewLogger(w.log, "debug")
	must(w.t, err)
	listeners := [2]net.Listener{}
	for i := range listeners {
		listeners[i], err = net.Listen("tcp", "127.0.0.1:0")
		must(w.t, err)
	}
	w.traffic, w.admin = listeners[0].Addr().String(), listeners[1].Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, server.RunOptions{Source: w.source, Traffic: listeners[0], Admin: listeners[1],
			Options: server.Options{Version: "test", Metrics: telemetry.NewMetrics("test"), Logger: logger, Clock: w.clock.now}})
	}()
	w.stop = cancel
	w.end = sync.OnceValue(func() error { cancel(); return <-ended })
	end := w.end
	w.t.Cleanup(func() {
		if err := end(); err != nil {
			w.t.Errorf("the sidecar ended with %v", err)
		}
		if w.t.Failed() {
			w.t.Logf("log of the sidecar:\n%s", w.log)
		}
	})
}

// policy is what the operator would mount.
func (w *world) policy() string {
	_, port, _ := net.SplitHostPort(w.app.Listener.Addr().String())
	return fmt.Sprintf(`
apiVersion: bff-operator.io/v1alpha1
kind: BFFPolicy
metadata: {name: shop, namespace: web, uid: 7f4b, generation: 3}
spec:
  selector: {matchLabels: {app: shop}}
  publicURL: %s
  application: {port: %s}
  provider:
    issuerURL: %s
    clientID: shop
    clientAuthentication: {method: client_secret_basic, secretRef: {name: shop-oidc, key: client-secret}}
    scopes: [openid, profile, email, offline_access]
  session: {store: {type: Memory}, idleTimeout: 30m, lifetime: 12h}
  routes:
  - {name: api, path: /api, upstream: {url: "%s"}}
  - {name: admin, path: /api/admin, methods: [GET], upstream: {url: "%s"}}
  - {name: open, path: /open, upstream: {url: "%s"}, token: {type: None}}
`, publicURL, port, w.issuer, w.api.URL, w.api.URL, w.api.URL)
}

func (w *world) writePolicy(text string) { w.write("policy.yaml", text) }

func (w *world) writeSecret(name, value string) { w.write(filepath.Join("secrets", name), value) }

// write swaps a file, as the kubelet does.
func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	must(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(w.t, os.WriteFile(path+".new", []byte(content), 0o600))
	must(w.t, os.Rename(path+".new", path))
}

// front stands before the provider: it notes the tokens that leave, and lets a
// test replace the provider.
func (w *world) front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if h := w.providerHandlers.Load(); h != nil {
			(*h)(rw, r)
			return
		}
		if r.URL.Path != "/token" {
			next.ServeHTTP(rw, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		var tokens map[string]any
		_ = json.Unmarshal(answer.Body.Bytes(), &tokens)
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if value, ok := tokens[name].(string); ok {
				w.secrets.add(name, value)
			}
		}
		for name, values := range answer.Header() {
			rw.Header()[name] = values
		}
		rw.WriteHeader(answer.Code)
		_, _ = rw.Write(answer.Body.Bytes())
	})
}

// replaceProvider has something else answer in the provider's place; nil brings
// it back.
func (w *world) replaceProvider(h http.HandlerFunc) {
	if h == nil {
		w.providerHandlers.Store(nil)
		return
	}
	w.providerHandlers.Store(&h)
}

func (w *world) adminGet(path string) (int, string) {
	w.t.Helper()
	answer, err := http.Get("http://" + w.admin + path)
	must(w.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(w.t, err)
	return answer.StatusCode, string(body)
}

// recorder is a server that remembers what it was sent.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

func record(t *testing.T, answer http.HandlerFunc) *recorder {
	u := &recorder{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, r.Clone(context.Background()))
		u.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(u.CloseClientConnections)
	t.Cleanup(u.Close)
	return u
}

func (u *recorder) requests() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

func (u *recorder) last(t *testing.T) *http.Request {
	t.Helper()
	seen := u.requests()
	if len(seen) == 0 {
		t.Fatal("nothing arrived")
	}
	return seen[len(seen)-1]
}

// secrets are values that nobody outside may see.
type secrets struct {
	mu     sync.Mutex
	values map[string]string // value to name
}

func (s *secrets) add(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[string]string{}
	}
	if value != "" {
		s.values[value] = name
	}
}

// in names the secrets that a text holds.
func (s *secrets) in(text string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for value, name := range s.values {
		if strings.Contains(text, value) {
			found = append(found, name)
		}
	}
	return found
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// clock is the sidecar's; a test may put it forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// eventually polls until ok or a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}
