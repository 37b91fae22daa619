package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/window"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
)

// tokenLifetime is longer than any run: no subject refreshes while it is
// measured.
const tokenLifetime = 4 * time.Hour

// provider is the demo's OpenID provider, in this process.
type provider struct {
	issuer string
	server *http.Server
}

func startProvider(clients []idp.Client) (*provider, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the provider: %w", err)
	}
	p := &provider{issuer: "http://" + listener.Addr().String()}
	handler, err := idp.New(idp.Config{
		Issuer: p.issuer, Clients: clients, Users: idp.DemoUsers(),
		AccessTokenLifetime: tokenLifetime, IDTokenLifetime: tokenLifetime,
	})
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("start the provider: %w", err)
	}
	p.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(listener) }() // ErrServerClosed
	return p, nil
}

func (p *provider) close() { _ = p.server.Close() } // nothing is to be saved

// ErrStatus says that an answer's status was not 200.
var ErrStatus = errors.New("status")

// Get asks once, on a connection of its own, and returns the body of an answer
// with 200. It follows no redirects.
func Get(ctx context.Context, target string, header []window.Field) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	for _, f := range header {
		request.Header.Add(f.Name, f.Value)
	}
	response, err := once.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%w %d: %s", ErrStatus, response.StatusCode, body[:min(len(body), 300)])
	}
	return string(body), nil
}

var once = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}
