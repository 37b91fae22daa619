package loads

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadreport"
	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

const (
	// listeners stand for sidecars that are told of every change.
	listeners = 500
	// changes is how many they are told of.
	changes = 2000
)

// fanOut changes the keys of sessions one after the other, first with one
// sidecar to be told and then with hundreds of listeners beside it, and adds
// what that costs for each that is told.
func (b *bench) fanOut(ctx context.Context, step *loadreport.Step) error {
	l, err := b.newLives(ctx, step, loadworld.Options{Replicas: 1}, 1)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.present(ctx); err != nil {
		return err
	}
	quiet, sidecar, err := l.change(ctx)
	if err != nil {
		return err
	}
	if err := raiseFiles(listeners + 1000); err != nil {
		return err
	}
	var all []*loadworld.Listener
	defer func() {
		for _, listener := range all {
			listener.Close()
		}
	}()
	for range listeners {
		listener, err := l.world.Redis.Listen(ctx, loadworld.SessionKeys)
		if err != nil {
			return err
		}
		all = append(all, listener)
	}
	told, _, err := l.change(ctx)
	if err != nil {
		return err
	}
	if err := everythingHeard(ctx, all); err != nil {
		return err
	}
	step.Set("message_redis_us", max(0, micros(told-quiet))/(changes*listeners))
	step.Set("message_sidecar_us", micros(sidecar)/changes)
	step.Notes = append(step.Notes, fmt.Sprintf(
		"Simulated: %d changes of sessions with %d clients that follow all of them, as each sidecar does when changes go to all, cost Redis %s µs for each change and client. A sidecar spends %s µs on each change of a session it does not have.",
		changes, listeners, loadreport.Number(step.Figures["message_redis_us"]), loadreport.Number(step.Figures["message_sidecar_us"])))
	return nil
}

// change changes keys, and returns the processor time that Redis and the sidecar
// have used for it.
func (l *lives) change(ctx context.Context) (redis, sidecar time.Duration, err error) {
	pids := [2]int{l.world.Redis.PID(), l.world.Replicas[0].PID()}
	var used [2]time.Duration
	for i, pid := range pids {
		cpu, err := loadworld.CPU(pid)
		if err != nil {
			return 0, 0, err
		}
		used[i] = -cpu
	}
	for i := range changes {
		if err := l.world.Redis.Change(ctx, loadworld.SessionKeys+strconv.Itoa(i)); err != nil {
			return 0, 0, err
		}
	}
	for i, pid := range pids {
		cpu, err := loadworld.CPU(pid)
		if err != nil {
			return 0, 0, err
		}
		used[i] += cpu
	}
	return used[0], used[1], nil
}

// everythingHeard waits until every listener was told of every change.
func everythingHeard(ctx context.Context, all []*loadworld.Listener) error {
	for deadline := time.Now().Add(30 * time.Second); ; {
		missing := 0
		for _, listener := range all {
			if listener.Heard().Keys < changes {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("simulate invalidations: " + strconv.Itoa(missing) + " listeners were not told of all changes")
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
