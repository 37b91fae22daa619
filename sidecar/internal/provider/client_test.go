package provider_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const redirectURL = "https://shop.example.com/bff/callback"

// buffer is a log that several goroutines may write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func configFor(server *providertest.Server) provider.Config {
	return provider.Config{
		Provider: v1alpha1.Provider{
			IssuerURL: server.Issuer, ClientID: providertest.ClientID,
			ClientAuthentication: v1alpha1.ClientAuthentication{Method: v1alpha1.ClientSecretBasic},
			Scopes:               []string{"openid", "profile", "offline_access"},
			CABundle:             server.CABundle(),
		},
		RedirectURL: redirectURL,
		Credentials: withSecret(providertest.ClientSecret),
	}
}

func withSecret(value string) func() clientauth.Credentials {
	return func() clientauth.Credentials { return clientauth.Credentials{Secret: secret.New(value)} }
}

// clientOf is a client of a providertest.Server with another policy.
func clientOf(server *providertest.Server, change func(*provider.Config)) *provider.Client {
	config := configFor(server)
	if change != nil {
		change(&config)
	}
	return provider.New(config)
}

// login is a whole login at a providertest.Server.
func login(t *testing.T, server *providertest.Server, client *provider.Client) (*provider.Login, error) {
	t.Helper()
	return loginWith(t, server, client, provider.Parameters{})
}

func loginWith(t *testing.T, server *providertest.Server, client *provider.Client, p provider.Parameters) (*provider.Login, error) {
	t.Helper()
	startedAt := time.Now()
	key, err := client.NewKey(t.Context())
	if err != nil {
		return nil, err
	}
	request := provider.AuthorizationRequest{
		State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), CodeVerifier: oauth2.GenerateVerifier(),
		Key: key, Parameters: p,
	}
	target, err := client.AuthorizationURL(t.Context(), request)
	if err != nil {
		return nil, err
	}
	return client.Exchange(t.Context(), provider.ExchangeRequest{
		Code: codeFor(t, server, target), CodeVerifier: request.CodeVerifier, Nonce: request.Nonce,
		Key: key, ACRValues: p.ACRValues, MaxAge: p.MaxAge, StartedAt: startedAt,
	})
}

func codeFor(t *testing.T, server *providertest.Server, authorizationURL string) string {
	t.Helper()
	target, answer, err := server.SignIn(authorizationURL)
	if err != nil {
		t.Fatal(err)
	}
	if target != redirectURL {
		t.Fatalf("the browser is sent to %s", target)
	}
	return answer.Get("code")
}

// wantFailure checks an error's reason, and that it gives nothing away.
func wantFailure(t *testing.T, err error, reason provider.Reason) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want reason %q", reason)
	}
	if got := provider.ReasonOf(err); got != reason {
		t.Errorf("reason %q, want %q: %v", got, reason, err)
	}
	for _, leak := range []string{"MARKER", "eyJhbGciOi"} {
		if strings.Contains(err.Error(), leak) {
			t.Errorf("the error gives something away: %v", err)
		}
	}
}

