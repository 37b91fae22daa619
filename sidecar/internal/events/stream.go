package events

import (
	"context"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

const (
	// heartbeat is how often a silent stream shows that it is alive, to proxies that
	// cut off what is silent, and to find out that the page has gone.
	heartbeat = 20 * time.Second
	// lookAgain is when to look at a session again that cannot be read just now.
	lookAgain = 5 * time.Second
)

// remaining is the data of the events expiring and refreshed: how many seconds
// the session has left at most, and how many if it is not used.
type remaining struct {
	ExpiresIn     int64 `json:"expiresIn"`
	IdleExpiresIn int64 `json:"idleExpiresIn"`
}

// over is the data of the event ended.
type over struct {
	Reason session.EndReason `json:"reason"`
}

// stream is one page that listens.
type stream struct {
	*Handler
	out    *writer
	value  string // of the session's cookie
	sess   *session.Session
	warned time.Time // the end that the page has heard of
}

// run sends events until the session ends, the page goes, or the sidecar does.
func (s *stream) run(ctx context.Context) {
	changes, stop := s.sessions.Watch(s.sess)
	defer stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	for err := s.out.retry(); err == nil; { // an error says that the page has gone
		select {
		case <-ctx.Done():
			return
		case <-s.draining:
			return
		case <-beat.C:
			err = s.out.comment()
		case change, open := <-changes:
			switch {
			case !open:
				return // nothing more would be heard; the page connects again
			case change.Kind == session.EventEnded:
				_ = s.out.event("ended", over{change.Reason}) // the stream ends either way
				return
			}
			s.look(ctx)
			err = s.out.event("refreshed", s.remaining())
			due.Reset(0)
		case <-due.C:
			var wait time.Duration
			if wait, err = s.tick(ctx); err == nil {
				due.Reset(wait)
			}
		}
	}
}

// tick warns a page if it is time to, and says when to look next. The end itself
// is told by Watch.
func (s *stream) tick(ctx context.Context) (wait time.Duration, err error) {
	if !s.look(ctx) {
		return lookAgain, nil
	}
	end := endOf(s.sess)
	warn, wait := plan(s.clock(), end, s.warned)
	if warn {
		s.warned = end
		err = s.out.event("expiring", s.remaining())
	}
	return wait, err
}

// look reads the session again, which may have been used since. It returns false
// if what was known stays: the session cannot be read, or it has ended and Watch
// is about to say so.
func (s *stream) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, lookAgain)
	defer cancel()
	sess, err := s.sessions.Find(ctx, s.value)
	if err == nil {
		s.sess = sess
	}
	return err == nil
}

func (s *stream) remaining() remaining {
	now := s.clock()
	return remaining{seconds(s.sess.ExpiresAt.Sub(now)), seconds(s.sess.IdleExpiresAt.Sub(now))}
}

// seconds rounds down: what is promised is there.
func seconds(d time.Duration) int64 { return max(int64(d/time.Second), 0) }
