package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/events"
	"github.com/bff-operator/bff-operator/sidecar/internal/flow"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
)

var cookieValue = strings.Repeat("A", 43)

// sessions are one session that the test ends, renews or hides.
type sessions struct {
	mu      sync.Mutex
	sess    session.Session
	err     error
	changes chan session.Event
	watched int // watches that were not stopped
}

func newSessions(lifetime, idle time.Duration) *sessions {
	now := time.Now()
	return &sessions{changes: make(chan session.Event, 2),
		sess: session.Session{ID: "one", ExpiresAt: now.Add(lifetime), IdleExpiresAt: now.Add(idle)}}
}

func (s *sessions) set(change func(*sessions)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *sessions) Find(context.Context, string) (*session.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.sess
	return &found, s.err
}

func (s *sessions) Watch(*session.Session) (<-chan session.Event, func()) {
	s.set(func(s *sessions) { s.watched++ })
	return s.changes, func() { s.set(func(s *sessions) { s.watched-- }) }
}

func request(ctx context.Context, t *testing.T) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/bff/events", nil)
	r.AddCookie(session.Cookie(cookieValue))
	return r
}

// listener is a page.
type listener struct {
	mu       sync.Mutex // what is read is written to later
	recorder *httptest.ResponseRecorder
	done     chan struct{}
	leave    context.CancelFunc
}

func (l *listener) Header() http.Header { return l.recorder.Header() }

func (l *listener) WriteHeader(status int) { l.recorder.WriteHeader(status) }

func (l *listener) Flush() { l.recorder.Flush() }

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recorder.Write(p)
}

// stream is all that has come so far, in a bubble whose other goroutines are
// blocked.
func (l *listener) stream() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recorder.Body.String()
}

func listen(t *testing.T, h http.Handler) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &listener{recorder: httptest.NewRecorder(), done: make(chan struct{}), leave: cancel}
	r := request(ctx, t)
	go func() {
		defer close(l.done)
		h.ServeHTTP(l, r)
	}()
	synctest.Wait()
	return l
}

// eventsIn reads a stream as a browser does: name and data of each event that
// has data.
func eventsIn(stream string) []string {
	var all []string
	for block := range strings.SplitSeq(stream, "\n\n") {
		var name, data string
		for line := range strings.SplitSeq(block, "\n") {
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				name = v
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				data = v
			}
		}
		if data != "" {
			all = append(all, name+" "+data)
		}
	}
	return all
}

func (l *listener) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := eventsIn(l.stream()); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func (l *listener) over() bool {
	synctest.Wait()
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

type counts struct {
	mu   sync.Mutex
	seen []flow.Reason
}

func (c *counts) Finished(f flow.Flow, r flow.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f == flow.Events {
		c.seen = append(c.seen, r)
	}
}

func TestExpiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(12*time.Hour, 30*time.Minute)
		l := listen(t, events.New(events.Options{Sessions: s, BasePath: "/bff"}))
		l.expect(t)
		if got := l.Header().Get("Content-Type") + ", " + l.Header().Get("Cache-Control"); got != "text/event-stream, no-store" {
			t.Errorf("headers %s", got)
		}

		// Used a minute before the warning would come.
		time.Sleep(28 * time.Minute)
		s.set(func(s *sessions) { s.sess.IdleExpiresAt = time.Now().Add(30 * time.Minute) })
		time.Sleep(2 * time.Minute)
		l.expect(t)

		// Not used any more.
		time.Sleep(27*time.Minute - time.Second)
		l.expect(t)
		time.Sleep(time.Second)
		warning := `expiring {"expiresIn":39780,"idleExpiresIn":60}`
		l.expect(t, warning)

		// Used at the last moment, and never again.
		time.Sleep(59 * time.Second)
		s.set(func(s *sessions) { s.sess.IdleExpiresAt = time.Now().Add(30 * time.Minute) })
		time.Sleep(29 * time.Minute)
		second := `expiring {"expiresIn":37981,"idleExpiresIn":60}`
		l.expect(t, warning, second)
		time.Sleep(time.Minute)
		s.set(func(s *sessions) { s.err = session.ErrNone })
		s.changes <- session.Event{Kind: session.EventEnded, Reason: session.EndExpired}
		l.expect(t, warning, second, `ended {"reason":"expired"}`)
		if !l.over() || s.watched != 0 {
			t.Errorf("over %t, %d watches left", l.over(), s.watched)
		}
	})
}

// The end of the session's life is an end too, however much it is used.
func TestExpiringLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(time.Hour, time.Hour)
		l := listen(t, events.New(events.Options{Sessions: s, BasePath: "/bff"}))
		time.Sleep(58 * time.Minute)
		l.expect(t)
		time.Sleep(time.Minute)
		l.expect(t, `expiring {"expiresIn":60,"idleExpiresIn":60}`)
		l.leave()
	})
}

func TestRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(time.Hour, 30*time.Minute)
		l := listen(t, events.New(events.Options{Sessions: s, BasePath: "/bff"}))
		time.Sleep(5 * time.Minute)
		s.changes <- session.Event{Kind: session.EventRefreshed}
		l.expect(t, `refreshed {"expiresIn":3300,"idleExpiresIn":1500}`)
		l.leave()
		if !l.over() || s.watched != 0 {
			t.Errorf("over %t, %d watches left", l.over(), s.watched)
		}
	})
}

