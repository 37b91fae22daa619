package logout_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

var tokens = token.Set{Refresh: "MARKER-refresh", Access: token.Access{Token: "MARKER-access"}}

// REV-02, REV-05: the provider is asked until it has done it, and not again
// after that (REV-03).
func TestRevocationIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.provider.revoke = []error{provider.ErrUnavailable, provider.ErrUnavailable, nil}
		began := time.Now()
		w.Revoke(t.Context(), tokens)
		synctest.Wait()
		if got := len(w.provider.revoked()); got != 1 {
			t.Errorf("%d attempts at once", got)
		}
		w.settle()
		if got, took := len(w.provider.revoked()), time.Since(began); got != 3 || took < 3*time.Second || took > 5*time.Second {
			t.Errorf("%d attempts in %v, want 3 within 1s and 2s and a half of each", got, took)
		}
		if len(w.counts.all()) != 1 || !w.counts.has("revocation ok") {
			t.Errorf("counted %v", w.counts.all())
		}
	})
}

// A provider that does not come back is not asked for ever.
func TestRevocationIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 1000 {
			w.provider.revoke = append(w.provider.revoke, provider.ErrUnavailable)
		}
		began := time.Now()
		w.Revoke(t.Context(), tokens)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := w.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if got, took := len(w.provider.revoked()), time.Since(began); got < 5 || got > 20 || took > 5*time.Minute {
			t.Errorf("%d attempts in %v", got, took)
		}
		if len(w.counts.all()) != 1 || w.counts.has("revocation ok") {
			t.Errorf("counted %v", w.counts.all())
		}
	})
}

// REV-06: a refusal is the end of it.
func TestRevocationRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.provider.revoke = []error{&provider.Error{Reason: provider.ReasonRevocationUnsupported}}
		w.Revoke(t.Context(), tokens)
		w.settle()
		if got := len(w.provider.revoked()); got != 1 || !w.counts.has("revocation revocation_unsupported") {
			t.Errorf("%d attempts, counted %v", got, w.counts.all())
		}
	})
}

func TestNothingToRevoke(t *testing.T) {
	w := newWorld(t)
	w.Revoke(t.Context(), token.Set{ID: hint})
	w.settle()
	if got := len(w.provider.revoked()); got != 0 || len(w.counts.all()) != 0 {
		t.Errorf("%d attempts, counted %v", got, w.counts.all())
	}
}

// Whoever logs out does not wait, and a browser that goes takes nothing with it.
func TestRevocationIsDetached(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Revoke(ctx, tokens)
	w.settle()
	if !w.counts.has("revocation ok") {
		t.Errorf("counted %v", w.counts.all())
	}
}

func TestRevocationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 10_000 {
			w.provider.revoke = append(w.provider.revoke, provider.ErrUnavailable)
		}
		for range 300 {
			w.Revoke(t.Context(), tokens)
		}
		busy := 0
		for _, seen := range w.counts.all() {
			if seen == "revocation busy" {
				busy++
			}
		}
		if busy != 300-256 {
			t.Errorf("%d were refused, want %d", busy, 300-256)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := w.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

// A shutdown waits as long as it may, then gives up what is left, and nothing
// begins any more.
func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 100 {
			w.provider.revoke = append(w.provider.revoke, provider.ErrUnavailable)
		}
		w.Revoke(t.Context(), tokens)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		if err := w.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 20*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		synctest.Wait()
		attempts := len(w.provider.revoked())
		w.Revoke(t.Context(), tokens)
		time.Sleep(time.Hour)
		if got := len(w.provider.revoked()); got != attempts || !w.counts.has("revocation busy") {
			t.Errorf("%d more attempts after the shutdown", got-attempts)
		}
	})
}
