package loads

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadbrowser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadprovider"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

func siteOf(w *loadworld.World) loadbrowser.Site {
	return loadbrowser.Site{Host: loadworld.Host, Replicas: w.Traffic(), Provider: w.Provider.Address, SIDHeader: loadprovider.SIDHeader}
}

// crowd is some browsers in front of a world.
type crowd struct {
	*bench
	browsers []*loadbrowser.Browser
}

func (b *bench) newCrowd(w *loadworld.World) *crowd {
	c := &crowd{bench: b}
	for range b.clients {
		c.browsers = append(c.browsers, loadbrowser.New(siteOf(w)))
	}
	return c
}

func (c *crowd) Close() {
	for _, browser := range c.browsers {
		browser.Close()
	}
}

// each does something for every number below n, as many at once as there are
// browsers, and returns how long it took. The first failure ends it: what goes
// wrong now and then is no measurement.
func (c *crowd) each(ctx context.Context, what string, n int, do func(context.Context, *loadbrowser.Browser, int) error) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var taken, done atomic.Int64
	began := time.Now()
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	var workers sync.WaitGroup
	for _, browser := range c.browsers {
		workers.Go(func() {
			for i := int(taken.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(taken.Add(1)) - 1 {
				if err := do(ctx, browser, i); err != nil {
					cancel(fmt.Errorf("%s %d of %d: %w", what, i+1, n, err))
					return
				}
				done.Add(1)
			}
		})
	}
	over := make(chan struct{})
	go func() { workers.Wait(); close(over) }()
	for {
		select {
		case <-over:
			if ctx.Err() != nil {
				return 0, context.Cause(ctx)
			}
			return time.Since(began), nil
		case <-ticker.C:
			c.say("%s: %d of %d", what, done.Load(), n)
		}
	}
}

// logIn makes sessions.
func (c *crowd) logIn(ctx context.Context, sessions []loadbrowser.Session) (time.Duration, error) {
	return c.each(ctx, "login", len(sessions), func(ctx context.Context, browser *loadbrowser.Browser, i int) (err error) {
		sessions[i], err = browser.Login(ctx, i)
		return err
	})
}

// use calls the API once with each session, at the replica its number leads to.
func (c *crowd) use(ctx context.Context, what string, sessions []loadbrowser.Session) (time.Duration, error) {
	return c.each(ctx, what, len(sessions), func(ctx context.Context, browser *loadbrowser.Browser, i int) error {
		return wantOK(browser.Call(ctx, i, sessions[i]))
	})
}

// logOut ends each session, at the replica where it was used.
func (c *crowd) logOut(ctx context.Context, sessions []loadbrowser.Session) (time.Duration, error) {
	return c.each(ctx, "logout", len(sessions), func(ctx context.Context, browser *loadbrowser.Browser, i int) error {
		return wantOK(browser.Logout(ctx, i, sessions[i]))
	})
}

func wantOK(status int, err error) error {
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	return err
}
