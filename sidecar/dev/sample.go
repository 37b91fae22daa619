package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	shop "github.com/bff-operator/bff-operator/config/samples/shop/web"
	"github.com/bff-operator/bff-operator/hack/demo/api"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
	"github.com/bff-operator/bff-operator/hack/demo/web"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

// audience is that of the built-in provider's access tokens, and what the
// sample's API wants.
const audience = "shop-api"

// accessTokenLifetime is short, so that a refresh can be watched.
const accessTokenLifetime = time.Minute

// newProvider is the built-in identity provider, with the policy's client.
func newProvider(policy *v1alpha1.BFFPolicy, basePath, secret string, logger *slog.Logger) (http.Handler, error) {
	spec := &policy.Spec
	provider, err := idp.New(idp.Config{
		Issuer: spec.Provider.IssuerURL,
		Clients: []idp.Client{{
			ID: spec.Provider.ClientID, Secret: secret, AuthMethod: string(spec.Provider.ClientAuthentication.Method),
			RedirectURIs:           []string{spec.PublicURL + basePath + "/callback"},
			PostLogoutRedirectURIs: []string{spec.PublicURL, spec.PublicURL + "/"},
			Audience:               []string{audience},
		}},
		Users: idp.DemoUsers(), AccessTokenLifetime: accessTokenLifetime, ShowCredentials: true, Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("start the built-in identity provider: %w", err)
	}
	return provider, nil
}

// newSampleAPI is the sample's API, behind the policy's provider.
func newSampleAPI(policy *v1alpha1.BFFPolicy, logger *slog.Logger) http.Handler {
	return api.New(api.Config{Issuer: policy.Spec.Provider.IssuerURL, Audience: audience, ConnectTo: policy.Spec.Provider.ConnectTo, Logger: logger})
}

// newSamplePage is the sample's single-page application.
func newSamplePage() (http.Handler, error) { return web.New(shop.Files) }

func newSecret() string { return rand.Text() }

// serveOn serves until the server is closed.
func serveOn(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

func newHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug)}
}
