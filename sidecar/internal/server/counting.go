package server

import (
	"context"
	"errors"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/telemetry"
)

// counting counts the failures of a store. An entry that is not there, is there
// already, or was changed is an answer and no failure.
type counting struct {
	store.Store
	metrics *telemetry.Metrics
}

func (c counting) count(operation string, err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		c.metrics.StoreError(operation)
	}
	return err
}

func (c counting) Create(ctx context.Context, key string, e store.Entry, lifetime, idle time.Duration) error {
	return c.count("create", c.Store.Create(ctx, key, e, lifetime, idle))
}

func (c counting) Load(ctx context.Context, key string) (store.Entry, error) {
	e, err := c.Store.Load(ctx, key)
	return e, c.count("load", err)
}

func (c counting) Replace(ctx context.Context, key string, e store.Entry) error {
	return c.count("replace", c.Store.Replace(ctx, key, e))
}

func (c counting) Touch(ctx context.Context, key string, idle time.Duration) error {
	return c.count("touch", c.Store.Touch(ctx, key, idle))
}

func (c counting) Delete(ctx context.Context, key string) error {
	return c.count("delete", c.Store.Delete(ctx, key))
}

func (c counting) Ping(ctx context.Context) error { return c.count("ping", c.Store.Ping(ctx)) }
