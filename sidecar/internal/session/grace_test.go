package session_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// The usual request costs no call to the store.
func TestFoundSessionIsNotLookedUpAgain(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, value := w.login(t, &provider{})
		before := w.store.called("Load")
		for range 100 {
			if got := w.find(t, value); got != s {
				t.Fatal("it is another snapshot")
			}
		}
		if n := w.store.called("Load") - before; n != 0 {
			t.Errorf("the store was asked %d times", n)
		}
	})
}

func TestFindingAgainAllocatesNothing(t *testing.T) {
	w := newWorld(t, store.NewMemory(nil, 0))
	_, value := w.login(t, &provider{})
	if n := testing.AllocsPerRun(100, func() { w.find(t, value) }); n > 0 {
		t.Errorf("it allocates %v times", n)
	}
}

// BFF-14: what one replica ends, another does not find, though it has it in
// memory.
func TestEndIsSeenByEveryReplica(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, value := w.login(t, &provider{})
		other := w.replica()
		_, err := other.Find(t.Context(), value)
		wantErr(t, err, nil)
		wantErr(t, w.End(t.Context(), s, session.EndLogout), nil)
		_, err = other.Find(t.Context(), value)
		wantEnd(t, err, session.EndLogout)
	})
}

// A logout while a session is being loaded: what was loaded is not kept.
func TestEndDuringALookup(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, value := w.login(t, &provider{})
		slow := &slowStore{Store: w.store, loaded: make(chan struct{}), go_: make(chan struct{})}
		other := w.replicaOn(slow)
		done := make(chan error)
		go func() {
			_, err := other.Find(context.Background(), value)
			done <- err
		}()
		<-slow.loaded
		wantErr(t, w.End(t.Context(), s, session.EndLogout), nil)
		close(slow.go_)
		wantErr(t, <-done, nil) // it was before the logout
		_, err := other.Find(t.Context(), value)
		wantEnd(t, err, session.EndLogout)
	})
}

// slowStore holds back the first answer to Load.
type slowStore struct {
	store.Store
	loaded, go_ chan struct{}
	once        bool
}

func (s *slowStore) Load(ctx context.Context, key string) (store.Entry, error) {
	e, err := s.Store.Load(ctx, key)
	if !s.once {
		s.once = true
		close(s.loaded)
		<-s.go_
	}
	return e, err
}

// A cached session whose idle time seems over may have been used elsewhere: the
// store is asked before it is declared over.
func TestIdleEndIsAskedForInTheStore(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		other := w.replica()
		for range 5 {
			time.Sleep(idle - 3*time.Minute)
			s, err := other.Find(t.Context(), value)
			wantErr(t, err, nil)
			wantErr(t, other.Touch(t.Context(), s), nil)
			time.Sleep(2 * time.Minute)
			if s := w.find(t, value); !s.IdleExpiresAt.After(time.Now()) {
				t.Fatalf("it idles out at %s, it is %s", s.IdleExpiresAt, time.Now())
			}
		}
		time.Sleep(idle)
		_, err := w.Find(t.Context(), value)
		wantEnd(t, err, session.EndExpired)
		_, err = other.Find(t.Context(), value)
		wantErr(t, err, session.ErrNone)
	})
}

// The store cannot be reached: what is in memory goes on for the grace, and not
// longer. Nothing is deleted, and when the store is back all is well.
func TestOutageGrace(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, value := w.login(t, &provider{})
		_, unused := w.login(t, &provider{})
		stranger := w.replica() // has seen neither
		time.Sleep(5 * time.Minute)
		w.store.cutAll()
		start := time.Now()
		for time.Since(start) < grace {
			found := w.find(t, value)
			wantErr(t, w.Touch(t.Context(), found), nil)
			_, err := stranger.Find(t.Context(), value)
			wantErr(t, err, session.ErrUnavailable)
			time.Sleep(10 * time.Second)
		}
		for _, v := range []string{value, unused} {
			_, err := w.Find(t.Context(), v)
			wantErr(t, err, session.ErrUnavailable)
		}
		wantErr(t, w.Touch(t.Context(), s), session.ErrUnavailable)
		if n := w.store.called("Delete"); n != 0 {
			t.Errorf("%d sessions were deleted", n)
		}
		w.store.repair()
		w.find(t, value)
		w.find(t, unused)
		time.Sleep(time.Second)
		wantErr(t, w.Touch(t.Context(), w.find(t, value)), nil)
		if got := w.find(t, value); !got.IdleExpiresAt.Equal(time.Now().Add(idle)) {
			t.Error("the use after the outage was not written")
		}
	})
}

func TestNoOutageGrace(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle})
		_, value := w.login(t, &provider{})
		w.store.cutAll()
		_, err := w.Find(t.Context(), value)
		wantErr(t, err, session.ErrUnavailable)
		w.store.repair()
		w.find(t, value)
	})
}

