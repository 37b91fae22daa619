package loads

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadbrowser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

const (
	// pollEvery is how often a replica is asked while a logout spreads.
	pollEvery = 2 * time.Millisecond
	// seenLimit is how long a logout may take to spread before it is given up.
	seenLimit = 5 * time.Second
	// others is how often a second other sessions are used meanwhile.
	others = 200
	// mustSee is the bound on the 99th percentile.
	mustSee = 50
)

// ending ends a session at the first replica and returns the status.
type ending func(context.Context, *loadworld.World, *loadbrowser.Browser, loadbrowser.Session) (int, error)

// sight is what became of one logout.
type sight struct {
	// answered is how long the logout itself took, refused how long it was from its
	// first byte until the last replica had refused a call.
	answered, refused time.Duration
}

func (b *bench) logoutSeen(ctx context.Context, step *loadreport.Step) error {
	table := loadreport.Table{Title: "From the first byte of the logout until both other replicas have refused a call, in ms",
		Head: []string{"how", "logouts", "p50", "p99", "max", "the logout's own answer, p50", "p99"}}
	for _, kind := range []struct {
		name string
		end  ending
	}{
		{"logout", func(ctx context.Context, _ *loadworld.World, browser *loadbrowser.Browser, s loadbrowser.Session) (int, error) {
			return browser.Logout(ctx, 0, s)
		}},
		{"back-channel", func(ctx context.Context, w *loadworld.World, browser *loadbrowser.Browser, s loadbrowser.Session) (int, error) {
			token, err := w.Provider.LogoutToken(s.SID)
			if err != nil {
				return 0, err
			}
			return browser.BackChannel(ctx, 0, token)
		}},
	} {
		sights, err := b.watch(ctx, step, kind.end)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		var refused, answered []time.Duration
		for _, s := range sights {
			refused, answered = append(refused, s.refused), append(answered, s.answered)
		}
		seen, own := loadreport.SpreadOf(loadreport.Millis(refused)), loadreport.SpreadOf(loadreport.Millis(answered))
		table.Add(kind.name, loadreport.Number(float64(seen.Count())), loadreport.Number(seen.At(0.5)), loadreport.Number(seen.At(0.99)), loadreport.Number(seen.At(1)),
			loadreport.Number(own.At(0.5)), loadreport.Number(own.At(0.99)))
		step.Set(kind.name+"_seen_p50_ms", seen.At(0.5))
		step.Set(kind.name+"_seen_p99_ms", seen.At(0.99))
		step.Set(kind.name+"_seen_max_ms", seen.At(1))
		step.Checks = append(step.Checks, loadreport.AtMost(kind.name+": seen by every replica, p99", seen.At(0.99), mustSee, 0, "ms"))
	}
	step.Tables = append(step.Tables, table)
	step.Notes = append(step.Notes, fmt.Sprintf("%d calls a second of other sessions go on at all replicas meanwhile. A poll adds up to %s and a call.", others, pollEvery))
	return nil
}

// watch ends sessions one after the other.
func (b *bench) watch(ctx context.Context, step *loadreport.Step, end ending) ([]sight, error) {
	l, err := b.newLives(ctx, step, loadworld.Options{Replicas: replicas}, b.settings.seen+warmUp)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if _, err := l.logIn(ctx, l.sessions); err != nil {
		return nil, err
	}
	for replica := range replicas {
		if _, err := l.each(ctx, "use", len(l.sessions), func(ctx context.Context, browser *loadbrowser.Browser, i int) error {
			return wantOK(browser.Call(ctx, replica, l.sessions[i]))
		}); err != nil {
			return nil, err
		}
	}
	busy, stop := context.WithCancel(ctx)
	var background errgroup.Group
	background.Go(func() error { return l.keepUsing(busy, l.browsers[0], l.sessions[:warmUp]) })
	sights, err := l.endEach(ctx, l.sessions[warmUp:], end)
	stop()
	return sights, errors.Join(err, background.Wait())
}

// keepUsing uses sessions that are not ended, at all replicas, until ctx ends.
func (l *lives) keepUsing(ctx context.Context, browser *loadbrowser.Browser, sessions []loadbrowser.Session) error {
	ticker := time.NewTicker(time.Second / others)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := wantOK(browser.Call(context.WithoutCancel(ctx), i, sessions[i/replicas%len(sessions)])); err != nil {
			return fmt.Errorf("a session that nobody has ended: %w", err)
		}
	}
}

func (l *lives) endEach(ctx context.Context, sessions []loadbrowser.Session, end ending) ([]sight, error) {
	site := siteOf(l.world)
	ender := loadbrowser.New(site)
	defer ender.Close()
	var pollers []*loadbrowser.Browser
	for range replicas - 1 {
		poller := loadbrowser.New(site)
		defer poller.Close()
		pollers = append(pollers, poller)
	}
	var sights []sight
	shown := time.Now()
	for i, session := range sessions {
		s, err := l.endOne(ctx, ender, pollers, session, end)
		if err != nil {
			return sights, fmt.Errorf("session %d of %d: %w", i+1, len(sessions), err)
		}
		sights = append(sights, s)
		if time.Since(shown) > 5*time.Second {
			shown = time.Now()
			l.say("logout: %d of %d", i+1, len(sessions))
		}
	}
	return sights, nil
}

// endOne ends a session at the first replica while each of the others is called
// until it refuses.
func (l *lives) endOne(ctx context.Context, ender *loadbrowser.Browser, pollers []*loadbrowser.Browser, session loadbrowser.Session, end ending) (sight, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, seenLimit, fmt.Errorf("a replica still serves it after %s", seenLimit))
	defer cancel()
	served, refused := make(chan struct{}, len(pollers)), make([]time.Time, len(pollers))
	polls, polling := errgroup.WithContext(ctx)
	for i, poller := range pollers {
		polls.Go(func() (err error) {
			refused[i], err = pollUntilRefused(polling, poller, i+1, session, served)
			return err
		})
	}
	for range pollers { // each has served the session
		select {
		case <-served:
		case <-polling.Done():
			return sight{}, errors.Join(context.Cause(polling), polls.Wait())
		}
	}
	began := time.Now()
	if err := wantOK(end(ctx, l.world, ender, session)); err != nil {
		cancel()
		return sight{}, errors.Join(fmt.Errorf("end it: %w", err), polls.Wait())
	}
	s := sight{answered: time.Since(began)}
	if err := polls.Wait(); err != nil {
		return sight{}, errors.Join(err, context.Cause(ctx))
	}
	for _, at := range refused {
		if at.Before(began) {
			return sight{}, errors.New("a replica refused a session that nobody had ended")
		}
		s.refused = max(s.refused, at.Sub(began))
	}
	status, err := ender.Call(ctx, 0, session)
	if err == nil && status != http.StatusUnauthorized {
		err = fmt.Errorf("the replica that ended it answers with status %d", status)
	}
	return s, err
}

// pollUntilRefused calls until the session is refused and returns when that was.
// It says once that it was served.
func pollUntilRefused(ctx context.Context, browser *loadbrowser.Browser, replica int, session loadbrowser.Session, served chan<- struct{}) (time.Time, error) {
	for first := true; ; {
		status, err := browser.Call(ctx, replica, session)
		switch {
		case err != nil:
			return time.Time{}, err
		case status == http.StatusUnauthorized:
			return time.Now(), nil
		case status != http.StatusOK:
			return time.Time{}, fmt.Errorf("replica %d answers with status %d", replica, status)
		}
		if first {
			served <- struct{}{}
			first = false
		}
		if err := pause(ctx, pollEvery); err != nil {
			return time.Time{}, err
		}
	}
}
