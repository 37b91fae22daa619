// Package oidcprovider runs npm oidc-provider, a real OpenID Provider that
// nobody of this project has written. It rotates refresh tokens and revokes the
// whole grant when one is used twice.
package oidcprovider

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/conformance/internal/pki"
)

// Client is a client's registration, by the names of RFC 7591 and its kin.
type Client map[string]any

// ID is its identifier.
func (c Client) ID() string { id, _ := c["client_id"].(string); return id }

// Options make a Server.
type Options struct {
	Clients []Client
	// AccessTokenTTL is how long access tokens live, in whole seconds. Default 60 s.
	AccessTokenTTL time.Duration
	// Authority has the provider speak TLS with a certificate of this authority, and
	// accept client certificates of it.
	Authority *pki.Authority
	// DPoPNonces demands the provider's nonce in every DPoP proof.
	DPoPNonces bool
	// SessionCookieSameSite is the attribute of the provider's own session cookie.
	// Default none, which is oidc-provider's.
	SessionCookieSameSite string
}

// Server is a running provider.
type Server struct {
	// Issuer is its issuer identifier: a URL of 127.0.0.1.
	Issuer string

	control string

	mu     sync.Mutex
	events []Event
	heard  *sync.Cond
	output bytes.Buffer
	ended  bool
}

// Event is something that a test may wait for.
type Event struct {
	// Name is token (an answer of the token endpoint), stalled, held (see Fault),
	// backchannel_error or server_error.
	Name        string `json:"event"`
	Client      string `json:"client"`
	Grant       string `json:"grant"`
	Status      int    `json:"status"`
	Error       string `json:"error"`
	Description string `json:"description"`
	Message     string `json:"message"`
	// Access, Refresh and ID are the tokens of a token answer.
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
	ID      string `json:"id"`

	Issuer  string `json:"issuer"`
	Control string `json:"control"`
}

// folder has the script and what npm has installed. Tests run in the folder of
// their package.
const folder = "oidcprovider"

// Start starts a provider that ends with the test. It fails the test when there
// is no node, or npm has not installed oidc-provider.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("node is not on the PATH. These tests need it: make conformance installs it")
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "oidc-provider")); err != nil {
		t.Fatal("oidc-provider is not installed: run npm ci in hack/conformance/oidcprovider, as make conformance does")
	}
	path := filepath.Join(t.TempDir(), "provider.json")
	if err := os.WriteFile(path, document(t, o), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{}
	s.heard = sync.NewCond(&s.mu)
	process := exec.Command("node", "server.mjs", path)
	process.Dir = folder
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	process.Stderr = &locked{s}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { defer close(read); s.read(out) }()
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		select {
		case <-read:
		case <-time.After(5 * time.Second):
			_ = process.Process.Kill() // it may have ended
			<-read
		}
		_ = process.Wait() // its end is no result of the test
		if t.Failed() {
			t.Logf("oidc-provider said:\n%s", s.Output())
		}
	})
	listening := s.Await(t, "the provider to listen", func(e Event) bool { return e.Name == "listening" })
	s.Issuer, s.control = listening.Issuer, listening.Control
	return s
}

func document(t testing.TB, o Options) []byte {
	t.Helper()
	if o.AccessTokenTTL == 0 {
		o.AccessTokenTTL = time.Minute
	}
	config := map[string]any{
		"clients": o.Clients, "accessTokenTTL": int(o.AccessTokenTTL / time.Second), "dpopNonces": o.DPoPNonces,
	}
	if o.SessionCookieSameSite != "" {
		config["sessionCookieSameSite"] = o.SessionCookieSameSite
	}
	if o.Authority != nil {
		c := o.Authority.Issue(t, "127.0.0.1")
		config["tls"] = map[string]string{"cert": c.CertPEM, "key": c.KeyPEM, "ca": o.Authority.PEM()}
	}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// locked writes to a server's output.
type locked struct{ s *Server }

func (l *locked) Write(p []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.s.output.Write(p)
}

func (s *Server) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Event
		known := json.Unmarshal(lines.Bytes(), &e) == nil
		s.mu.Lock()
		if known {
			s.events = append(s.events, e)
		}
		s.output.Write(lines.Bytes())
		s.output.WriteByte('\n')
		s.heard.Broadcast()
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.heard.Broadcast()
}

// Output is everything it has printed.
func (s *Server) Output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output.String()
}

// Events are all so far.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Event(nil), s.events...)
}

var errEnded = errors.New("the provider has ended")

// Await waits for the first event of a kind, from the start on, and ends the
// test after 20 s.
func (s *Server) Await(t testing.TB, what string, is func(Event) bool) Event {
	t.Helper()
	timer := time.AfterFunc(20*time.Second, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard.Broadcast()
	})
	defer timer.Stop()
	deadline := time.Now().Add(20 * time.Second)
	e, err := s.await(is, deadline)
	if err != nil {
		t.Fatalf("wait for %s: %v\n%s", what, err, s.Output())
	}
	return e
}

func (s *Server) await(is func(Event) bool, deadline time.Time) (Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for next := 0; ; s.heard.Wait() {
		for ; next < len(s.events); next++ {
			if is(s.events[next]) {
				return s.events[next], nil
			}
		}
		if s.ended {
			return Event{}, errEnded
		}
		if !time.Now().Before(deadline) {
			return Event{}, errors.New("it did not happen in 20 s")
		}
	}
}
