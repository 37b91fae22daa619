package session_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// as logs somebody in.
func (w *world) as(t testing.TB, issuer, subject, sid string) string {
	t.Helper()
	value, err := w.Create(t.Context(), session.Session{Issuer: issuer, Subject: subject, ProviderSID: sid, Tokens: (&provider{}).issue()})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// left are the sessions that a replica still finds, of those it had in memory.
func left(t testing.TB, replica *session.Sessions, values map[string]string, why session.EndReason) string {
	t.Helper()
	var found []string
	for _, name := range []string{"alice 1", "alice 1 again", "alice 2", "alice none", "bob 1", "bob 3", "other alice 1"} {
		_, err := replica.Find(t.Context(), values[name])
		if err == nil {
			found = append(found, name)
			continue
		}
		wantEnd(t, err, why)
	}
	return strings.Join(found, ", ")
}

// BCL-12: sid ends that one, sub all of the user's; nobody else's, whatever is
// called the same elsewhere; and every replica knows at once. BCL-10: unknown is
// no error.
func TestEndWithoutACookie(t *testing.T) {
	const other = "https://other.example.com"
	for name, row := range map[string]struct {
		end  func(s *session.Sessions, ctx context.Context) (int, error)
		n    int
		left string
	}{
		"by sid": {func(s *session.Sessions, ctx context.Context) (int, error) {
			return s.EndBySID(ctx, issuer, "2", session.EndBackChannel)
		}, 1, "alice 1, alice 1 again, alice none, bob 1, bob 3, other alice 1"},
		"by sid of several": {func(s *session.Sessions, ctx context.Context) (int, error) {
			return s.EndBySID(ctx, issuer, "1", session.EndBackChannel)
		}, 3, "alice 2, alice none, bob 3, other alice 1"},
		"by subject": {func(s *session.Sessions, ctx context.Context) (int, error) {
			return s.EndBySubject(ctx, issuer, "alice", session.EndBackChannel)
		}, 4, "bob 1, bob 3, other alice 1"},
		"BCL-10 unknown sid": {func(s *session.Sessions, ctx context.Context) (int, error) {
			return s.EndBySID(ctx, issuer, "9", session.EndBackChannel)
		}, 0, "alice 1, alice 1 again, alice 2, alice none, bob 1, bob 3, other alice 1"},
		"no sid": {func(s *session.Sessions, ctx context.Context) (int, error) {
			return s.EndBySID(ctx, issuer, "", session.EndBackChannel)
		}, 0, "alice 1, alice 1 again, alice 2, alice none, bob 1, bob 3, other alice 1"},
		"unknown subject": {func(s *session.Sessions, ctx context.Context) (int, error) {
			return s.EndBySubject(ctx, issuer, "1", session.EndBackChannel)
		}, 0, "alice 1, alice 1 again, alice 2, alice none, bob 1, bob 3, other alice 1"},
		"the name split elsewhere": {func(s *session.Sessions, ctx context.Context) (int, error) {
			return s.EndBySubject(ctx, issuer+"a", "lice", session.EndBackChannel)
		}, 0, "alice 1, alice 1 again, alice 2, alice none, bob 1, bob 3, other alice 1"},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				values := map[string]string{
					"alice 1": w.as(t, issuer, "alice", "1"), "alice 1 again": w.as(t, issuer, "alice", "1"), "alice 2": w.as(t, issuer, "alice", "2"),
					"alice none": w.as(t, issuer, "alice", ""), "bob 1": w.as(t, issuer, "bob", "1"), "bob 3": w.as(t, issuer, "bob", "3"),
					"other alice 1": w.as(t, other, "alice", "1"),
				}
				replica := w.replica()
				for _, value := range values {
					if _, err := replica.Find(t.Context(), value); err != nil {
						t.Fatal(err)
					}
				}
				n, err := row.end(w.Sessions, t.Context())
				wantErr(t, err, nil)
				if n != row.n {
					t.Errorf("%d sessions were ended, want %d", n, row.n)
				}
				for _, s := range []*session.Sessions{w.Sessions, replica} {
					if got := left(t, s, values, session.EndBackChannel); got != row.left {
						t.Errorf("left are %s, want %s", got, row.left)
					}
				}
				if n, err := row.end(replica, t.Context()); n != 0 || err != nil {
					t.Errorf("the second time it ended %d: %v", n, err)
				}
			})
		})
	}
}

// lyingStore has other sessions in its indexes.
type lyingStore struct {
	store.Store
	mu   sync.Mutex
	also []string
	// deleted are the keys that were deleted.
	deleted []string
}

func (l *lyingStore) Indexed(ctx context.Context, index string) ([]string, error) {
	keys, err := l.Store.Indexed(ctx, index)
	return append(keys, l.also...), err
}

func (l *lyingStore) Create(ctx context.Context, key string, n store.New) error {
	l.also = append(l.also, key)
	return l.Store.Create(ctx, key, n)
}

func (l *lyingStore) Delete(ctx context.Context, key, note string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deleted = append(l.deleted, key)
	return l.Store.Delete(ctx, key, note)
}

