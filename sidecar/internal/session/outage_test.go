package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
)

// GAP-07: the provider rotated, and then the store is away. The new tokens serve
// from memory and are stored as soon as that is possible.
func TestRotatedTokensSurviveAStoreOutage(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.cut("Replace")
		renewed := refreshed(t, w, s, p)
		if renewed.Tokens.Access.Token == s.Tokens.Access.Token {
			t.Fatal("the waiting caller got old tokens")
		}
		// Others of this process get them too, whatever the store says.
		if got := w.find(t, value); got.Tokens.Access.Token != renewed.Tokens.Access.Token || got.Tokens.Refresh != renewed.Tokens.Refresh {
			t.Error("Find has old tokens")
		}
		if got := refreshed(t, w, s, p); got.Tokens.Access.Token != renewed.Tokens.Access.Token {
			t.Error("a late caller got other tokens")
		}
		w.store.cut("Replace", "Load")
		if got := refreshed(t, w, s, p); got.Tokens.Access.Token != renewed.Tokens.Access.Token {
			t.Error("a late caller got other tokens while the store is away")
		}

		time.Sleep(30 * time.Second)
		w.store.repair()
		wantErr(t, w.Drain(t.Context()), nil)
		other, err := w.replica().Find(t.Context(), value)
		wantErr(t, err, nil)
		if other.Tokens.Access.Token != renewed.Tokens.Access.Token {
			t.Error("the tokens were not stored")
		}
		if n := p.called(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
		if log := w.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "trying again") {
			t.Errorf("the log is %s", log)
		}
	})
}

// Sessions that go on for the grace must not lose their tokens before it is over.
func TestRotatedTokensSurviveAnOutageAsLongAsTheGrace(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.first("Replace", w.store.cutAll)
		renewed := refreshed(t, w, s, p)
		time.Sleep(grace - 10*time.Second)
		w.store.repair()
		wantErr(t, w.Drain(t.Context()), nil)
		other, err := w.replica().Find(t.Context(), value)
		wantErr(t, err, nil)
		if other.Tokens.Refresh != renewed.Tokens.Refresh {
			t.Error("the tokens were not stored")
		}
	})
}

// The write happened and its answer was lost: the retry meets its own result.
func TestLostAnswerOfTheStore(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.loseAnswers("Replace")
		renewed := refreshed(t, w, s, p)
		time.Sleep(3 * time.Second)
		w.store.repair()
		wantErr(t, w.Drain(t.Context()), nil)
		if got := w.find(t, value); got.Tokens.Access.Token != renewed.Tokens.Access.Token {
			t.Error("the tokens were not stored")
		}
		time.Sleep(life)
		refreshed(t, w, w.find(t, value), p)
	})
}

// An outage of the store longer than a token's life: nothing more is spent, and
// what was renewed is stored in the end.
func TestOutageLongerThanATokensLife(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.first("Replace", w.store.cutAll)
		renewed := refreshed(t, w, s, p)
		time.Sleep(life / 2)
		if got := refreshed(t, w, w.find(t, value), p); got.Tokens.Access.Token != renewed.Tokens.Access.Token {
			t.Error("a token that is valid does not go on")
		}
		time.Sleep(life / 2)
		_, err := w.Refreshed(t.Context(), w.find(t, value), own, p.refresh)
		wantErr(t, err, session.ErrUnavailable)
		if n := p.called(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
		w.store.repair()
		newest := refreshed(t, w, w.find(t, value), p) // stores the one, and renews it
		wantErr(t, w.Drain(t.Context()), nil)
		other, err := w.replica().Find(t.Context(), value)
		wantErr(t, err, nil)
		if other.Tokens.Refresh != newest.Tokens.Refresh || p.called() != 2 {
			t.Errorf("stored the tokens of refresh %q, after %d calls", other.Tokens.Refresh, p.called())
		}
	})
}

// Trying goes on as long as sessions do without the store, minutes at least, and
// not for ever.
func TestStoringIsGivenUp(t *testing.T) {
	for outageGrace, goesOn := range map[time.Duration]time.Duration{0: 3 * time.Minute, grace: grace} {
		t.Run(outageGrace.String(), func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world) {
				w.limits.Store(&session.Limits{Lifetime: lifetime, IdleTimeout: idle, OutageGrace: outageGrace})
				p := &provider{}
				s, _ := w.login(t, p)
				time.Sleep(life)
				w.store.cut("Replace")
				start := time.Now()
				refreshed(t, w, s, p)
				wantErr(t, w.Drain(t.Context()), nil)
				if took := time.Since(start); took < goesOn || took > goesOn+10*time.Second {
					t.Errorf("it was tried for %s", took)
				}
				if n := w.store.called("Replace"); n > int(goesOn/(500*time.Millisecond))+10 { // twice a second
					t.Errorf("%d writes were tried", n)
				}
				if log := w.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "log in again") {
					t.Errorf("the log is %s", log)
				}
			})
		})
	}
}

