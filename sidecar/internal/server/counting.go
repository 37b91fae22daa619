package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// operation is what is asked of a store.
type operation int

const (
	opCreate operation = iota
	opLoad
	opReplace
	opTouch
	opDelete
	opIndexed
	opAcquire
	opRenew
	opRelease
	opPut
	opTake
	opPing
	operations // how many there are
)

var operationNames = [operations]string{"create", "load", "replace", "touch", "delete", "indexed", "acquire", "renew", "release", "put", "take", "ping"}

// counting counts the calls of a store and those that failed. An entry that is
// not there, is there already, or was changed is an answer and no failure.
type counting struct {
	store.Store
	metrics *telemetry.Metrics
	calls   [operations]prometheus.Counter
}

func newCounting(s store.Store, m *telemetry.Metrics) *counting {
	c := &counting{Store: s, metrics: m}
	for i, name := range operationNames {
		c.calls[i] = m.StoreCalls(name)
	}
	return c
}

func (c *counting) count(o operation, err error) error {
	c.calls[o].Inc()
	if errors.Is(err, store.ErrUnavailable) {
		c.metrics.StoreError(operationNames[o])
	}
	return err
}

func (c *counting) Create(ctx context.Context, key string, n store.New) error {
	return c.count(opCreate, c.Store.Create(ctx, key, n))
}

func (c *counting) Load(ctx context.Context, key string) (store.Entry, error) {
	e, err := c.Store.Load(ctx, key)
	return e, c.count(opLoad, err)
}

func (c *counting) Replace(ctx context.Context, key string, e store.Entry, lease *store.Lease) error {
	return c.count(opReplace, c.Store.Replace(ctx, key, e, lease))
}

func (c *counting) Touch(ctx context.Context, key string, idle time.Duration) error {
	return c.count(opTouch, c.Store.Touch(ctx, key, idle))
}

func (c *counting) Delete(ctx context.Context, key, note string) error {
	return c.count(opDelete, c.Store.Delete(ctx, key, note))
}

func (c *counting) Indexed(ctx context.Context, index string) ([]string, error) {
	keys, err := c.Store.Indexed(ctx, index)
	return keys, c.count(opIndexed, err)
}

func (c *counting) Acquire(ctx context.Context, key string, ttl time.Duration) (store.Lease, error) {
	lease, err := c.Store.Acquire(ctx, key, ttl)
	return lease, c.count(opAcquire, err)
}

func (c *counting) Renew(ctx context.Context, lease store.Lease, ttl time.Duration) error {
	return c.count(opRenew, c.Store.Renew(ctx, lease, ttl))
}

func (c *counting) Release(ctx context.Context, lease store.Lease) error {
	return c.count(opRelease, c.Store.Release(ctx, lease))
}

func (c *counting) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.count(opPut, c.Store.Put(ctx, key, value, ttl))
}

func (c *counting) Take(ctx context.Context, key string) ([]byte, error) {
	value, err := c.Store.Take(ctx, key)
	return value, c.count(opTake, err)
}

func (c *counting) Ping(ctx context.Context) error { return c.count(opPing, c.Store.Ping(ctx)) }

// sessions are the sessions of a policy and a provider, whose finds and ends are
// counted.
type sessions struct {
	*session.Sessions
	issuer  string
	metrics *telemetry.Metrics
}

// Find finds no session of another provider, which the policy may have named
// before: its tokens must not be sent to this one.
func (s sessions) Find(ctx context.Context, cookieValue string) (*session.Session, error) {
	s.metrics.SessionFind()
	sess, err := s.Sessions.Find(ctx, cookieValue)
	if err == nil && sess.Issuer != s.issuer {
		return nil, fmt.Errorf("find session: %w, it is of another provider", session.ErrNone)
	}
	return sess, err
}

// Ready is Find for a session that is in memory.
func (s sessions) Ready(cookieValue string, target token.Target, needsToken bool) (*session.Session, bool) {
	sess, ok := s.Sessions.Ready(cookieValue, target, needsToken)
	if !ok || sess.Issuer != s.issuer {
		return nil, false
	}
	s.metrics.SessionFind()
	return sess, true
}

func (s sessions) End(ctx context.Context, sess *session.Session, why session.EndReason) error {
	err := s.Sessions.End(ctx, sess, why)
	if err == nil {
		s.metrics.SessionsEnded(1, string(why))
	}
	return err
}

func (s sessions) EndBySID(ctx context.Context, issuer, sid string, why session.EndReason) (int, error) {
	n, err := s.Sessions.EndBySID(ctx, issuer, sid, why)
	s.metrics.SessionsEnded(n, string(why))
	return n, err
}

func (s sessions) EndBySubject(ctx context.Context, issuer, subject string, why session.EndReason) (int, error) {
	n, err := s.Sessions.EndBySubject(ctx, issuer, subject, why)
	s.metrics.SessionsEnded(n, string(why))
	return n, err
}
