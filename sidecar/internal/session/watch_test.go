package session_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// drained is what a watch has said so far, and whether it is closed.
func drained(events <-chan session.Event) (said []session.Event, closed bool) {
	synctest.Wait()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return said, true
			}
			said = append(said, e)
		default:
			return said, false
		}
	}
}

// BCL-22: who streams on another replica is told that the session has ended, and
// why.
func TestWatchTellsTheEnd(t *testing.T) {
	for name, row := range map[string]struct {
		end func(t *testing.T, w *world, s *session.Session)
		why session.EndReason
	}{
		"logout": {func(t *testing.T, w *world, s *session.Session) {
			wantErr(t, w.End(t.Context(), s, session.EndLogout), nil)
		}, session.EndLogout},
		"back-channel logout": {func(t *testing.T, w *world, s *session.Session) {
			_, err := w.EndBySID(t.Context(), s.Issuer, s.ProviderSID, session.EndBackChannel)
			wantErr(t, err, nil)
		}, session.EndBackChannel},
		"the provider refuses": {func(t *testing.T, w *world, s *session.Session) {
			time.Sleep(life)
			_, err := w.Refreshed(t.Context(), s, own, (&provider{dead: true}).refresh)
			wantErr(t, err, session.ErrEnded)
		}, session.EndRefused},
		"idle": {func(t *testing.T, w *world, s *session.Session) {
			time.Sleep(idle)
		}, session.EndExpired},
		"used to the end of its life": {func(t *testing.T, w *world, s *session.Session) {
			for range int(lifetime / (20 * time.Minute)) {
				time.Sleep(20 * time.Minute)
				_ = w.Touch(t.Context(), s)
			}
		}, session.EndExpired},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				s, value := w.login(t, &provider{})
				other := w.replica()
				theirs, err := other.Find(t.Context(), value)
				wantErr(t, err, nil)
				here, stopHere := w.Watch(s)
				there, stopThere := other.Watch(theirs)
				again, stopAgain := other.Watch(theirs)
				gone, stop := other.Watch(theirs)
				stop()
				defer stopHere()
				defer stopThere()
				defer stopAgain()
				synctest.Wait()
				row.end(t, w, s)
				for where, events := range map[string]<-chan session.Event{"here": here, "there": there, "there again": again} {
					said, closed := drained(events)
					if len(said) != 1 || said[0] != (session.Event{Kind: session.EventEnded, Reason: row.why}) || !closed {
						t.Errorf("%s it said %v, closed: %v", where, said, closed)
					}
				}
				if said, closed := drained(gone); len(said) != 0 || closed {
					t.Errorf("who had stopped was told %v, closed: %v", said, closed)
				}
			})
		})
	}
}

// Reading late blocks nobody, and the end is told all the same.
func TestWatchTellsARefresh(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		other := w.replica()
		theirs, err := other.Find(t.Context(), value)
		wantErr(t, err, nil)
		events, stop := other.Watch(theirs)
		defer stop()
		late, stopLate := other.Watch(theirs)
		defer stopLate()
		if said, _ := drained(events); len(said) != 0 {
			t.Errorf("it said %v before anything happened", said)
		}
		for range 5 {
			time.Sleep(life)
			s = refreshed(t, w, s, p)
			if said, closed := drained(events); len(said) != 1 || said[0].Kind != session.EventRefreshed || closed {
				t.Errorf("it said %v, closed: %v", said, closed)
			}
		}
		time.Sleep(5 * time.Minute)
		wantErr(t, w.Touch(t.Context(), w.find(t, value)), nil) // which is no news
		if said, _ := drained(events); len(said) != 0 {
			t.Errorf("it said %v", said)
		}
		wantErr(t, w.End(t.Context(), s, session.EndLogout), nil)
		said, closed := drained(late)
		if len(said) != 2 || said[0].Kind != session.EventRefreshed || said[1].Kind != session.EventEnded || !closed {
			t.Errorf("who read late was told %v, closed: %v", said, closed)
		}
	})
}

