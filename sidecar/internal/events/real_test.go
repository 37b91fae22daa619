package events_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/events"
	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

const issuer = "https://id.example.com"

// served are streams of real sessions over real connections.
type served struct {
	*session.Sessions
	t        *testing.T
	url      string
	draining chan struct{}
}

func serve(t *testing.T) *served {
	t.Helper()
	ring, err := keyring.New(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	memory := store.NewMemory(nil, 100)
	t.Cleanup(memory.Close)
	s := &served{t: t, draining: make(chan struct{})}
	s.Sessions = session.New(session.Options{Store: memory, Ring: func() *keyring.Ring { return ring }, PolicyUID: "uid",
		Limits: func() session.Limits { return session.Limits{Lifetime: time.Hour, IdleTimeout: 30 * time.Minute} }})
	server := httptest.NewServer(events.New(events.Options{Sessions: s.Sessions, BasePath: "/bff", Draining: s.draining}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *served) logIn() (cookieValue string, sess *session.Session) {
	s.t.Helper()
	value, err := s.Create(s.t.Context(), session.Session{Issuer: issuer, Subject: "alice", ProviderSID: "S1",
		Tokens: token.Set{Access: token.Access{Token: "access", Expiry: time.Now().Add(-time.Second)}, Refresh: "refresh"}})
	if err != nil {
		s.t.Fatal(err)
	}
	sess, err = s.Find(s.t.Context(), value)
	if err != nil {
		s.t.Fatal(err)
	}
	return value, sess
}

// open connects as a page does and waits for the first line. The channel gives
// the events and closes when the stream ends.
func (s *served) open(cookieValue string) (heard <-chan string, leave func()) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.AddCookie(session.Cookie(cookieValue))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { answer.Body.Close() })
	lines := bufio.NewScanner(answer.Body)
	if answer.StatusCode != http.StatusOK || !lines.Scan() || !strings.HasPrefix(lines.Text(), "retry: ") {
		s.t.Fatalf("%s %q", answer.Status, lines.Text())
	}
	all := make(chan string, 16)
	go func() {
		defer close(all)
		for block := ""; lines.Scan(); {
			block += lines.Text() + "\n"
			if lines.Text() == "" {
				for _, event := range eventsIn(block) {
					all <- event
				}
				block = ""
			}
		}
	}()
	return all, cancel
}

func expect(t *testing.T, heard <-chan string, want string) {
	t.Helper()
	select {
	case got, open := <-heard:
		if !open {
			got = "the end of the stream"
		}
		if !strings.HasPrefix(got, want) {
			t.Fatalf("heard %s, want %s", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("nothing heard, want %s", want)
	}
}

func expectEnd(t *testing.T, heard <-chan string) {
	t.Helper()
	expect(t, heard, "the end of the stream")
}

// BCL-22: every tab hears that the session was renewed, and that and why it has
// ended, and its stream closes.
func TestRealSession(t *testing.T) {
	s := serve(t)
	value, sess := s.logIn()
	one, _ := s.open(value)
	two, _ := s.open(value)
	renew := func(_ context.Context, old token.Set, _ token.Target) (token.Set, error) {
		old.Access = token.Access{Token: "access2", ObtainedAt: time.Now(), Expiry: time.Now().Add(time.Hour)}
		return old, nil
	}
	if _, err := s.Refreshed(t.Context(), sess, token.Target{}, renew); err != nil {
		t.Fatal(err)
	}
	expect(t, one, "refreshed {")
	expect(t, two, "refreshed {")
	if n, err := s.EndBySID(t.Context(), issuer, "S1", session.EndBackChannel); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for _, heard := range []<-chan string{one, two} {
		expect(t, heard, `ended {"reason":"backchannel_logout"}`)
		expectEnd(t, heard)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(session.Cookie(value))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("connected again: %s", answer.Status)
	}
}

// A page that goes makes room for another.
func TestRealPageGoes(t *testing.T) {
	s := serve(t)
	value, _ := s.logIn()
	var leave []func()
	for range 16 {
		_, cancel := s.open(value)
		leave = append(leave, cancel)
	}
	status := func() int {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(session.Cookie(value))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	if got := status(); got != http.StatusTooManyRequests {
		t.Fatalf("one too many: %d", got)
	}
	leave[0]()
	for deadline := time.Now().Add(10 * time.Second); status() != http.StatusOK; {
		if time.Now().After(deadline) {
			t.Fatal("there is no room although a page has gone")
		}
		time.Sleep(10 * time.Millisecond) // between polls
	}
}

func TestRealDraining(t *testing.T) {
	s := serve(t)
	value, _ := s.logIn()
	heard, _ := s.open(value)
	close(s.draining)
	expectEnd(t, heard)
}
