// Package redistest runs real Redis servers for a test: one, one with a replica
// and a Sentinel, or a Cluster. A proxy makes the network before a server
// misbehave.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long a server may take to come up.
const patience = 20 * time.Second

// Server is a running redis-server. It ends with the test.
type Server struct {
	// Address is the path of its unix socket.
	Address string
	// TCP is its address on loopback, empty unless it was asked for a port.
	TCP string

	clusterPort int

	line    []string // how it is started
	process *exec.Cmd
	exited  chan struct{}
	output  *bytes.Buffer
}

// Start runs a redis-server that writes nothing to disk and listens on a unix
// socket. args are further command line arguments. It fails the test when there
// is no redis-server on the PATH: a store that was not tested must not pass.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := start(t, "", args)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// StartTCP is Start with a free port on 127.0.0.1 as well. portFlag is "--port",
// or "--tls-port" for a server that speaks TLS only.
func StartTCP(t testing.TB, portFlag string, args ...string) *Server {
	t.Helper()
	var err error
	for range 5 { // another process may take the port before the server does
		var s *Server
		if s, err = start(t, portFlag, args); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

func start(t testing.TB, portFlag string, args []string) (*Server, error) {
	t.Helper()
	return startWith(t, "", portFlag, args)
}

// startWith starts with a configuration file, or without one if config is empty.
func startWith(t testing.TB, config, portFlag string, args []string) (*Server, error) {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is not on the PATH. These tests need a real one: apt-get install redis-server (Debian, Ubuntu), brew install redis (macOS)")
	}
	dir, err := os.MkdirTemp("", "redis") // t.TempDir can be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })

	s := &Server{Address: filepath.Join(dir, "socket")}
	line := []string{binary}
	if config != "" {
		line = append(line, config)
	}
	line = append(line, "--unixsocket", s.Address, "--dir", dir, "--daemonize", "no")
	if config == "" { // not what a Sentinel knows
		line = append(line, "--save", "", "--appendonly", "no")
	}
	if portFlag != "--port" {
		line = append(line, "--port", "0")
	}
	if portFlag != "" {
		port := freePort(t)
		s.TCP = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		s.clusterPort = freePort(t)
		line = append(line, "--bind", "127.0.0.1", portFlag, strconv.Itoa(port))
		if config == "" {
			line = append(line, "--cluster-port", strconv.Itoa(s.clusterPort))
		}
	}
	s.line = append(line, args...)
	if err := s.run(); err != nil {
		return nil, err
	}
	t.Cleanup(s.stop)
	return s, s.waitReady(t.Context())
}

func (s *Server) run() error {
	process, exited, output := exec.Command(s.line[0], s.line[1:]...), make(chan struct{}), new(bytes.Buffer)
	process.Stdout, process.Stderr = output, output
	if err := process.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	go func() {
		_ = process.Wait()
		close(exited)
	}()
	s.process, s.exited, s.output = process, exited, output
	return nil
}

func (s *Server) stop() {
	_ = s.process.Process.Kill()
	<-s.exited
}

// Kill ends a server as a crash would.
func (s *Server) Kill() { s.stop() }

// Restart crashes a server, which forgets everything, and starts it again at the
// same addresses.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.stop()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	if err := s.waitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := s.Command(ctx, "PING")
		if err == nil || strings.HasPrefix(err.Error(), "NOAUTH") {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("redis-server ended: %s", s.output)
		case <-ctx.Done():
			return fmt.Errorf("redis-server is not ready after %s: %w", patience, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Command sends one command over the unix socket, beside the store under test,
// and returns the answer's first line without its type. An error of the server
// is an error.
func (s *Server) Command(ctx context.Context, args ...string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", s.Address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := conn.Write([]byte(request.String())); err != nil {
		return "", err
	}
	answer := bufio.NewReader(conn)
	first, err := answer.ReadString('\n')
	if err != nil {
		return "", err
	}
	first = strings.TrimRight(first, "\r\n")
	switch first[:1] {
	case "*": // how many there are
		return first[1:], nil
	case "-":
		return "", errors.New(first[1:])
	case "$":
		size, err := strconv.Atoi(first[1:])
		if err != nil || size < 0 {
			return "", err
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(answer, body); err != nil {
			return "", err
		}
		return string(body), nil
	}
	return first[1:], nil
}

// Must is Command that fails the test instead of returning an error.
func (s *Server) Must(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := s.Command(ctx, args...)
	if err != nil {
		t.Fatalf("%s: %v", args[0], err)
	}
	return answer
}

// Pass makes time pass for the server's keys: what has less than d to live is
// removed, everything else has d less.
func (s *Server) Pass(t testing.TB, d time.Duration) {
	t.Helper()
	s.Must(t, "EVAL", `
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
end
return 1`, "0", strconv.FormatInt(d.Milliseconds(), 10))
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
