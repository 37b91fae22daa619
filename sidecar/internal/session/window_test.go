package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

// BCL-12: how long a replica serves a session that was ended elsewhere, if the
// network before its store swallows everything and closes nothing: for
// Limits.OutageGrace since the store was last heard of, or until the silence is
// noticed if that is later. Whatever happens, it is never more.
func TestRevokedSessionWindow(t *testing.T) {
	const (
		noticed = 12 * time.Second // with the usual time-out; the documentation names this number
		slack   = time.Second      // for a busy machine
	)
	if bound := store.SilenceBound(store.DefaultTimeout); bound != noticed {
		t.Fatalf("a silent network is noticed after %s, the documentation says %s", bound, noticed)
	}
	for name, row := range map[string]struct {
		grace  time.Duration
		busy   bool // others need the store
		window time.Duration
	}{
		"idle, no grace":                        {0, false, noticed},
		"idle, a grace shorter than the notice": {time.Second, false, noticed},
		"idle, with a grace":                    {noticed + 3*time.Second, false, noticed + 3*time.Second},
		"busy, no grace":                        {0, true, store.DefaultTimeout},
		"busy, with a grace":                    {5 * time.Second, true, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			proxy := redistest.NewProxy(t, server)
			w := newWorld(t, newRedis(t, server.Address))
			w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle, OutageGrace: row.grace})
			sess, value := w.login(t, &provider{lives: time.Hour})
			cut := w.replicaOn(newRedis(t, proxy.Address))
			if _, err := cut.Find(t.Context(), value); err != nil {
				t.Fatal(err)
			}

			proxy.Hang()
			hung := time.Now()
			wantErr(t, w.End(t.Context(), sess, session.EndLogout), nil)
			if row.busy {
				stop := make(chan struct{})
				defer close(stop)
				go func() {
					for tick := time.Tick(50 * time.Millisecond); ; {
						select {
						case <-tick:
							_, _ = cut.Find(t.Context(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
						case <-stop:
							return
						}
					}
				}()
			}

			var served time.Duration
			calls := 0
			for {
				_, ready := cut.Ready(value, own, true)
				_, err := cut.Find(t.Context(), value)
				if ready || err == nil {
					served = time.Since(hung)
					calls++
				}
				if err != nil {
					if !ready && errors.Is(err, session.ErrUnavailable) {
						break
					}
					t.Fatalf("ready: %v, found: %v", ready, err)
				}
				if served > row.window+slack {
					t.Fatalf("it is still served %s after the network fell silent, want at most %s", served, row.window)
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Logf("served %d times, for %s of at most %s", calls, served.Round(time.Millisecond), row.window)
			if served < min(row.grace, row.window)-2*time.Second {
				t.Errorf("it was served for %s only, though there is a grace of %s", served, row.grace)
			}

			proxy.Pass()
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				_, err := cut.Find(t.Context(), value)
				if errors.Is(err, session.ErrNone) {
					wantEnd(t, err, session.EndLogout)
					break
				}
				if err == nil || time.Now().After(deadline) {
					t.Fatalf("after the network came back: %v", err)
				}
			}
		})
	}
}
