// Package loadworld is everything around a measurement: built sidecars, a real
// Redis, an OpenID provider and an upstream, all on loopback.
package loadworld

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadprovider"
)

// Options make a world.
type Options struct {
	// Binary is the sidecar.
	Binary string
	// Replicas is how many of them share the store.
	Replicas int
	// Environment is that of each replica, beside the pod's address.
	Environment []string
	// TokenSize is the length of access tokens in bytes; 1 KiB unless given.
	TokenSize int
	// TokenLife is how long access tokens live; an hour unless given.
	TokenLife time.Duration
	// IdleTimeout of sessions; half an hour unless given.
	IdleTimeout time.Duration
	// ProviderDown has the policy name a provider that cannot be reached.
	ProviderDown bool
}

// World is a running world.
type World struct {
	Redis    *Redis
	Provider *loadprovider.Provider
	Upstream *Upstream
	Replicas []*Sidecar

	options Options
	dir     string
	closers []func()
}

// New starts a world, whole or not at all.
func New(ctx context.Context, o Options) (*World, error) {
	o.TokenSize = cmp.Or(o.TokenSize, 1024)
	o.TokenLife = cmp.Or(o.TokenLife, time.Hour)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 30*time.Minute)
	w := &World{options: o}
	if err := w.start(ctx); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *World) start(ctx context.Context) (err error) {
	if w.dir, err = os.MkdirTemp("", "bff-loads-"); err != nil {
		return fmt.Errorf("make a folder for a world: %w", err)
	}
	w.closers = append(w.closers, func() { _ = os.RemoveAll(w.dir) }) // it is in the temporary folder
	secret := rand.Text()
	if w.Provider, err = loadprovider.Start(ctx, loadprovider.Options{ClientID: clientID, ClientSecret: secret, RedirectURI: callbackURL,
		AccessTokenSize: w.options.TokenSize, AccessTokenLife: w.options.TokenLife}); err != nil {
		return err
	}
	w.closers = append(w.closers, w.Provider.Close)
	if w.Upstream, err = startUpstream(ctx); err != nil {
		return err
	}
	w.closers = append(w.closers, w.Upstream.Close)
	if w.Redis, err = startRedis(ctx, w.dir); err != nil {
		return err
	}
	w.closers = append(w.closers, w.Redis.Close)
	issuer := w.Provider.Issuer
	if w.options.ProviderDown {
		if issuer, err = nobody(); err != nil {
			return err
		}
	}
	policy, err := policyOf(issuer, w.Upstream.Address, w.Redis.Address, w.options.IdleTimeout)
	if err != nil {
		return err
	}
	if err := mount(w.dir, policy, secret); err != nil {
		return err
	}
	for range w.options.Replicas {
		if _, err := w.Start(ctx, w.options.Environment...); err != nil {
			return err
		}
	}
	return nil
}

// nobody is an issuer at a port that nobody listens on.
func nobody() (string, error) {
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(address)
	return "http://127.0.0.1:" + port, err
}

// Start starts one more replica with an environment of its own.
func (w *World) Start(ctx context.Context, env ...string) (*Sidecar, error) {
	s, err := startSidecar(ctx, w.options.Binary, w.dir, env)
	if err != nil {
		return nil, err
	}
	w.Replicas = append(w.Replicas, s)
	return s, nil
}

// Stop ends a replica.
func (w *World) Stop(s *Sidecar) {
	s.Close()
	for i, replica := range w.Replicas {
		if replica == s {
			w.Replicas = append(w.Replicas[:i], w.Replicas[i+1:]...)
			return
		}
	}
}

// Close ends everything and removes its files.
func (w *World) Close() {
	for _, s := range w.Replicas {
		s.Close()
	}
	for i := len(w.closers) - 1; i >= 0; i-- {
		w.closers[i]()
	}
	w.Replicas, w.closers = nil, nil
}

// Traffic are the addresses of all replicas for browsers.
func (w *World) Traffic() []string {
	addresses := make([]string, len(w.Replicas))
	for i, s := range w.Replicas {
		addresses[i] = s.Traffic
	}
	return addresses
}
