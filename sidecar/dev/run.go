package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
	"github.com/bff-operator/bff-operator/sidecar/internal/server"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

// run serves the policy of the command line until ctx ends, or returns the
// reason it could not go on.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: write debug, info, warn or error", o.logLevel)
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	m := &machine{options: o, logger: logger}
	defer m.close()
	if err := m.open(ctx); err != nil {
		return err
	}
	m.describe(stdout)
	return m.serve(ctx)
}

// machine is all that bff-dev runs.
type machine struct {
	options
	logger  *slog.Logger
	secrets config.Secrets
	source  *config.Source
	first   adapted // the policy as it was at the start

	listeners                      []net.Listener
	trafficListener, adminListener net.Listener
	// Of what comes along, where nothing else was named; else nil.
	providerListener, apiListener, pageListener net.Listener
}

// open reads the policy and opens every port, so that what cannot work says so
// before anything runs.
func (m *machine) open(ctx context.Context) error {
	policy, _, err := m.read()
	if err != nil {
		return err
	}
	if m.secrets, err = newSecrets(m.options); err != nil {
		return err
	}
	sampleAPI := ""
	if policy.Name == "shop" && policy.Namespace == "shop" {
		if m.apiListener, err = m.listen(ctx, "127.0.0.1:0"); err != nil {
			return err
		}
		sampleAPI = "http://" + m.apiListener.Addr().String()
	}
	if m.first, err = adapt(policy, m.options, sampleAPI); err != nil {
		return err
	}
	if m.app == "" {
		if !m.first.sample {
			return errors.New("say where the application listens: --app http://localhost:5173")
		}
		if m.pageListener, err = m.listen(ctx, "127.0.0.1:0"); err != nil {
			return err
		}
		m.app = m.pageListener.Addr().String()
	}
	if m.source, err = config.Open(m.load, time.Second, time.Now); err != nil {
		return err
	}
	spec := &m.first.policy.Spec
	if m.provider == builtin {
		if m.providerListener, err = m.listen(ctx, dialAddress(spec.Provider.IssuerURL)); err != nil {
			return err
		}
	}
	if m.trafficListener, err = m.listen(ctx, dialAddress(spec.PublicURL)); err != nil {
		return err
	}
	m.adminListener, err = m.listen(ctx, m.options.admin)
	return err
}

// read reads the policy's file.
func (m *machine) read() (*v1alpha1.BFFPolicy, []byte, error) {
	data, err := os.ReadFile(m.policyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read policy: %w", err)
	}
	policy, err := config.Decode(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.policyFile, err)
	}
	return policy, data, nil
}

// load is the configuration's loader: an edited policy is in force at once.
func (m *machine) load() (*config.Snapshot, []string, error) {
	files := []string{m.policyFile}
	policy, data, err := m.read()
	if err != nil {
		return nil, files, err
	}
	sampleAPI := ""
	if m.apiListener != nil {
		sampleAPI = "http://" + m.apiListener.Addr().String()
	}
	a, err := adapt(policy, m.options, sampleAPI)
	if err != nil {
		return nil, files, err
	}
	was, is := m.first.policy.Spec, a.policy.Spec
	if was.PublicURL != is.PublicURL || was.Provider.IssuerURL != is.Provider.IssuerURL || was.Provider.ClientID != is.Provider.ClientID ||
		was.Endpoints.BasePath != is.Endpoints.BasePath {
		return nil, files, errors.New("publicURL, issuerURL, clientID or basePath changed: restart bff-dev")
	}
	s, err := config.NewSnapshot(a.policy, m.secrets, m.app, config.HashOf(data))
	return s, files, err
}

func newSecrets(o options) (config.Secrets, error) {
	ring, err := keyring.New(time.Now(), rand.Reader)
	if err != nil {
		return config.Secrets{}, err
	}
	s := config.Secrets{Ring: ring, Credentials: clientauth.Credentials{Secret: secret.New(newSecret())}}
	if o.clientSecret != "" {
		data, err := os.ReadFile(o.clientSecret)
		if err != nil {
			return s, fmt.Errorf("read client secret: %w", err)
		}
		s.Credentials.Secret = secret.New(strings.TrimSuffix(string(data), "\n"))
	}
	return s, nil
}

func (m *machine) listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	m.listeners = append(m.listeners, listener)
	return listener, nil
}

func (m *machine) close() {
	for _, listener := range m.listeners {
		listener.Close()
	}
}

// serve runs everything until ctx ends or a part fails.
func (m *machine) serve(ctx context.Context) error {
	snapshot := m.source.Current()
	servers := map[net.Listener]*http.Server{}
	if m.providerListener != nil {
		provider, err := newProvider(m.first.policy, snapshot.Policy.Spec.Endpoints.BasePath, m.secrets.Credentials.Secret.Reveal(), m.logger)
		if err != nil {
			return err
		}
		servers[m.providerListener] = newHTTPServer(provider, m.logger)
	}
	if m.apiListener != nil {
		servers[m.apiListener] = newHTTPServer(newSampleAPI(m.first.policy, m.logger), m.logger)
	}
	if m.pageListener != nil {
		page, err := newSamplePage()
		if err != nil {
			return err
		}
		servers[m.pageListener] = newHTTPServer(page, m.logger)
	}

	group, running := errgroup.WithContext(ctx)
	for listener, s := range servers {
		group.Go(func() error { return serveOn(s, listener) })
		group.Go(func() error { <-running.Done(); return s.Close() })
	}
	group.Go(func() error {
		return server.Run(running, server.RunOptions{
			Source: m.source, Traffic: m.trafficListener, Admin: m.adminListener,
			Options: server.Options{Version: "dev", Metrics: telemetry.NewMetrics("dev"), Logger: m.logger},
		})
	})
	return group.Wait()
}
