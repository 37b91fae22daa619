package session_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

func TestParkedValueIsTakenOnce(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		parked := []byte("id token MARKER")
		ticket, err := w.Park(t.Context(), parked, time.Minute)
		wantErr(t, err, nil)
		other, err := w.Park(t.Context(), nil, time.Minute)
		wantErr(t, err, nil)
		if ticket == other || strings.Contains(ticket, "MARKER") {
			t.Errorf("the tickets are %q and %q", ticket, other)
		}
		got, err := w.replica().Take(t.Context(), ticket)
		if err != nil || !bytes.Equal(got, parked) {
			t.Errorf("took %q: %v", got, err)
		}
		_, err = w.Take(t.Context(), ticket)
		wantErr(t, err, session.ErrNone)
		if got, err := w.Take(t.Context(), other); err != nil || len(got) != 0 {
			t.Errorf("took %q: %v", got, err)
		}
	})
}

func TestParkedValueIsForgotten(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		ticket, err := w.Park(t.Context(), []byte("x"), time.Minute)
		wantErr(t, err, nil)
		time.Sleep(time.Minute)
		_, err = w.Take(t.Context(), ticket)
		wantErr(t, err, session.ErrNone)
	})
}

func TestNoTicket(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		_, cookie := w.login(t, &provider{})
		for _, ticket := range []string{"", cookie, cookie[:42], strings.Repeat("A", 43), strings.Repeat("%", 43), strings.Repeat("A", 1<<20)} {
			_, err := w.Take(t.Context(), ticket)
			wantErr(t, err, session.ErrNone)
		}
		w.find(t, cookie)
		for _, ttl := range []time.Duration{0, -time.Second} {
			if _, err := w.Park(t.Context(), []byte("x"), ttl); err == nil {
				t.Errorf("parked for %s", ttl)
			}
			if _, err := w.Once(t.Context(), "x", ttl); err == nil {
				t.Errorf("once for %s", ttl)
			}
		}
		_, err := w.Park(t.Context(), make([]byte, session.MaxRecordSize+1), time.Minute)
		wantErr(t, err, session.ErrTooLarge)
	})
}

func TestParkingInAnOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		ticket, err := w.Park(t.Context(), []byte("x"), time.Minute)
		wantErr(t, err, nil)
		w.store.cutAll()
		_, err = w.Park(t.Context(), []byte("x"), time.Minute)
		wantErr(t, err, session.ErrUnavailable)
		_, err = w.Take(t.Context(), ticket)
		wantErr(t, err, session.ErrUnavailable)
		first, err := w.Once(t.Context(), "x", time.Minute)
		wantErr(t, err, session.ErrUnavailable)
		if first {
			t.Error("it says that it is the first, and cannot know")
		}
		w.store.repair()
		if _, err := w.Take(t.Context(), ticket); err != nil {
			t.Error(err)
		}
	})
}

// Who takes a ticket, or comes with a name, at the same moment: one.
func TestOnceMeansOnce(t *testing.T) {
	w := newWorld(t, store.NewMemory(nil, 0))
	replicas := []*session.Sessions{w.Sessions, w.replica(), w.replica()}
	ticket, err := w.Park(t.Context(), []byte("x"), time.Minute)
	wantErr(t, err, nil)
	var firsts, taken atomic.Int32
	var group sync.WaitGroup
	for i := range 60 {
		group.Go(func() {
			if first, err := replicas[i%3].Once(context.Background(), "jti", time.Minute); err != nil {
				t.Error(err)
			} else if first {
				firsts.Add(1)
			}
			if _, err := replicas[i%3].Take(context.Background(), ticket); err == nil {
				taken.Add(1)
			} else if !errors.Is(err, session.ErrNone) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if firsts.Load() != 1 || taken.Load() != 1 {
		t.Errorf("%d were first, %d took the value", firsts.Load(), taken.Load())
	}
}

// BCL-09: a name is remembered as long as it was asked for.
func TestOnceIsRemembered(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		for i, want := range []bool{true, false, false} {
			if first, err := w.Once(t.Context(), "jti", time.Minute); err != nil || first != want {
				t.Errorf("time %d: %v, %v", i, first, err)
			}
			time.Sleep(29 * time.Second)
		}
		if first, err := w.Once(t.Context(), "another", time.Minute); err != nil || !first {
			t.Errorf("another name: %v, %v", first, err)
		}
		time.Sleep(time.Minute)
		if first, err := w.Once(t.Context(), "jti", time.Minute); err != nil || !first {
			t.Errorf("later: %v, %v", first, err)
		}
	})
}