// What an index says is not believed: a leftover or a forged one ends nobody
// else's session.
func TestIndexIsNotBelieved(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		lying := &lyingStore{Store: w.store}
		w.Sessions = w.replicaOn(lying)
		alice := w.as(t, issuer, "alice", "1")
		bob := w.as(t, issuer, "bob", "2")
		lying.also = append(lying.also, "bff:{"+policyUID+"}:t:parked", "bff:{another}:s:x", "")
		for _, end := range []func() (int, error){
			func() (int, error) { return w.EndBySID(t.Context(), issuer, "1", session.EndBackChannel) },
			func() (int, error) { return w.EndBySubject(t.Context(), issuer, "alice", session.EndBackChannel) },
			func() (int, error) { return w.EndBySubject(t.Context(), issuer, "carol", session.EndBackChannel) },
		} {
			if _, err := end(); err != nil {
				t.Error(err)
			}
		}
		w.find(t, bob)
		_, err := w.Find(t.Context(), alice)
		wantEnd(t, err, session.EndBackChannel)
		if len(lying.deleted) < 1 || len(lying.deleted) > 2 {
			t.Errorf("%d entries were deleted", len(lying.deleted))
		}
	})
}

// A session whose key has left the ring cannot be told to be the user's: it is
// said that not all was done, and nothing of somebody else's goes.
func TestEndOfWhatCannotBeOpened(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		old := w.as(t, issuer, "alice", "1")
		ring := w.ring.Swap(newRing(t))
		w.as(t, issuer, "alice", "1")
		n, err := w.EndBySID(t.Context(), issuer, "1", session.EndBackChannel)
		wantErr(t, err, session.ErrUnreadable)
		if n != 1 {
			t.Errorf("%d sessions were ended", n)
		}
		w.ring.Store(ring)
		w.find(t, old)
		n, err = w.EndBySID(t.Context(), issuer, "1", session.EndBackChannel)
		if n != 1 || err != nil {
			t.Errorf("then %d were ended: %v", n, err)
		}
	})
}

func TestEndWithoutACookieInAnOutage(t *testing.T) {
	for _, method := range []string{"Indexed", "Load", "Delete"} {
		t.Run(method, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				value := w.as(t, issuer, "alice", "1")
				w.store.cut(method)
				_, err := w.EndBySID(t.Context(), issuer, "1", session.EndBackChannel)
				wantErr(t, err, session.ErrUnavailable)
				w.store.repair()
				if n, err := w.EndBySID(t.Context(), issuer, "1", session.EndBackChannel); n != 1 || err != nil {
					t.Errorf("ended %d: %v", n, err)
				}
				_, err = w.Find(t.Context(), value)
				wantEnd(t, err, session.EndBackChannel)
			})
		})
	}
}

// One session more than a user may have ends the oldest, of that user only.
func TestMaxPerUser(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle, MaxPerUser: 3})
		bob := w.as(t, issuer, "bob", "b")
		var values []string
		for i := range 10 {
			time.Sleep(time.Second)
			if i == 5 { // one that is over takes nobody's place
				wantErr(t, w.End(t.Context(), w.find(t, values[4]), session.EndLogout), nil)
			}
			values = append(values, w.as(t, issuer, "alice", fmt.Sprint(i)))
			var live []int
			for j, value := range values {
				if _, err := w.Find(t.Context(), value); err == nil {
					live = append(live, j)
				} else if j != 4 {
					wantEnd(t, err, session.EndLimit)
				}
			}
			want := map[int]string{0: "[0]", 1: "[0 1]", 2: "[0 1 2]", 5: "[2 3 5]", 6: "[3 5 6]", 9: "[7 8 9]"}[i]
			if got := fmt.Sprint(live); want != "" && got != want {
				t.Errorf("after login %d there are %s, want %s", i, got, want)
			}
		}
		w.find(t, bob)
		// A limit that is lower now holds at the next login.
		w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle, MaxPerUser: 1})
		time.Sleep(time.Second)
		last := w.as(t, issuer, "alice", "last")
		for _, value := range values {
			_, err := w.Find(t.Context(), value)
			wantErr(t, err, session.ErrNone)
		}
		w.find(t, last)
	})
}

// Logins at the same moment do not pass the limit.
func TestMaxPerUserOfManyAtOnce(t *testing.T) {
	w := newWorld(t, store.NewMemory(nil, 0))
	w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle, MaxPerUser: 2})
	replicas := []*session.Sessions{w.Sessions, w.replica(), w.replica()}
	var mu sync.Mutex
	var values []string
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			value, err := replicas[i%3].Create(context.Background(), session.Session{Issuer: issuer, Subject: "alice", Tokens: (&provider{}).issue()})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			values = append(values, value)
		})
	}
	group.Wait()
	n := 0
	for _, value := range values {
		if _, err := w.Find(t.Context(), value); err == nil {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d sessions are left, want 2", n)
	}
}

// A limit that cannot be kept creates no session.
func TestMaxPerUserInAnOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle, MaxPerUser: 1})
		w.store.cut("Indexed")
		_, err := w.Create(t.Context(), session.Session{Issuer: issuer, Subject: "alice", Tokens: (&provider{}).issue()})
		wantErr(t, err, session.ErrUnavailable)
		if n := w.store.called("Delete"); n != 1 {
			t.Errorf("the new session was not taken back: %d deletions", n)
		}
	})
}
