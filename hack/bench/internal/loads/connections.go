package loads

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadbrowser"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

// settle is how long a sidecar is left alone before its memory is read.
const settle = 2 * time.Second

// withConnections opens connections, makes a call on each and leaves them open.
func (l *lives) withConnections(ctx context.Context, s *loadworld.Sidecar, c *crowd, r *residence) error {
	if err := raiseFiles(uint64(l.connections + 2000)); err != nil {
		return err
	}
	call := loadbrowser.Fetch("GET", loadworld.Host, "/api/json", l.sessions[0].Cookie)
	conns := make([]*loadbrowser.Conn, l.connections)
	for i := range conns {
		conns[i] = &loadbrowser.Conn{Address: s.Traffic, From: source(i)}
	}
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	// Calls beforehand, so that what is made once is there.
	var err error
	if r.alone, err = costOf(ctx, s, c, call); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	before, err := loadworld.MemoryOf(s.PID())
	if err != nil {
		return err
	}
	if err := errors.Join(loadworld.ResetPeak(s.PID()), l.callEach(ctx, conns, call)); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	if r.connected, err = loadworld.MemoryOf(s.PID()); err != nil {
		return err
	}
	r.perConnection = (r.connected.RSS - before.RSS) / float64(len(conns))
	if r.beside, err = costOf(ctx, s, c, call); err != nil {
		return err
	}
	return l.stillOpen(ctx, conns, call)
}

// costOf is what a call costs the sidecar.
func costOf(ctx context.Context, s *loadworld.Sidecar, c *crowd, call loadbrowser.Request) (time.Duration, error) {
	const n = 4000
	before, err := loadworld.CPU(s.PID())
	if err != nil {
		return 0, err
	}
	if _, err := c.each(ctx, "call", n, func(ctx context.Context, browser *loadbrowser.Browser, i int) error {
		return answered(browser.Replica(0).Do(ctx, call))
	}); err != nil {
		return 0, err
	}
	after, err := loadworld.CPU(s.PID())
	return (after - before) / n, err
}

// callEach makes a call on every connection, some at once.
func (l *lives) callEach(ctx context.Context, conns []*loadbrowser.Conn, call loadbrowser.Request) error {
	var workers sync.WaitGroup
	failed := make([]error, l.clients)
	for worker := range l.clients {
		workers.Go(func() {
			for i := worker; i < len(conns) && failed[worker] == nil; i += l.clients {
				if err := answered(conns[i].Do(ctx, call)); err != nil {
					failed[worker] = fmt.Errorf("connection %d: %w", i+1, err)
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(failed...)
}

// stillOpen makes sure that what was measured were open connections: one that
// the sidecar has closed meanwhile fails.
func (l *lives) stillOpen(ctx context.Context, conns []*loadbrowser.Conn, call loadbrowser.Request) error {
	for i := 0; i < len(conns); i += max(1, len(conns)/100) {
		if err := answered(conns[i].Do(ctx, call)); err != nil {
			return fmt.Errorf("idle connection %d: %w", i+1, err)
		}
	}
	return nil
}

func answered(a loadbrowser.Answer, err error) error { return wantOK(a.Status, err) }

// raiseFiles raises the limit on open files of this process, and so of those it
// starts.
func raiseFiles(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit on open files: %w", err)
	}
	if limit.Cur >= n {
		return nil
	}
	limit.Cur, limit.Max = n, max(limit.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit on open files to %d, or measure fewer --connections: %w", n, err)
	}
	return nil
}
