package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
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
	sessions *session.Sessions
}

// providerPart is the provider's client.
type providerPart struct {
	key    string
	client *provider.Client
}

// loginParts makes the parts for a snapshot, or takes those of the generation in
// force that fit. What may change while they live (secrets, keys, limits) they
// ask the snapshot in force for.
func (s *Server) loginParts(snapshot *config.Snapshot, old *generation) (loginParts, error) {
	var parts loginParts
	p := s.providerConfig(snapshot)
	if key := keyOf(p.Issuer, p.ClientID, p.Method, p.Scopes, p.RedirectURL, p.ConnectTo); old != nil && old.parts.provider.key == key {
		parts.provider = old.parts.provider
	} else {
		parts.provider = &providerPart{key: key, client: provider.New(p)}
	}

	spec := snapshot.Policy.Spec.Session.Store
	key := keyOf(snapshot.Policy.UID, spec)
	if old != nil && old.parts.sessions.key == key && old.parts.sessions.retain() {
		parts.sessions = old.parts.sessions
		return parts, nil
	}
	backend, err := s.store(spec, snapshot)
	if err != nil {
		return parts, fmt.Errorf("open session store: %w", err)
	}
	sessions := session.New(session.Options{
		Store: backend, PolicyUID: string(snapshot.Policy.UID),
		Ring:   func() *keyring.Ring { return s.inForce(snapshot).Ring },
		Limits: func() session.Limits { return limitsOf(s.inForce(snapshot).Policy) },
		Clock:  s.Clock, Random: s.Random, Logger: s.Logger,
	})
	part := &sessionsPart{key: key, store: backend, sessions: sessions}
	part.counted = newCounted(func() {
		go func() { // a request must not wait for this
			ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
			defer cancel()
			s.drainSessions(ctx, sessions)
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
	return provider.Config{
		Issuer: spec.Provider.IssuerURL, ClientID: spec.Provider.ClientID, Method: spec.Provider.ClientAuthentication.Method,
		Secret: func() secret.String { return s.inForce(snapshot).ClientSecret },
		Scopes: spec.Provider.Scopes, RedirectURL: spec.PublicURL + spec.Endpoints.BasePath + "/callback",
		ConnectTo: spec.Provider.ConnectTo, Clock: s.Clock, Logger: s.Logger,
	}
}

func (s *Server) store(spec *v1alpha1.SessionStore, snapshot *config.Snapshot) (store.Store, error) {
	if spec.Type == v1alpha1.StoreMemory {
		return counting{store.NewMemory(s.Clock, memorySessions), s.Metrics}, nil
	}
	redis, err := store.NewRedis(store.RedisOptions{
		Address: spec.Redis.Address, Username: spec.Redis.Username, TLS: spec.Redis.TLS == v1alpha1.StoreTLSEnabled,
		Password: func() secret.String { return s.inForce(snapshot).StorePassword }, Logger: s.Logger,
	})
	if err != nil {
		return nil, err
	}
	return counting{redis, s.Metrics}, nil
}

func limitsOf(policy *v1alpha1.BFFPolicy) session.Limits {
	return session.Limits{Lifetime: policy.Spec.Session.Lifetime.Duration, IdleTimeout: policy.Spec.Session.IdleTimeout.Duration}
}

// refresh renews tokens at the provider and counts it.
func (s *Server) refresh(client *provider.Client) func(context.Context, token.Set) (token.Set, error) {
	return func(ctx context.Context, old token.Set) (token.Set, error) {
		set, err := client.Refresh(ctx, old)
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

func (s *Server) drainSessions(ctx context.Context, sessions *session.Sessions) {
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
