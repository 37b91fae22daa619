package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// patience bounds every wait for a server.
const patience = 20 * time.Second

// storeServer is a real redis-server with the configuration and users of the
// chart.
type storeServer struct {
	password string
	args     []string
	port     int
	process  *exec.Cmd
	exited   chan struct{}
}

// startStore starts the server of a default installation. Further arguments
// override its configuration.
func startStore(t *testing.T, args ...string) *storeServer {
	t.Helper()
	o := rendered(t)
	return startStoreWith(t, o, secretEntry(t, o, "bff-operator-store", "password"), secretEntry(t, o, "bff-operator-store", "users.acl"), args...)
}

func startStoreWith(t *testing.T, o objects, password, users string, args ...string) *storeServer {
	t.Helper()
	dir := t.TempDir()
	configuration := get[corev1.ConfigMap](t, o, "ConfigMap", "bff-operator-store").Data["store.conf"]
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Only places differ from what runs in a pod.
	here := strings.Replace(configuration, "dir /data", "dir "+dir, 1)
	if here == configuration {
		t.Fatal("the server's data is not in /data, where the volume is")
	}
	line := []string{file("store.conf", here), "--bind", "127.0.0.1",
		"--aclfile", file("users.acl", users)}
	server := &storeServer{password: password, args: append(line, args...)}
	t.Cleanup(server.kill)
	for range 5 { // another process may take the port before the server does
		server.port = freePort(t)
		if server.start(t) {
			return server
		}
	}
	t.Fatal("redis-server does not start")
	return nil
}

// start runs the server, and says whether it came up.
func (s *storeServer) start(t *testing.T) bool {
	t.Helper()
	var output bytes.Buffer
	s.process = exec.Command("redis-server", append(slices.Clone(s.args), "--port", strconv.Itoa(s.port))...)
	s.process.Stdout, s.process.Stderr = &output, &output
	if err := s.process.Start(); err != nil {
		t.Fatalf("redis-server is needed: run `make test`, which installs it: %v", err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(process *exec.Cmd) {
		_ = process.Wait()
		close(exited)
	}(s.process)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		connection, err := net.Dial("tcp", s.address())
		if err == nil {
			_ = connection.Close()
			return true
		}
		select {
		case <-exited:
			t.Logf("redis-server ended: %s", output.String())
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

func (s *storeServer) kill() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		<-s.exited
	}
}

func (s *storeServer) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *storeServer) client(t *testing.T, username, password string) (rueidis.Client, error) {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{s.address()}, Username: username, Password: password, DisableRetry: true,
	})
	if err == nil {
		t.Cleanup(client.Close)
	}
	return client, err
}

// sidecar connects as sidecars do: RESP3, and tracking for a client-side cache.
func (s *storeServer) sidecar(t *testing.T) rueidis.Client {
	t.Helper()
	client, err := s.client(t, "bff", s.password)
	if err != nil {
		t.Fatalf("the user of the chart does not get in: %v", err)
	}
	return client
}