// The provider is down when the sidecar starts, and comes up later.
func TestStartsWhileTheProviderIsDown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()

	client := provider.New(provider.Config{RedirectURL: redirectURL, Provider: v1alpha1.Provider{
		IssuerURL: "http://" + address, ClientID: "shop",
		ClientAuthentication: v1alpha1.ClientAuthentication{Method: v1alpha1.ClientSecretBasic}}})
	_, err = client.AuthorizationURL(t.Context(), provider.AuthorizationRequest{})
	wantFailure(t, err, provider.ReasonUnreachable)
	if !errors.Is(err, provider.ErrUnavailable) {
		t.Errorf("error %v does not match ErrUnavailable", err)
	}

	server := providertest.Start(t, providertest.Behaviour{Metadata: func(m map[string]any) { m["issuer"] = "http://" + address }})
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Skipf("somebody took the port: %v", err)
	}
	up := &http.Server{Handler: server}
	go up.Serve(listener) //nolint:errcheck // ends with Close
	defer up.Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err = client.AuthorizationURL(t.Context(), provider.AuthorizationRequest{}); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the client does not come back: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestMetadataThatAreNotUsed(t *testing.T) {
	elsewhere := providertest.Start(t, providertest.Behaviour{})
	for name, row := range map[string]struct {
		b    providertest.Behaviour
		want provider.Reason
	}{
		"DISC-01 other issuer": {providertest.Behaviour{Metadata: func(m map[string]any) { m["issuer"] = "https://evil.example.com" }}, provider.ReasonIssuerMismatch},
		"DISC-01 slash at the end": {providertest.Behaviour{Metadata: func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "/" }},
			provider.ReasonIssuerMismatch},
		"DISC-01 other case": {providertest.Behaviour{Metadata: func(m map[string]any) { m["issuer"] = strings.ToUpper(m["issuer"].(string)) }},
			provider.ReasonIssuerMismatch},
		"no issuer":           {providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "issuer") }}, provider.ReasonIssuerMismatch},
		"no token endpoint":   {providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "token_endpoint") }}, provider.ReasonMetadata},
		"SEC-09 no S256":      {providertest.Behaviour{Metadata: func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} }}, provider.ReasonMetadata},
		"issuer is a number":  {providertest.Behaviour{Metadata: func(m map[string]any) { m["issuer"] = 1 }}, provider.ReasonMetadata},
		"not JSON":            {serve("/.well-known/openid-configuration", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>MARKER")) }), provider.ReasonMetadata},
		"status 404":          {serve("/.well-known/openid-configuration", func(w http.ResponseWriter) { http.Error(w, "MARKER", 404) }), provider.ReasonStatus},
		"status 503":          {serve("/.well-known/openid-configuration", func(w http.ResponseWriter) { http.Error(w, "MARKER", http.StatusServiceUnavailable) }), provider.ReasonStatus},
		"too long":            {serve("/.well-known/openid-configuration", oversized), provider.ReasonUnreachable},
		"no HTTP":             {serve("/.well-known/openid-configuration", garbage), provider.ReasonUnreachable},
		"cut short":           {serve("/.well-known/openid-configuration", cutShort), provider.ReasonUnreachable},
		"a redirect":          {serve("/.well-known/openid-configuration", redirectTo(elsewhere.Issuer+"/.well-known/openid-configuration")), provider.ReasonStatus},
		"compressed too long": {serve("/.well-known/openid-configuration", compressed), provider.ReasonUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			log := &buffer{}
			server := providertest.Start(t, row.b)
			config := configFor(server)
			config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			client := provider.New(config)
			_, err := client.AuthorizationURL(t.Context(), provider.AuthorizationRequest{})
			wantFailure(t, err, row.want)
			if !errors.Is(err, provider.ErrUnavailable) {
				t.Errorf("error %v does not match ErrUnavailable", err)
			}
			if strings.Contains(log.String(), "MARKER") || !strings.Contains(log.String(), string(row.want)) {
				t.Errorf("log: %s", log)
			}
		})
	}
	if n := elsewhere.Count("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// The issuer's host is dialled somewhere else; Host header, TLS server name and
// issuer stay what they were.
func TestConnectTo(t *testing.T) {
	inner := providertest.Start(t, providertest.Behaviour{Metadata: func(m map[string]any) {
		for name, value := range m {
			if text, ok := value.(string); ok && strings.HasPrefix(text, "http://127.0.0.1") {
				u, _ := url.Parse(text)
				m[name] = "https://example.com" + u.Path
			}
		}
	}})
	var mu sync.Mutex
	var hosts, names []string
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		hosts, names = append(hosts, r.Host), append(names, r.TLS.ServerName)
		mu.Unlock()
		inner.ServeHTTP(w, r)
	}))
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	front.StartTLS()
	defer front.Close()
	roots := x509.NewCertPool()
	roots.AddCert(front.Certificate()) // it is for example.com

	config := configFor(inner)
	config.Provider.IssuerURL = "https://example.com"
	config.Provider.ConnectTo = front.Listener.Addr().String()
	config.RootCAs = roots
	if err := provider.New(config).Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(hosts) != 1 || hosts[0] != "example.com" || names[0] != "example.com" {
		t.Errorf("hosts %v, TLS server names %v: want example.com", hosts, names)
	}

	// DISC-02: a certificate nobody vouches for.
	config.RootCAs = nil
	err := provider.New(config).Discover(t.Context())
	wantFailure(t, err, provider.ReasonUnreachable)
	if !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the error does not say what is wrong: %v", err)
	}
}

