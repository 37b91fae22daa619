package logout

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// maxJobs bounds how many are under way, waiting for their next attempt
	// included.
	maxJobs = 256
	// maxAttempting bounds how many of them make an attempt at the same time.
	maxAttempting = 16
	// jobTime bounds a job from its first attempt to its last, attemptTime one
	// attempt.
	jobTime     = 5 * time.Minute
	attemptTime = 10 * time.Second
	// firstPause follows the first attempt; every further one is twice as long, up
	// to longestPause, and each is up to a half longer by chance.
	firstPause   = time.Second
	longestPause = 30 * time.Second
)

// jobs are what has to happen although nobody waits for it: each is attempted
// until it succeeds, fails for good, or has taken too long.
type jobs struct {
	ctx       context.Context
	giveUp    context.CancelFunc
	slots     chan struct{}
	attempts  chan struct{}
	underWay  sync.WaitGroup
	mu        sync.Mutex
	shuttered bool
}

func newJobs() *jobs {
	ctx, giveUp := context.WithCancel(context.Background())
	return &jobs{ctx: ctx, giveUp: giveUp, slots: make(chan struct{}, maxJobs), attempts: make(chan struct{}, maxAttempting)}
}

// attempt tries a job once. With again it asks for another attempt, not before
// pause has passed.
type attempt func(context.Context) (again bool, pause time.Duration)

// start begins a job. It returns false when there are too many of them, or after
// shutdown. abandoned is called if the job is not attempted again although it
// asked for it.
func (j *jobs) start(try attempt, abandoned func()) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.shuttered {
		return false
	}
	select {
	case j.slots <- struct{}{}:
	default:
		return false
	}
	j.underWay.Go(func() {
		defer func() { <-j.slots }()
		if !j.run(try) {
			abandoned()
		}
	})
	return true
}

// run says whether the job came to an end of its own.
func (j *jobs) run(try attempt) bool {
	ctx, cancel := context.WithTimeout(j.ctx, jobTime)
	defer cancel()
	end, _ := ctx.Deadline()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		again, asked := j.attempt(ctx, try)
		if !again {
			return true
		}
		wait := max(pause+rand.N(pause/2), asked) // never earlier than it was asked to
		if time.Until(end) <= wait {
			return false
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
}

func (j *jobs) attempt(ctx context.Context, try attempt) (again bool, pause time.Duration) {
	select {
	case j.attempts <- struct{}{}:
		defer func() { <-j.attempts }()
	case <-ctx.Done():
		return true, 0
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	return try(ctx)
}

// shutdown lets no more jobs begin and waits for those under way, until ctx
// ends.
func (j *jobs) shutdown(ctx context.Context) error {
	j.mu.Lock()
	j.shuttered = true
	j.mu.Unlock()
	done := make(chan struct{})
	go func() {
		j.underWay.Wait()
		close(done)
	}()
	defer j.giveUp()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