// What a session store needs, the user may do.
func TestStoreUserKeepsSessions(t *testing.T) {
	client := startStore(t).sidecar(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const key = "bff:{uid}:s:1"
	for _, command := range []string{
		"PING",
		"SET " + key + ":a x PX 60000",
		"HSET " + key + " record r version 1",
		"HMGET " + key + " record version",
		"HINCRBY " + key + " version 1",
		"PEXPIRE " + key + " 60000",
		"PTTL " + key,
		"EXISTS " + key + " " + key + ":a",
		"SADD bff:{uid}:sub:1 1",
		"SMEMBERS bff:{uid}:sub:1",
		"SREM bff:{uid}:sub:1 1",
		"ZADD bff:{uid}:z 1 a",
		"ZRANGE bff:{uid}:z 0 -1",
		"ZREM bff:{uid}:z a",
		"ZREMRANGEBYSCORE bff:{uid}:z -inf 1",
		"INCR bff:{uid}:f:s:1",
		"SET bff:{uid}:l:s:1 x NX PX 60000",
		"GET bff:{uid}:l:s:1",
		"GETDEL bff:{uid}:t:1",
		"TIME",
		"PUBLISH bff:ended 1",
		"SCRIPT LOAD return",
		"DEL " + key,
	} {
		if err := client.Do(ctx, client.B().Arbitrary(strings.Fields(command)...).Build()).Error(); err != nil && !rueidis.IsRedisNil(err) {
			t.Errorf("%s: %v", command, err)
		}
	}
	script := rueidis.NewLuaScript(`redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) return redis.call('GET', KEYS[1])`)
	if got, err := script.Exec(ctx, client, []string{"bff:{uid}:lock"}, []string{"me", "1000"}).ToString(); err != nil || got != "me" {
		t.Errorf("a script answers %q, %v", got, err)
	}
	if got, err := client.DoCache(ctx, client.B().Get().Key("bff:{uid}:lock").Cache(), time.Minute).ToString(); err != nil || got != "me" {
		t.Errorf("a cached read answers %q, %v", got, err)
	}
	for _, answer := range client.DoMulti(ctx, client.B().Multi().Build(), client.B().Set().Key("bff:t").Value("1").Build(), client.B().Exec().Build()) {
		if err := answer.Error(); err != nil {
			t.Errorf("a transaction: %v", err)
		}
	}
}

// Whoever has the password can do no more than that: all namespaces with a
// policy have it.
func TestStoreUserMayNotLookAround(t *testing.T) {
	client := startStore(t).sidecar(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, command := range []string{
		"GET other", "SET other x", "DEL bff:1 other", "PUBLISH other x", "RENAME bff:1 other",
		"KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "SELECT 1",
		"CONFIG GET *", "CONFIG SET maxmemory 0", "INFO", "MONITOR", "SLOWLOG GET", "LATENCY LATEST", "MEMORY STATS",
		"CLIENT LIST", "CLIENT KILL TYPE normal", "CLIENT PAUSE 1000",
		"ACL LIST", "ACL SETUSER evil on nopass +@all ~*", "ACL LOAD",
		"SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION LIST", "FUNCTION FLUSH",
		"SHUTDOWN NOSAVE", "SAVE", "BGSAVE", "BGREWRITEAOF", "REPLICAOF 127.0.0.1 1", "FAILOVER", "PSYNC ? -1",
		"MIGRATE 127.0.0.1 1 bff:1 0 1", "RESTORE bff:1 0 x", "MODULE LIST",
	} {
		err := client.Do(ctx, client.B().Arbitrary(strings.Fields(command)...).Build()).Error()
		if refusal, ok := rueidis.IsRedisErr(err); !ok || !strings.HasPrefix(refusal.Error(), "NOPERM") {
			t.Errorf("%s: %v, want NOPERM", command, err)
		}
	}
	for _, script := range []string{`return redis.call('GET', 'other')`, `return redis.call('KEYS', '*')`} {
		err := client.Do(ctx, client.B().Eval().Script(script).Numkeys(0).Build()).Error()
		if _, ok := rueidis.IsRedisErr(err); !ok {
			t.Errorf("script %q: %v, want an error of the server", script, err)
		}
	}
}

func TestStoreLetsNobodyElseIn(t *testing.T) {
	server := startStore(t)
	for say, login := range map[string]struct{ username, password string }{
		"nobody":                         {},
		"the default user":               {"default", server.password},
		"the right user, wrong password": {"bff", "wrong"},
		"an unknown user":                {"admin", server.password},
	} {
		client, err := server.client(t, login.username, login.password)
		if err == nil {
			err = client.Do(t.Context(), client.B().Ping().Build()).Error()
		}
		refusal, ok := rueidis.IsRedisErr(err)
		if !ok || !(strings.HasPrefix(refusal.Error(), "NOAUTH") || strings.HasPrefix(refusal.Error(), "WRONGPASS")) {
			t.Errorf("%s: %v, want NOAUTH or WRONGPASS", say, err)
		}
	}
}

// The commands that the README tells to run make a Secret like helm's.
func TestSecretCommands(t *testing.T) {
	o := rendered(t)
	commands, err := secretCommands(o)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	const kubectl = `#!/bin/sh
for argument; do
  case $argument in
    --from-literal=*) entry=${argument#--from-literal=}; printf %s "${entry#*=}" >"$OUT/${entry%%=*}" ;;
  esac
done
`
	if err := os.WriteFile(filepath.Join(bin, "kubectl"), []byte(kubectl), 0o755); err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "sh", "-euc", commands)
	shell.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "OUT="+bin)
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	entry := func(name string) string {
		text, err := os.ReadFile(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	mask := func(users string) string { return passwordHash.ReplaceAllString(users, "#") }
	if got, want := mask(entry("users.acl")), mask(secretEntry(t, o, "bff-operator-store", "users.acl")); got != want {
		t.Errorf("users.acl is %q, helm's is %q", got, want)
	}
	client := startStoreWith(t, o, entry("password"), entry("users.acl")).sidecar(t)
	if err := client.Do(t.Context(), client.B().Ping().Build()).Error(); err != nil {
		t.Errorf("the store does not let the password in: %v", err)
	}
}

// A full store refuses the new and forgets nothing.
func TestFullStoreEvictsNothing(t *testing.T) {
	client := startStore(t, "--maxmemory", "4mb").sidecar(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	value := strings.Repeat("x", 64<<10)
	stored := 0
	for ; stored < 1000; stored++ {
		err := client.Do(ctx, client.B().Set().Key("bff:"+strconv.Itoa(stored)).Value(value).Ex(time.Hour).Build()).Error()
		if err == nil {
			continue
		}
		if !strings.HasPrefix(err.Error(), "OOM") {
			t.Fatal(err)
		}
		break
	}
	if stored == 0 || stored == 1000 {
		t.Fatalf("%d values fit into 4 MB", stored)
	}
	for i := range stored {
		if err := client.Do(ctx, client.B().Get().Key("bff:"+strconv.Itoa(i)).Build()).Error(); err != nil {
			t.Errorf("value %d of %d is gone: %v", i, stored, err)
		}
	}
}

func TestStoreThatCrashesFindsItsSessionsAgain(t *testing.T) {
	server := startStore(t)
	client := server.sidecar(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := client.Do(ctx, client.B().Set().Key("bff:1").Value("kept").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	server.kill()
	if !server.start(t) {
		t.Fatal("it does not come up again")
	}
	again := server.sidecar(t)
	for {
		got, err := again.Do(ctx, again.B().Get().Key("bff:1").Build()).ToString()
		if err == nil && got == "kept" {
			return
		}
		if err != nil && strings.HasPrefix(err.Error(), "LOADING") && ctx.Err() == nil {
			continue
		}
		t.Fatalf("%q, %v", got, err)
	}
}

// The probes tell a server that answers from one that does not, and have the
// password from the environment.
func TestProbesOfTheStore(t *testing.T) {
	server := startStore(t)
	container := get[appsv1.Deployment](t, rendered(t), "Deployment", "bff-operator-store").Spec.Template.Spec.Containers[0]
	if i := slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == "REDISCLI_AUTH" && e.ValueFrom.SecretKeyRef != nil }); i < 0 {
		t.Fatal("the password is not in the environment")
	}
	for name, probe := range map[string]*corev1.Probe{"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
		run := func(password string, port int) error {
			line := probe.Exec.Command
			command := exec.CommandContext(t.Context(), line[0], append([]string{"-p", strconv.Itoa(port)}, line[1:]...)...)
			command.Env = append(os.Environ(), "REDISCLI_AUTH="+password)
			return command.Run()
		}
		if err := run(server.password, server.port); err != nil {
			t.Errorf("%s: a server that answers: %v", name, err)
		}
		var exit *exec.ExitError
		if err := run("wrong", server.port); !errors.As(err, &exit) {
			t.Errorf("%s: a server that refuses: %v, want an exit code", name, err)
		}
		if err := run(server.password, freePort(t)); !errors.As(err, &exit) {
			t.Errorf("%s: no server: %v, want an exit code", name, err)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
