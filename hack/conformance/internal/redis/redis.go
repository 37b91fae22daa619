// Package redis runs real redis-server processes.
package redis

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// Server is a redis-server that can be stopped and started again on the same
// port. It keeps nothing on disk.
type Server struct {
	// Address is host:port.
	Address string

	dir  string
	args []string

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{}
}

// Start starts a server that ends with the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := New(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// New starts a server that runs until Kill. dir is its working directory.
func New(dir string, args ...string) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	s := &Server{Address: address, dir: dir, args: args}
	return s, s.Resume()
}

// Resume starts the server again, empty, and waits until it answers.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, port, _ := net.SplitHostPort(s.Address)
	process := exec.Command("redis-server", append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir}, s.args...)...)
	process.Stderr = os.Stderr
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = process.Wait(); close(ended) }() // killed, which is no failure
	s.process, s.ended = process, ended
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", s.Address, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("redis-server does not answer at %s: %w", s.Address, err)
		}
	}
}

// Kill ends the server at once, if it runs.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		_ = s.process.Process.Kill() // it may have ended
		<-s.ended
		s.process = nil
	}
}

// Running says whether the server was started and not killed since.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil
}

// Freeze stops the process without closing anything; Thaw has it go on.
func (s *Server) Freeze() error { return s.signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Process.Signal(signal)
}

// Do runs a command and returns its answer as text.
func (s *Server) Do(ctx context.Context, command ...string) (string, error) {
	client, err := s.client()
	if err != nil {
		return "", err
	}
	defer client.Close()
	result := client.Do(ctx, client.B().Arbitrary(command...).Build())
	message, err := result.ToMessage()
	if err != nil {
		return "", err
	}
	return message.String(), nil
}

// Dump is all keys that begin with prefix and their values, as text to look
// through.
func (s *Server) Dump(ctx context.Context, prefix string) (string, error) {
	client, err := s.client()
	if err != nil {
		return "", err
	}
	defer client.Close()
	keys, err := client.Do(ctx, client.B().Keys().Pattern(prefix+"*").Build()).AsStrSlice()
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, key := range keys {
		kind, err := client.Do(ctx, client.B().Type().Key(key).Build()).ToString()
		if err != nil {
			return "", err
		}
		read := map[string][]string{"string": {"GET", key}, "hash": {"HGETALL", key}, "set": {"SMEMBERS", key},
			"zset": {"ZRANGE", key, "0", "-1", "WITHSCORES"}, "list": {"LRANGE", key, "0", "-1"}}[kind]
		if read == nil {
			continue // gone meanwhile
		}
		message, err := client.Do(ctx, client.B().Arbitrary(read...).Build()).ToMessage()
		if rueidis.IsRedisNil(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%s = %s\n", key, flatten(message))
	}
	return all.String(), nil
}

func flatten(message rueidis.RedisMessage) string {
	if text, err := message.ToString(); err == nil {
		return text
	}
	if pairs, err := message.AsStrMap(); err == nil {
		return fmt.Sprint(pairs)
	}
	if list, err := message.AsStrSlice(); err == nil {
		return strings.Join(list, " ")
	}
	return message.String()
}

func (s *Server) client() (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.Address}, DisableCache: true, ForceSingleClient: true})
}