// Configurations that the CRD refuses do nothing here either.
func TestConfigurationsThatCannotWork(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	for name, change := range map[string]func(*provider.Config){
		"issuer without TLS":   func(c *provider.Config) { c.Provider.IssuerURL = "http://id.example.com" },
		"issuer that is a URN": func(c *provider.Config) { c.Provider.IssuerURL = "urn:id" },
		"issuer that is no URL": func(c *provider.Config) {
			c.Provider.IssuerURL = "http://[::1"
		},
		"CA bundle without a certificate": func(c *provider.Config) { c.Provider.CABundle = "MARKER" },
		"unknown method":                  func(c *provider.Config) { c.Provider.ClientAuthentication.Method = "none" },
	} {
		t.Run(name, func(t *testing.T) {
			config := configFor(server)
			change(&config)
			err := provider.New(config).Discover(t.Context())
			wantFailure(t, err, provider.ReasonMetadata)
		})
	}
}

// The caller's patience ends before the provider answers.
func TestHangingProviderEndsWithTheCaller(t *testing.T) {
	server := providertest.Start(t, hang("/.well-known/openid-configuration"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	config := configFor(server)
	config.Timeout = time.Second // or else the server is long in closing
	err := provider.New(config).Discover(ctx)
	wantFailure(t, err, provider.ReasonUnreachable)
	if ctx.Err() == nil {
		t.Error("the client gave up before its caller")
	}
}

// DISC-02: the authorities of the policy's bundle take the place of the usual
// ones.
func TestCABundle(t *testing.T) {
	server := providertest.StartTLS(t, providertest.Behaviour{})
	if err := clientOf(server, nil).Discover(t.Context()); err != nil {
		t.Error(err)
	}
	other := providertest.StartTLS(t, providertest.Behaviour{})
	_, certificate := certificateFor(t, "another authority")
	err := clientOf(other, func(c *provider.Config) {
		c.Provider.CABundle = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}).Discover(t.Context())
	wantFailure(t, err, provider.ReasonUnreachable)
}

// The provider's clock is compared by each answer it makes itself.
func TestClockOffset(t *testing.T) {
	var header atomic.Value
	header.Store(http.Header{})
	server := providertest.Start(t, providertest.Behaviour{Serve: func(w http.ResponseWriter, _ *http.Request) bool {
		for name, values := range header.Load().(http.Header) {
			w.Header()[name] = values
		}
		return false
	}})
	client := provider.New(configFor(server))
	if _, ok := client.ClockOffset(); ok {
		t.Error("an offset before the first answer")
	}
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	near := func(want time.Duration) {
		t.Helper()
		if got, ok := client.ClockOffset(); !ok || (got-want).Abs() > 5*time.Second {
			t.Errorf("offset %v, want about %v", got, want)
		}
	}
	if err := client.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	near(0)
	header.Store(http.Header{"Date": {in(time.Hour)}})
	_ = client.Revoke(t.Context(), token.Set{Refresh: "x"})
	near(time.Hour)
	header.Store(http.Header{"Date": {in(-time.Hour)}, "Age": {"3600"}}) // a cache's
	_ = client.Revoke(t.Context(), token.Set{Refresh: "x"})
	near(time.Hour)
	header.Store(http.Header{"Date": {"yesterday"}})
	_ = client.Revoke(t.Context(), token.Set{Refresh: "x"})
	near(time.Hour)
}
