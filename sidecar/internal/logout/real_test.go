package logout_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/logout"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// realWorld is a logout with everything real behind it: sessions in a store, and
// the client of a provider that signs.
type realWorld struct {
	*logout.Handler
	t        *testing.T
	idp      *providertest.Server
	client   *provider.Client
	sessions *session.Sessions
	counts   *counts
	log      *logs
}

// logs are searched for secrets.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func newRealWorld(t *testing.T, publicURL string, b providertest.Behaviour) *realWorld {
	t.Helper()
	w := &realWorld{t: t, idp: providertest.Start(t, b), counts: &counts{}, log: &logs{}}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.client = provider.New(provider.Config{
		Provider: v1alpha1.Provider{IssuerURL: w.idp.Issuer, ClientID: providertest.ClientID, Scopes: []string{"openid"},
			ClientAuthentication: v1alpha1.ClientAuthentication{Method: v1alpha1.ClientSecretBasic}},
		RedirectURL: publicURL + "/bff/callback",
		Credentials: func() clientauth.Credentials {
			return clientauth.Credentials{Secret: secret.New(providertest.ClientSecret)}
		},
		Logger: logger,
	})
	ring, err := keyring.New(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	memory := store.NewMemory(nil, 100)
	t.Cleanup(memory.Close)
	w.sessions = session.New(session.Options{Store: memory, Ring: func() *keyring.Ring { return ring }, PolicyUID: "uid", Logger: logger,
		Limits: func() session.Limits { return session.Limits{Lifetime: 12 * time.Hour, IdleTimeout: 30 * time.Minute} }})
	public, err := url.Parse(publicURL)
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = logout.New(logout.Options{Provider: w.client, Sessions: w.sessions, PublicURL: public, BasePath: "/bff",
		FrontChannel: v1alpha1.Enabled, Logger: logger, Observer: w.counts})
	t.Cleanup(func() {
		w.log.mu.Lock()
		defer w.log.mu.Unlock()
		if strings.Contains(w.log.text.String(), "MARKER") {
			t.Errorf("GAP-09: a secret in the log: %s", w.log.text.String())
		}
	})
	return w
}