// A session that is used in an outage does not idle out for want of a store to
// write that to; one that is not used does.
func TestIdlingInAnOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: 2 * time.Minute, OutageGrace: grace})
		_, used := w.login(t, &provider{})
		_, unused := w.login(t, &provider{})
		w.store.cutAll()
		for range 5 {
			time.Sleep(time.Minute)
			wantErr(t, w.Touch(t.Context(), w.find(t, used)), nil)
		}
		_, err := w.Find(t.Context(), unused)
		wantErr(t, err, session.ErrUnavailable)
	})
}

// Nothing outlives its life, outage or not.
func TestLifeEndsInAnOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.limits.Store(&session.Limits{Lifetime: 6 * time.Minute, IdleTimeout: 6 * time.Minute, OutageGrace: grace})
		_, value := w.login(t, &provider{})
		time.Sleep(5 * time.Minute)
		w.store.cutAll()
		w.find(t, value)
		time.Sleep(time.Minute)
		_, err := w.Find(t.Context(), value)
		wantEnd(t, err, session.EndExpired)
	})
}

// While the store is away each session in use asks for it about once a second,
// and the requests meanwhile do not wait.
func TestStoreIsLeftAloneInAnOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		w.store.cutAll()
		before := w.store.called("Load")
		for range 1000 { // in ten seconds
			w.find(t, value)
			time.Sleep(10 * time.Millisecond)
		}
		if n := w.store.called("Load") - before; n < 9 || n > 12 {
			t.Errorf("the store was asked %d times in ten seconds", n)
		}
		// Ended by somebody who reaches the store: seen as soon as it is asked.
		wantErr(t, w.store.Store.Delete(t.Context(), w.sessionKey(), string(session.EndBackChannel)), nil)
		w.store.repair()
		time.Sleep(time.Second)
		_, err := w.Find(t.Context(), value)
		wantEnd(t, err, session.EndBackChannel)
	})
}

// A connection that was lost for a moment: what is in memory is asked about
// once, and what was ended meanwhile is not found.
func TestReconnect(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, kept := w.login(t, &provider{})
		ended, value := w.login(t, &provider{})
		other := w.replicaOn(w.store.Store)
		w.store.Store.Watch(w.store)
		w.store.mu.Lock()
		w.store.deaf = true
		w.store.mu.Unlock()
		wantErr(t, other.End(t.Context(), ended, session.EndLogout), nil)
		if got, err := w.Find(t.Context(), value); err != nil || got != ended {
			t.Fatalf("this test has another way to know: %v", err)
		}
		w.store.mu.Lock()
		w.store.deaf = false
		w.store.mu.Unlock()
		w.store.Lost(0)
		before := w.store.called("Load")
		for range 50 {
			go func() {
				_, err := w.Find(context.Background(), value)
				wantEnd(t, err, session.EndLogout)
			}()
		}
		synctest.Wait()
		asked := w.store.called("Load")
		for range 10 {
			w.find(t, kept)
		}
		if n := w.store.called("Load") - asked; n != 1 {
			t.Errorf("the store was asked %d times about a session that has not changed", n)
		}
		if asked == before {
			t.Error("the store was not asked")
		}
	})
}

// A caller who does not wait is no outage: tokens are still renewed ahead of
// their expiry.
func TestImpatientCallerIsNoOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		replica := w.replicaOn(impatientStore{w.store})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := replica.Find(ctx, value)
		wantErr(t, err, session.ErrUnavailable)
		time.Sleep(life - time.Second)
		if got, err := replica.Refreshed(t.Context(), s, own, p.refresh); err != nil || got != s {
			t.Fatal(err)
		}
		wantErr(t, replica.Drain(t.Context()), nil)
		if n := p.called(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

// impatientStore gives up when its caller does.
type impatientStore struct{ store.Store }

func (s impatientStore) Load(ctx context.Context, key string) (store.Entry, error) {
	if ctx.Err() != nil {
		return store.Entry{}, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
	return s.Store.Load(ctx, key)
}

// Who asked for an end that the store could not be told of is not served from
// memory any more.
func TestEndInAnOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, value := w.login(t, &provider{})
		w.store.cutAll()
		w.find(t, value)
		wantErr(t, w.End(t.Context(), s, session.EndLogout), session.ErrUnavailable)
		_, err := w.Find(t.Context(), value)
		wantErr(t, err, session.ErrUnavailable)
	})
}

// A use that could not be written once, as when its caller had gone, says nothing
// about the outage that comes later.
func TestFailedTouchDoesNotUseUpTheGrace(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, value := w.login(t, &provider{})
		w.store.set(&w.store.down, []string{"Touch"})
		time.Sleep(idle / 5)
		wantErr(t, w.Touch(t.Context(), w.find(t, value)), nil)
		w.store.repair()
		time.Sleep(2 * time.Second)
		wantErr(t, w.Touch(t.Context(), w.find(t, value)), nil)
		time.Sleep(grace + time.Minute)
		w.find(t, value) // nobody doubts it
		w.store.cutAll()
		w.find(t, value)
	})
}
