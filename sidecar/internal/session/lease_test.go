package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// leaseTime is how long a dead replica's lease lasts.
const leaseTime = 5 * time.Second

// sessionKey is the key of the session that was looked up last.
func (w *world) sessionKey() string {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.key
}

// GAP-06: while one replica asks the provider, however long, the others wait for
// its result and use that.
func TestReplicasWaitForTheOneThatRefreshes(t *testing.T) {
	for name, hear := range map[string]bool{"told of the change": false, "polling": true} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				p := &provider{takes: 12 * time.Second} // longer than a lease lasts by itself
				s, _ := w.login(t, p)
				others := []*session.Sessions{w.replica(), w.replica()}
				time.Sleep(life)
				w.store.mu.Lock()
				w.store.deaf = hear
				w.store.mu.Unlock()
				start := time.Now()
				for _, replica := range append(others, w.Sessions) {
					for range 10 {
						go func() {
							got, err := replica.Refreshed(context.Background(), s, own, p.refresh)
							if err != nil {
								t.Error(err)
							} else if got.Tokens.Access.Token != "access-2" {
								t.Errorf("the access token is %q", got.Tokens.Access.Token)
							}
							if took := time.Since(start); took < p.takes || took > p.takes+time.Second {
								t.Errorf("it took %s", took)
							}
						}()
					}
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if n := p.called(); n != 1 {
					t.Errorf("the provider was asked %d times", n)
				}
			})
		})
	}
}

// A replica that dies with the lease delays the others until it has run out. If
// it had not spent the refresh token, nothing is lost.
func TestReplicaDiesHoldingTheLease(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, _ := w.login(t, p)
		time.Sleep(life)
		if _, err := w.store.Acquire(t.Context(), w.sessionKey(), leaseTime); err != nil { // and is never heard of again
			t.Fatal(err)
		}
		start := time.Now()
		got := refreshed(t, w, s, p)
		if took := time.Since(start); got.Tokens.Access.Token != "access-2" || took > leaseTime+500*time.Millisecond {
			t.Errorf("the access token is %q after %s", got.Tokens.Access.Token, took)
		}
	})
}

// If it had spent it, the session is lost, and only after the lease has run out.
func TestReplicaDiesHavingSpentTheToken(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		if _, err := w.store.Acquire(t.Context(), w.sessionKey(), leaseTime); err != nil {
			t.Fatal(err)
		}
		if _, err := p.refresh(t.Context(), s.Tokens, own); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := w.Refreshed(t.Context(), s, own, p.refresh)
		wantErr(t, err, session.ErrEnded)
		if took := time.Since(start); took > leaseTime+1500*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		_, err = w.Find(t.Context(), value)
		wantEnd(t, err, session.EndRefused)
	})
}

// stalled is a replica that cannot renew its lease, and what happens when the
// lease has run out while it waits for the provider: the provider answers it
// after another replica has taken over.
func stalled(t *testing.T, w *world, p *provider, s *session.Session) (result *session.Session, err error) {
	t.Helper()
	own := &faultyStore{Store: w.store}
	slow := w.replicaOn(own)
	answers := func(ctx context.Context, old token.Set, target token.Target) (token.Set, error) {
		own.cut("Renew")
		set, err := p.refresh(ctx, old, target) // spent at once,
		time.Sleep(2 * leaseTime)               // and the answer takes its time
		own.repair()
		return set, err
	}
	return slow.Refreshed(context.Background(), s, token.Target{}, answers)
}

// A replica that has stood still for longer than its lease lasts does not
// overwrite what the next one has stored.
func TestOvertakenReplicaUsesWhatIsStored(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		done := make(chan *session.Session)
		go func() {
			got, err := stalled(t, w, p, s)
			if err != nil {
				t.Error(err)
			}
			done <- got
		}()
		synctest.Wait()
		p.takeAgain(s.Tokens.Refresh) // a provider with a grace period
		time.Sleep(leaseTime)
		theirs := refreshed(t, w, s, p)
		ours := <-done
		if ours.Tokens.Access.Token != theirs.Tokens.Access.Token || w.find(t, value).Tokens.Access.Token != theirs.Tokens.Access.Token {
			t.Error("the replicas have different tokens")
		}
	})
}

// GAP-07: but when the provider rotates strictly its tokens are the only good
// ones. The next replica, whose refresh token was spent, finds them.
func TestOvertakenReplicaSavesTheSession(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		done := make(chan *session.Session)
		go func() {
			got, err := stalled(t, w, p, s)
			if err != nil {
				t.Error(err)
			}
			done <- got
		}()
		synctest.Wait()
		time.Sleep(2*leaseTime - 300*time.Millisecond)
		theirs := refreshed(t, w, s, p)
		ours := <-done
		if ours.Tokens.Access.Token != theirs.Tokens.Access.Token || w.find(t, value).Tokens.Access.Token != "access-2" {
			t.Error("the session was lost, or the replicas have different tokens")
		}
	})
}