// logIn logs alice in at the provider and returns the cookie's value and the ID
// token.
func (w *realWorld) logIn() (cookieValue, idToken string) {
	w.t.Helper()
	ctx := w.t.Context()
	verifier := strings.Repeat("v", 43)
	target, err := w.client.AuthorizationURL(ctx, provider.AuthorizationRequest{State: "state", Nonce: "nonce", CodeVerifier: verifier})
	if err != nil {
		w.t.Fatal(err)
	}
	_, answer, err := w.idp.SignIn(target)
	if err != nil {
		w.t.Fatal(err)
	}
	login, err := w.client.Exchange(ctx, provider.ExchangeRequest{Code: answer.Get("code"), CodeVerifier: verifier, Nonce: "nonce", StartedAt: time.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	value, err := w.sessions.Create(ctx, session.Session{Issuer: login.Issuer, Subject: login.Subject, ProviderSID: login.SID, Tokens: login.Tokens})
	if err != nil {
		w.t.Fatal(err)
	}
	return value, login.Tokens.ID
}

// why is why a session has ended, "" while it lives.
func (w *realWorld) why(cookieValue string) session.EndReason {
	w.t.Helper()
	_, err := w.sessions.Find(w.t.Context(), cookieValue)
	if err != nil && !errors.Is(err, session.ErrNone) {
		w.t.Fatal(err)
	}
	if err == nil {
		return ""
	}
	return session.ReasonOf(err)
}

func (w *realWorld) backChannel(logoutToken string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	w.BackChannel(recorder, call(w.t, url.Values{"logout_token": {logoutToken}}.Encode()))
	return recorder
}

func without(claim string) func(map[string]any) {
	return func(claims map[string]any) { delete(claims, claim) }
}

// BCL-12: the session of the sid, or all of the user's.
func TestRealBackChannel(t *testing.T) {
	for name, change := range map[string]func(map[string]any){"sid": without("sub"), "sub": without("sid"), "both": nil} {
		t.Run(name, func(t *testing.T) {
			w := newRealWorld(t, "https://shop.example.com", providertest.Behaviour{})
			first, _ := w.logIn()
			second, _ := w.logIn() // of the same session at the provider
			logoutToken := w.idp.LogoutToken(change)
			if answer := w.backChannel(logoutToken); answer.Code != http.StatusOK {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
			for _, value := range []string{first, second} {
				if got := w.why(value); got != session.EndBackChannel {
					t.Errorf("ended because of %q", got)
				}
			}
			if name != "sub" {
				return
			}
			third, _ := w.logIn()
			if answer := w.backChannel(logoutToken); answer.Code != http.StatusOK || w.why(third) != "" {
				t.Errorf("BCL-09: %d, the new session ended because of %q", answer.Code, w.why(third))
			}
		})
	}
}

// BCL-03 to BCL-08, BCL-11, BCL-21: each bad token gets 400 and ends nothing.
func TestRealBackChannelRefuses(t *testing.T) {
	w := newRealWorld(t, "https://shop.example.com", providertest.Behaviour{})
	value, idToken := w.logIn()
	set := func(claim string, v any) string {
		return w.idp.LogoutToken(func(claims map[string]any) { claims[claim] = v })
	}
	right := w.idp.LogoutToken(nil)
	for name, raw := range map[string]string{
		"bit flipped":      right[:len(right)-8] + "AAAA" + right[len(right)-4:],
		"foreign key":      w.idp.SignWith("RS256", providertest.OtherKey(), "key-0", w.idp.LogoutClaims()),
		"an ID token":      idToken,
		"another issuer":   set("iss", "https://evil.example"),
		"another audience": set("aud", "other"),
		"expired":          set("exp", time.Now().Add(-time.Hour).Unix()),
		"with a nonce":     set("nonce", "nonce"),
		"no event":         w.idp.LogoutToken(without("events")),
		"no jti":           w.idp.LogoutToken(without("jti")),
		"nobody": w.idp.LogoutToken(func(claims map[string]any) {
			delete(claims, "sub")
			delete(claims, "sid")
		}),
		"nonsense": "x",
	} {
		t.Run(name, func(t *testing.T) {
			expectError(t, w.backChannel(raw), http.StatusBadRequest, "invalid_request")
			if got := w.why(value); got != "" {
				t.Errorf("the session ended because of %q", got)
			}
		})
	}
	if answer := w.backChannel(right); answer.Code != http.StatusOK || w.why(value) != session.EndBackChannel {
		t.Errorf("the right one: %d %s", answer.Code, answer.Body)
	}
}

// The provider's keys cannot be fetched: 503, and the next one works.
func TestRealBackChannelWithoutKeys(t *testing.T) {
	down := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/keys" {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	w := newRealWorld(t, "https://shop.example.com", providertest.Behaviour{Serve: down})
	logoutToken := w.idp.LogoutToken(nil)
	expectError(t, w.backChannel(logoutToken), http.StatusServiceUnavailable, "temporarily_unavailable")
	w.idp.Behave(providertest.Behaviour{})
	deadline := time.Now().Add(30 * time.Second)
	for w.backChannel(logoutToken).Code != http.StatusOK {
		if time.Now().After(deadline) {
			t.Fatal("the keys are back, and the token is still refused")
		}
		time.Sleep(50 * time.Millisecond) // between polls
	}
}

func TestRealFrontChannel(t *testing.T) {
	w := newRealWorld(t, "https://shop.example.com", providertest.Behaviour{})
	value, _ := w.logIn()
	query := url.Values{"iss": {w.idp.Issuer}, "sid": {"provider-session"}}.Encode()
	recorder := httptest.NewRecorder()
	w.FrontChannel(recorder, request(t, http.MethodGet, "/bff/frontchannel-logout?"+query, "", framed))
	if recorder.Code != http.StatusOK || w.why(value) != session.EndFrontChannel {
		t.Errorf("%d, ended because of %q", recorder.Code, w.why(value))
	}
	if n := w.idp.Count("/revoke"); n != 0 {
		t.Errorf("FCL-08: %d revocations", n)
	}
}

// REV-05: the user is logged out at once, and the provider is asked again when it
// wanted to be.
func TestRealRevocation(t *testing.T) {
	var mu sync.Mutex
	var asked []time.Time
	busy := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/revoke" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, time.Now())
		if len(asked) > 1 {
			return false
		}
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	w := newRealWorld(t, "https://shop.example.com", providertest.Behaviour{Serve: busy})
	value, _ := w.logIn()
	r := request(t, http.MethodPost, "/bff/logout", "", script)
	r.AddCookie(session.Cookie(value))
	recorder := httptest.NewRecorder()
	w.Logout(recorder, r)
	if got := logoutURL(t, recorder); got != "/bff/logout/continue" || w.why(value) != session.EndLogout {
		t.Errorf("to %q, ended because of %q", got, w.why(value))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := w.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	// Once in vain, then for the refresh token and the access token.
	if len(asked) != 3 || asked[1].Sub(asked[0]) < 3*time.Second {
		t.Errorf("asked %v", asked)
	}
	if !w.counts.has("revocation ok") {
		t.Errorf("counted %v", w.counts.all())
	}
}
