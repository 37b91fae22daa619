package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/gate"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const (
	// memorySessions bounds the sessions of a store in memory.
	memorySessions = 10_000
	// drainTimeout bounds how long a store that is no longer used stays open for
	// tokens that are still to be stored.
	drainTimeout = 15 * time.Second
)

// loginParts are the parts that hold state across requests and so survive a
// change of configuration that does not concern them.
type loginParts struct {
	sessions *sessionsPart
	provider *providerPart
}

// sessionsPart is the sessions and the store they live in.
type sessionsPart struct {
	*counted
	key      string
	store    store.Store
	sessions sessions
	binding  *gate.Binding
}

// providerPart is the provider's client.
type providerPart struct {
	key    string
	client *provider.Client
}

// loginParts makes the parts for a snapshot, or takes those of the generation in
// force that fit. What may change while they live (secrets, certificates, keys,
// limits) they ask the snapshot in force for; everything else they were made of
// is in their keys.
func (s *Server) loginParts(snapshot *config.Snapshot, old *generation) (loginParts, error) {
	var parts loginParts
	p := s.providerConfig(snapshot)
	if key := keyOf(p.Provider, p.RedirectURL, p.ACRValues, p.MaxAge); old != nil && old.parts.provider.key == key {
		parts.provider = old.parts.provider
	} else {
		parts.provider = &providerPart{key: key, client: provider.New(p)}
	}

	spec := snapshot.Policy.Spec.Session.Store
	issuer := snapshot.Policy.Spec.Provider.IssuerURL
	key := keyOf(snapshot.Policy.UID, issuer, spec)
	if old != nil && old.parts.sessions.key == key && old.parts.sessions.retain() {
		parts.sessions = old.parts.sessions
		return parts, nil
	}
	backend, err := s.store(spec, snapshot)
	if err != nil {
		return parts, fmt.Errorf("open session store: %w", err)
	}
	of := sessions{metrics: s.Metrics, issuer: issuer, Sessions: session.New(session.Options{
		Store: backend, PolicyUID: string(snapshot.Policy.UID),
		Ring:    func() *keyring.Ring { return s.inForce(snapshot).Ring },
		Limits:  func() session.Limits { return limitsOf(s.inForce(snapshot).Policy) },
		Discard: s.discard(issuer),
		Clock:   s.Clock, Random: s.Random, Logger: s.Logger,
	})}
	part := &sessionsPart{key: key, store: backend, sessions: of, binding: s.newBinding(snapshot, of)}
	part.counted = newCounted(func() {
		go func() { // a request must not wait for this
			ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
			defer cancel()
			s.drainSessions(ctx, of)
			backend.Close()
		}()
	})
	parts.sessions = part
	return parts, nil
}

// inForce is the snapshot in force, or the given one while the first is being
// built.
func (s *Server) inForce(first *config.Snapshot) *config.Snapshot {
	if g := s.current.Load(); g != nil {
		return g.snapshot
	}
	return first
}

func (s *Server) providerConfig(snapshot *config.Snapshot) provider.Config {
	spec := &snapshot.Policy.Spec
	c := provider.Config{
		Provider: spec.Provider, RedirectURL: spec.PublicURL + spec.Endpoints.BasePath + "/callback",
		Credentials: func() clientauth.Credentials { return s.inForce(snapshot).Credentials },
		RootCAs:     snapshot.ProviderCAs, ACRValues: spec.Login.ACRValues, Clock: s.Clock, Logger: s.Logger,
	}
	if spec.Login.MaxAge != nil {
		c.MaxAge = &spec.Login.MaxAge.Duration
	}
	return c
}

func (s *Server) store(spec *v1alpha1.SessionStore, snapshot *config.Snapshot) (store.Store, error) {
	if spec.Type == v1alpha1.StoreMemory {
		return newCounting(store.NewMemory(s.Clock, memorySessions), s.Metrics), nil
	}
	redis, err := store.NewRedis(s.redisOptions(spec.Redis, snapshot))
	if err != nil {
		return nil, err
	}
	return newCounting(redis, s.Metrics), nil
}

func (s *Server) redisOptions(spec *v1alpha1.RedisStore, snapshot *config.Snapshot) store.RedisOptions {
	o := store.RedisOptions{
		Topology: spec.Topology, Addresses: append([]string{spec.Address}, spec.AdditionalAddresses...),
		Prefix:   session.KeyPrefix(string(snapshot.Policy.UID)),
		Username: spec.Username, Password: func() secret.String { return s.inForce(snapshot).StorePassword },
		TLS: spec.TLS == v1alpha1.StoreTLSEnabled, RootCAs: snapshot.StoreCAs, Logger: s.Logger,
	}
	if spec.ClientCertificateRef != nil {
		o.ClientCertificate = func() (*tls.Certificate, error) { return s.inForce(snapshot).StoreCertificate, nil }
	}
	if spec.Sentinel != nil {
		o.Sentinel = store.Sentinel{
			MasterName: spec.Sentinel.MasterName, Username: spec.Sentinel.Username,
			Password: func() secret.String { return s.inForce(snapshot).SentinelPassword },
		}
	}
	return o
}

func limitsOf(policy *v1alpha1.BFFPolicy) session.Limits {
	s := &policy.Spec.Session
	limits := session.Limits{Lifetime: s.Lifetime.Duration, IdleTimeout: s.IdleTimeout.Duration, MaxPerUser: int(s.MaxPerUser)}
	if s.OutageGrace != nil {
		limits.OutageGrace = s.OutageGrace.Duration
	}
	return limits
}

// discard has the provider forget tokens that nobody can use any more, without
// waiting for that. It must be the one that has issued them: another one must
// not see them.
func (s *Server) discard(issuer string) func(context.Context, token.Set) {
	return func(ctx context.Context, tokens token.Set) {
		if g := s.current.Load(); g != nil && g.snapshot.Policy.Spec.Provider.IssuerURL == issuer {
			g.logout.Revoke(ctx, tokens)
		}
	}
}

// refresh renews tokens at the provider and counts it.
func (s *Server) refresh(client *provider.Client) proxy.Refresh {
	return func(ctx context.Context, old token.Set, target token.Target) (token.Set, error) {
		set, err := client.Refresh(ctx, old, target)
		reason := refreshReason(err)
		s.Metrics.Refresh(reason)
		event := telemetry.EventRefreshed
		if err != nil {
			event = telemetry.EventRefreshError
		}
		s.audit.Write(ctx, event, reason)
		return set, err
	}
}

func refreshReason(err error) string {
	switch reason := provider.ReasonOf(err); {
	case err == nil:
		return ""
	case reason != "":
		return string(reason)
	case errors.Is(err, token.ErrInvalidGrant):
		return string(provider.ReasonGrantRefused)
	}
	return "other"
}

func (s *Server) drainSessions(ctx context.Context, sessions sessions) {
	if err := sessions.Drain(ctx); err != nil {
		s.Logger.ErrorContext(ctx, "renewed tokens were not stored in time; their sessions may have to log in again", slog.Any("error", err))
	}
}

// keyOf identifies what a part was made of.
func keyOf(parts ...any) string {
	key, err := json.Marshal(parts)
	if err != nil {
		panic("marshal a part of the policy: " + err.Error()) // strings, and structs of them
	}
	return string(key)
}