// Use on another replica keeps a watched session alive here.
func TestWatchAsksBeforeItSaysExpired(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, value := w.login(t, &provider{})
		other := w.replica()
		events, stop := w.Watch(s)
		defer stop()
		for range 5 {
			time.Sleep(idle - time.Minute)
			theirs, err := other.Find(t.Context(), value)
			wantErr(t, err, nil)
			wantErr(t, other.Touch(t.Context(), theirs), nil)
		}
		if said, closed := drained(events); len(said) != 0 || closed {
			t.Errorf("it said %v, closed: %v", said, closed)
		}
	})
}

// While the store is away nothing is said; what happened meanwhile is told when
// it is back.
func TestWatchInAnOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, _ := w.login(t, &provider{})
		kept, _ := w.login(t, &provider{})
		events, stop := w.Watch(s)
		defer stop()
		others, stopOthers := w.Watch(kept)
		defer stopOthers()
		synctest.Wait()
		w.store.cutAll()
		time.Sleep(2 * grace)
		if said, closed := drained(events); len(said) != 0 || closed {
			t.Errorf("it said %v, closed: %v", said, closed)
		}
		reached := w.replicaOn(&faultyStore{Store: w.store.Store, watchers: []store.Watcher{w.store}})
		w.store.mu.Lock()
		w.store.deaf = true
		w.store.mu.Unlock()
		wantErr(t, reached.End(t.Context(), s, session.EndLogout), nil)
		w.store.mu.Lock()
		w.store.deaf = false
		w.store.mu.Unlock()
		w.store.repair()
		time.Sleep(5 * time.Second)
		if said, closed := drained(events); len(said) != 1 || said[0].Reason != session.EndLogout || !closed {
			t.Errorf("it said %v, closed: %v", said, closed)
		}
		if said, closed := drained(others); len(said) != 0 || closed {
			t.Errorf("of another session it said %v, closed: %v", said, closed)
		}
	})
}

// A session that is over already is told so.
func TestWatchOfAnEndedSession(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		s, _ := w.login(t, &provider{})
		wantErr(t, w.End(t.Context(), s, session.EndReplaced), nil)
		events, stop := w.Watch(s)
		defer stop()
		if said, closed := drained(events); len(said) != 1 || said[0].Reason != session.EndReplaced || !closed {
			t.Errorf("it said %v, closed: %v", said, closed)
		}
	})
}

// What is known from memory alone is looked at again, also when the store has
// answered somebody else in between.
func TestWatchDoesNotRestOnMemory(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		var answers atomic.Bool // whenever the watch has got its session from memory
		var watching *session.Sessions
		watching = session.New(session.Options{
			Store: w.store, Ring: w.ring.Load, PolicyUID: policyUID,
			Limits: func() session.Limits {
				if answers.Load() {
					_, _ = watching.Once(context.Background(), "anything", time.Minute)
				}
				return *w.limits.Load()
			},
		})
		s, value := w.login(t, &provider{})
		_, err := watching.Find(t.Context(), value)
		wantErr(t, err, nil)
		events, stop := watching.Watch(s)
		defer stop()
		synctest.Wait()
		answers.Store(true)
		w.store.cut("Load")
		time.Sleep(10 * time.Second)
		reached := w.replicaOn(&faultyStore{Store: w.store.Store, watchers: []store.Watcher{w.store}})
		w.store.mu.Lock()
		w.store.deaf = true
		w.store.mu.Unlock()
		wantErr(t, reached.End(t.Context(), s, session.EndLogout), nil)
		w.store.repair()
		time.Sleep(5 * time.Second)
		if said, closed := drained(events); len(said) != 1 || said[0].Reason != session.EndLogout || !closed {
			t.Errorf("it said %v, closed: %v", said, closed)
		}
	})
}