// Only who has the lease may end a session for a refused token.
func TestOvertakenReplicaEndsNothing(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		ownStore := &faultyStore{Store: w.store}
		slow := w.replicaOn(ownStore)
		time.Sleep(life)
		done := make(chan error)
		go func() {
			_, err := slow.Refreshed(context.Background(), s, own, func(ctx context.Context, old token.Set, target token.Target) (token.Set, error) {
				ownStore.cut("Renew")
				time.Sleep(leaseTime + time.Second)
				ownStore.repair()
				return p.refresh(ctx, old, target) // is refused: the other one was first
			})
			done <- err
		}()
		synctest.Wait()
		time.Sleep(leaseTime)
		// The other's answer is slow too: it has the lease, and nothing is stored yet.
		w.store.first("Replace", func() { time.Sleep(4 * time.Second) })
		theirs := refreshed(t, w, s, p)
		wantErr(t, <-done, nil)
		if got := w.find(t, value); got.Tokens.Access.Token != theirs.Tokens.Access.Token {
			t.Error("the session has other tokens")
		}
	})
}

// The stored tokens win over ours when they are later ones.
func TestLateCallerGetsWhatAnotherReplicaStored(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, _ := w.login(t, p)
		other := w.replica()
		time.Sleep(life)
		theirs, err := other.Refreshed(t.Context(), s, own, p.refresh)
		wantErr(t, err, nil)
		if ours := refreshed(t, w, s, p); ours.Tokens.Access.Token != theirs.Tokens.Access.Token || p.called() != 1 {
			t.Errorf("the replicas have different tokens after %d calls", p.called())
		}
	})
}

// A logout during a refresh stays a logout, and the tokens that nobody can use
// any more are handed back.
func TestSessionEndedDuringRefresh(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.first("Replace", func() { wantErr(t, w.replica().End(t.Context(), s, session.EndLogout), nil) })
		_, err := w.Refreshed(t.Context(), s, own, p.refresh)
		wantEnd(t, err, session.EndLogout)
		_, err = w.Find(t.Context(), value)
		wantEnd(t, err, session.EndLogout)
		if got := w.thrownAway(); len(got) != 1 || got[0] != "refresh-2" {
			t.Errorf("handed back %q", got)
		}
	})
}

// The lease goes back whatever comes of a refresh: the next replica need not wait.
func TestLeaseIsGivenBack(t *testing.T) {
	for name, p := range map[string]*provider{
		"renewed":           {},
		"failed":            {failing: always},
		"no token":          {failing: func(int) error { return token.ErrInvalidTarget }},
		"the answer is odd": {answer: func(token.Set) token.Set { return token.Set{} }},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				s, _ := w.login(t, p)
				time.Sleep(life)
				_, err := w.Refreshed(t.Context(), s, own, p.refresh)
				if errors.Is(err, session.ErrEnded) {
					t.Error(err)
				}
				start := time.Now()
				lease, err := w.store.Acquire(t.Context(), w.sessionKey(), leaseTime)
				wantErr(t, err, nil)
				wantErr(t, w.store.Release(t.Context(), lease), nil)
				if took := time.Since(start); took != 0 {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// pausing is a store whose user stands still for a while after it has read a
// session under its lease, as a process does that gets no processor time.
type pausing struct {
	*faultyStore
	leased bool
	pause  time.Duration
}

func (p *pausing) Acquire(ctx context.Context, key string, ttl time.Duration) (store.Lease, error) {
	lease, err := p.faultyStore.Acquire(ctx, key, ttl)
	p.leased = err == nil
	return lease, err
}

func (p *pausing) Load(ctx context.Context, key string) (store.Entry, error) {
	e, err := p.faultyStore.Load(ctx, key)
	if p.leased && p.pause > 0 {
		p.cut("Renew")
		time.Sleep(p.pause)
		p.pause = 0
		p.repair()
	}
	return e, err
}

// GAP-06: who wakes up after its lease has run out does not spend a refresh token
// that another replica may have spent meanwhile: a provider that sees one twice
// may end the grant (RFC 9700 section 4.14.2).
func TestReplicaWakesUpWithoutItsLease(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, _ := w.login(t, p)
		late := w.replicaOn(&pausing{faultyStore: &faultyStore{Store: w.store}, pause: 2 * leaseTime})
		time.Sleep(life)
		result := make(chan *session.Session)
		go func() {
			got, err := late.Refreshed(context.Background(), s, own, p.refresh)
			if err != nil {
				t.Error(err)
			}
			result <- got
		}()
		time.Sleep(leaseTime + time.Second)
		first := refreshed(t, w, s, p)
		if got := <-result; got == nil || got.Tokens.Access.Token != first.Tokens.Access.Token {
			t.Error("the late one has other tokens")
		}
		if n := p.called(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}