// While our tokens wait and our lease has run out, another replica that reaches
// the store has renewed the session: what is stored counts.
func TestStoreMovesOnWhileTokensWait(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		other := w.replicaOn(&faultyStore{Store: w.store.Store, watchers: []store.Watcher{w.store}})
		time.Sleep(life)
		w.store.first("Replace", w.store.cutAll)
		ours := refreshed(t, w, s, p)
		p.takeAgain(s.Tokens.Refresh) // this provider takes a refresh token twice
		before := time.Now()
		theirs, err := other.Refreshed(t.Context(), s, own, p.refresh)
		wantErr(t, err, nil)
		if theirs.Tokens.Access.Token == ours.Tokens.Access.Token {
			t.Fatal("the other replica did not refresh")
		}
		if waited := time.Since(before); waited < 4*time.Second || waited > 6*time.Second {
			t.Errorf("the other replica waited %s for a lease that nobody could renew", waited)
		}
		w.store.repair()
		wantErr(t, w.Drain(t.Context()), nil)
		if got := w.find(t, value); got.Tokens.Access.Token != theirs.Tokens.Access.Token {
			t.Error("the stored tokens were overwritten")
		}
	})
}

func TestLogoutWhileTokensWait(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.cut("Replace")
		s = refreshed(t, w, s, p)
		wantErr(t, w.End(t.Context(), s, session.EndLogout), nil) // who logs out has the new tokens
		start := time.Now()
		wantErr(t, w.Drain(t.Context()), nil)
		if took := time.Since(start); took > time.Second {
			t.Errorf("the tokens of an ended session waited for another %s", took)
		}
		if got := w.thrownAway(); len(got) != 0 {
			t.Errorf("handed back %q", got)
		}
		w.store.repair()
		_, err := w.Find(t.Context(), value)
		wantErr(t, err, session.ErrNone)
	})
}

// Who ends a session without its cookie does not have the tokens that wait: they
// are handed back.
func TestBackChannelLogoutWhileTokensWait(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life)
		w.store.cut("Replace")
		refreshed(t, w, s, p)
		n, err := w.EndBySID(t.Context(), s.Issuer, s.ProviderSID, session.EndBackChannel)
		if n != 1 || err != nil {
			t.Fatalf("ended %d: %v", n, err)
		}
		wantErr(t, w.Drain(t.Context()), nil)
		w.store.repair()
		_, err = w.Find(t.Context(), value)
		wantEnd(t, err, session.EndBackChannel)
		if got := w.thrownAway(); len(got) != 1 || got[0] != "refresh-2" {
			t.Errorf("handed back %q", got)
		}
	})
}

// The same, when the logout is on another replica.
func TestLogoutElsewhereWhileTokensWait(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, _ := w.login(t, p)
		time.Sleep(life)
		w.store.cut("Replace")
		refreshed(t, w, s, p)
		wantErr(t, w.replica().End(t.Context(), s, session.EndLogout), nil)
		w.store.repair()
		wantErr(t, w.Drain(t.Context()), nil)
		if got := w.thrownAway(); len(got) != 1 || got[0] != "refresh-2" {
			t.Errorf("handed back %q", got)
		}
	})
}

// Nothing is spent at the provider that could not be kept.
func TestNoRefreshWithoutTheStore(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{}
		s, value := w.login(t, p)
		time.Sleep(life - time.Second)
		w.store.cutAll()
		if got := refreshed(t, w, s, p); got != s {
			t.Error("a valid token was not used")
		}
		time.Sleep(time.Second)
		_, err := w.Refreshed(t.Context(), s, own, p.refresh)
		wantErr(t, err, session.ErrUnavailable)
		if n := p.called(); n != 0 {
			t.Errorf("the provider was asked %d times", n)
		}
		w.store.repair()
		refreshed(t, w, w.find(t, value), p)
	})
}

// GAP-07: the provider spent the refresh token and its answer was lost. That
// alone ends nothing; only the provider's word does.
func TestLostAnswerOfTheProvider(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		p := &provider{losing: func(call int) error {
			if call == 1 {
				return errors.New("connection reset")
			}
			return nil
		}}
		s, value := w.login(t, p)
		time.Sleep(life)
		_, err := w.Refreshed(t.Context(), s, own, p.refresh)
		wantErr(t, err, session.ErrRefreshFailed)
		w.find(t, value)

		// A provider with a grace period takes the old token once more.
		p.takeAgain(s.Tokens.Refresh)
		time.Sleep(session.RefreshCooldown)
		refreshed(t, w, w.find(t, value), p)
	})
}

func TestDrainWaits(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		wantErr(t, w.Drain(t.Context()), nil) // nothing to wait for
		p := &provider{takes: 10 * time.Second}
		s, _ := w.login(t, p)
		time.Sleep(life)
		go func() { _, _ = w.Refreshed(context.Background(), s, own, p.refresh) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, w.Drain(ctx), context.DeadlineExceeded)
		start := time.Now()
		wantErr(t, w.Drain(t.Context()), nil)
		if took := time.Since(start); took != 9*time.Second {
			t.Errorf("it waited %s", took)
		}
	})
}

// join makes a ring with the keys of both and the first one's primary.
func join(t *testing.T, first, second *keyring.Ring) *keyring.Ring {
	t.Helper()
	var documents [2]struct {
		Primary string            `json:"primary"`
		Keys    []json.RawMessage `json:"keys"`
	}
	for i, ring := range []*keyring.Ring{first, second} {
		data, err := ring.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &documents[i]); err != nil {
			t.Fatal(err)
		}
	}
	documents[0].Keys = append(documents[0].Keys, documents[1].Keys...)
	data, err := json.Marshal(documents[0])
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}