// BCL-22: a page hears at once that its session has ended, and why.
func TestEnded(t *testing.T) {
	for _, reason := range []session.EndReason{session.EndLogout, session.EndBackChannel, session.EndFrontChannel, session.EndReplaced,
		session.EndRefused, session.EndLimit, session.EndNetwork, session.EndExpired, session.EndUnknown} {
		t.Run(string(reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, observer := newSessions(time.Hour, time.Hour), &counts{}
				l := listen(t, events.New(events.Options{Sessions: s, BasePath: "/bff", Observer: observer}))
				s.changes <- session.Event{Kind: session.EventEnded, Reason: reason}
				close(s.changes)
				l.expect(t, `ended {"reason":"`+string(reason)+`"}`)
				if !l.over() {
					t.Error("the stream goes on")
				}
				if len(observer.seen) != 1 || observer.seen[0] != flow.OK {
					t.Errorf("observed %v", observer.seen)
				}
			})
		})
	}
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, events.New(events.Options{Sessions: newSessions(time.Hour, time.Hour), BasePath: "/bff"}))
		time.Sleep(61 * time.Second)
		if got := strings.Count(l.stream(), ":\n\n"); got != 3 {
			t.Errorf("%d heartbeats in a minute: %q", got, l.stream())
		}
		first, _, _ := strings.Cut(l.stream(), "\n")
		ms, err := strconv.Atoi(strings.TrimPrefix(first, "retry: "))
		if err != nil || ms < 1000 || ms > 5000 {
			t.Errorf("the stream begins with %q", first)
		}
		l.leave()
	})
}

// A store outage is no end.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(time.Hour, 30*time.Minute)
		l := listen(t, events.New(events.Options{Sessions: s, BasePath: "/bff"}))
		s.set(func(s *sessions) { s.err = session.ErrUnavailable })
		time.Sleep(29*time.Minute + 30*time.Second)
		l.expect(t)
		s.set(func(s *sessions) { s.err = nil })
		time.Sleep(5 * time.Second)
		l.expect(t, `expiring {"expiresIn":1825,"idleExpiresIn":25}`)
		l.leave()
	})
}

func TestDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		draining := make(chan struct{})
		l := listen(t, events.New(events.Options{Sessions: newSessions(time.Hour, time.Hour), BasePath: "/bff", Draining: draining}))
		close(draining)
		if !l.over() {
			t.Error("the stream goes on")
		}
		l.expect(t) // the page is not told that anything has ended: it connects again
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, observer := newSessions(time.Hour, time.Hour), &counts{}
		h := events.New(events.Options{Sessions: s, BasePath: "/bff", Observer: observer})
		var listeners []*listener
		for range 16 {
			listeners = append(listeners, listen(t, h))
		}
		refused := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			h.ServeHTTP(w, request(ctx, t))
			return w
		}
		if w := refused(); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Errorf("one too many for a session: %d %v", w.Code, w.Header())
		}
		for n := 16; n < 1024; n++ {
			s.set(func(s *sessions) { s.sess.ID = strconv.Itoa(n / 16) })
			listeners = append(listeners, listen(t, h))
		}
		s.set(func(s *sessions) { s.sess.ID = "another" })
		if w := refused(); w.Code != http.StatusTooManyRequests {
			t.Errorf("one too many in all: %d", w.Code)
		}
		for _, l := range listeners {
			l.leave()
		}
		synctest.Wait()
		if w := refused(); w.Code != http.StatusOK {
			t.Errorf("room again: %d", w.Code)
		}
	})
}

func TestRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*http.Request)
		err    error
		status int
		code   string
	}{
		"method":       {func(r *http.Request) { r.Method = http.MethodPost }, nil, 405, "method_not_allowed"},
		"no cookie":    {func(r *http.Request) { r.Header.Del("Cookie") }, nil, 401, "no_session"},
		"over":         {nil, session.ErrNone, 401, "session_ended"},
		"store away":   {nil, session.ErrUnavailable, 503, "store_unavailable"},
		"unreadable":   {nil, session.ErrUnreadable, 503, "session_unreadable"},
		"another flaw": {nil, errors.New("x"), 500, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSessions(time.Hour, time.Hour)
			s.err = row.err
			r, w := request(t.Context(), t), httptest.NewRecorder()
			if row.change != nil {
				row.change(r)
			}
			events.New(events.Options{Sessions: s, BasePath: "/bff"}).ServeHTTP(w, r)
			var problem struct{ Code, LoginURL string }
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			if w.Code != row.status || problem.Code != row.code {
				t.Errorf("%d %s, want %d %s", w.Code, problem.Code, row.status, row.code)
			}
			if (row.status == 401) != (problem.LoginURL == "/bff/login") {
				t.Errorf("loginURL %q", problem.LoginURL)
			}
			if len(w.Header()["Set-Cookie"]) != 0 {
				t.Error("a cookie was set")
			}
		})
	}
}

// A connection that cannot stream is told so, and nobody is left waiting.
func TestConnectionThatCannotStream(t *testing.T) {
	w := httptest.NewRecorder()
	events.New(events.Options{Sessions: newSessions(time.Hour, time.Hour), BasePath: "/bff"}).
		ServeHTTP(struct{ http.ResponseWriter }{w}, request(t.Context(), t))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
