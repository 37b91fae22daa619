package loads

import (
	"context"
	"fmt"
	"time"

	"github.com/bff-operator/bff-operator/hack/bench/internal/loadworld"
)

const (
	// shortToken is how long access tokens live whose refreshes are measured. No
	// more than the first use of all sessions should take.
	shortToken = 10 * time.Second
	// shortIdle is the shortest idle timeout that a policy may have. A use is
	// written after a tenth of it.
	shortIdle  = time.Minute
	touchAfter = shortIdle/10 + 500*time.Millisecond
)

// larger logs in with larger access tokens, to see what sessions take.
func (b *bench) larger(ctx context.Context, into *lives) error {
	n := max(1000, b.settings.logins/10)
	l, err := b.newLives(ctx, into.step, loadworld.Options{Replicas: 1, TokenSize: 4 << 10}, n)
	if err != nil {
		return err
	}
	defer l.Close()
	_, used, err := l.phase(ctx, l.world, l.heard, func() (time.Duration, error) { return l.logIn(ctx, l.sessions) })
	if err != nil {
		return err
	}
	bytes, err := l.kinds(ctx, "Keys in Redis, access tokens of 4 KiB")
	if err != nil {
		return err
	}
	into.step.Set("redis_bytes_per_session_4kib", used.redisMemory/float64(n))
	into.step.Set("redis_key_bytes_per_session_4kib", bytes)
	if small, ok := into.step.Figures["redis_bytes_per_session_1kib"]; ok {
		into.step.Notes = append(into.step.Notes, fmt.Sprintf("A session takes %.0f bytes of Redis with an access token of 1 KiB and %.0f with one of 4 KiB (used_memory before and after, over sessions; refresh and ID token are as long either way).",
			small, used.redisMemory/float64(n)))
	}
	return nil
}

// refreshes has a call of each session find its access token expired.
func (b *bench) refreshes(ctx context.Context, into *lives) error {
	l, err := b.newLives(ctx, into.step, loadworld.Options{Replicas: replicas, TokenLife: shortToken}, b.settings.sessions)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.present(ctx); err != nil {
		return err
	}
	if err := pause(ctx, shortToken+time.Second); err != nil {
		return err
	}
	before := l.world.Provider.Counts().Refreshed
	took, used, err := l.phase(ctx, l.world, l.heard, func() (time.Duration, error) { return l.use(ctx, "refresh", l.sessions) })
	if err != nil {
		return err
	}
	n := int(l.world.Provider.Counts().Refreshed - before)
	if n != len(l.sessions) {
		into.step.Notes = append(into.step.Notes, fmt.Sprintf("%d calls with an expired token led to %d refreshes.", len(l.sessions), n))
	}
	if n == 0 {
		return fmt.Errorf("measure refreshes: %d calls with an expired token led to none", len(l.sessions))
	}
	into.note("refresh", n, took, used)
	return nil
}

// touches has a call of each session extend it, a tenth of the idle timeout
// after the last.
func (b *bench) touches(ctx context.Context, into *lives) error {
	l, err := b.newLives(ctx, into.step, loadworld.Options{Replicas: replicas, IdleTimeout: shortIdle}, b.settings.sessions)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.present(ctx); err != nil {
		return err
	}
	if err := pause(ctx, touchAfter); err != nil {
		return err
	}
	took, used, err := l.phase(ctx, l.world, l.heard, func() (time.Duration, error) { return l.use(ctx, "touch", l.sessions) })
	if err != nil {
		return err
	}
	into.note("touch", len(l.sessions), took, used)

	// The same again at once is an ordinary call: what is left is what a touch adds.
	took, used, err = l.phase(ctx, l.world, l.heard, func() (time.Duration, error) { return l.use(ctx, "call", l.sessions) })
	if err != nil {
		return err
	}
	into.note("call", len(l.sessions), took, used)
	return nil
}

// present logs in, and uses each session once, so that all of them are in the
// memory of the replica where they are used next.
func (l *lives) present(ctx context.Context) error {
	if _, err := l.logIn(ctx, l.sessions); err != nil {
		return err
	}
	_, err := l.use(ctx, "first use", l.sessions)
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
