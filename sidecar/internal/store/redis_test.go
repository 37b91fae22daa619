package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/secret"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
)

const key = "bff:{policy}:s:1"

func password(p string) func() secret.String {
	return func() secret.String { return secret.New(p) }
}

func TestOptionsThatCannotBeRight(t *testing.T) {
	for _, o := range []store.RedisOptions{
		{},
		{Addresses: []string{"valkey"}},
		{Addresses: []string{":6379"}},
		{Addresses: []string{"valkey:"}},
		{Addresses: []string{"redis://valkey:6379"}},
		{Addresses: []string{"valkey:6379"}, Timeout: -1},
	} {
		if _, err := store.NewRedis(o); err == nil {
			t.Errorf("NewRedis took %+v", o)
		}
	}
}

// Both keys of an entry go together. (That they share a cluster slot is shown
// by the contract on a Cluster.)
func TestRedisKeys(t *testing.T) {
	server := redistest.Start(t)
	redis := newRedis(t, store.RedisOptions{Addresses: []string{server.Address}})
	create(t, redis, key)
	if n := server.Must(t, "DBSIZE"); n != "2" {
		t.Fatalf("an entry takes %s keys, want 2", n)
	}
	// An entry that idled out takes no room once somebody asked for it.
	server.Pass(t, idle)
	if n := server.Must(t, "DBSIZE"); n != "1" {
		t.Fatalf("%s keys are left, want the record", n)
	}
	_, err := redis.Load(t.Context(), key)
	want(t, err, store.ErrNotFound)
	if n := server.Must(t, "DBSIZE"); n != "0" {
		t.Errorf("%s keys are left", n)
	}
}

// Being used does not change the record's key, so copies elsewhere stay valid.
func TestTouchLeavesTheRecordAlone(t *testing.T) {
	server := redistest.Start(t)
	redis := newRedis(t, store.RedisOptions{Addresses: []string{server.Address}})
	create(t, redis, key)
	before := server.Must(t, "PEXPIRETIME", key)
	want(t, redis.Touch(t.Context(), key, idle), nil)
	if after := server.Must(t, "PEXPIRETIME", key); after != before {
		t.Errorf("the record's end moved from %s to %s", before, after)
	}
}

// The password is asked for at every connection, so it can be rotated.
func TestPasswordRotates(t *testing.T) {
	server := redistest.Start(t)
	server.Must(t, "ACL", "SETUSER", "bff", "on", ">old", "allkeys", "allcommands")
	current := secret.New("old")
	redis := newRedis(t, store.RedisOptions{Addresses: []string{server.Address}, Username: "bff", Password: func() secret.String { return current }})
	create(t, redis, key)

	current = secret.New("new")
	server.Must(t, "ACL", "SETUSER", "bff", "resetpass", ">new")
	server.Must(t, "CLIENT", "KILL", "USER", "bff")
	eventually(t, "the store logs in with the new password", func() bool { return redis.Ping(t.Context()) == nil })
	load(t, redis, key)
}

func TestRefusals(t *testing.T) {
	server := redistest.Start(t)
	server.Must(t, "ACL", "SETUSER", "bff", "on", ">right", "allkeys", "allcommands")
	server.Must(t, "ACL", "SETUSER", "reader", "on", ">right", "allkeys", "allcommands", "-eval", "-evalsha")
	for name, row := range map[string]struct {
		user, password, code string
		prepare              []string
	}{
		"wrong password": {"bff", "wrong", "WRONGPASS", nil},
		"no rights":      {"reader", "right", "NOPERM", nil},
		"full":           {"bff", "right", "OOM", []string{"CONFIG", "SET", "maxmemory", "1"}},
		"another's key":  {"bff", "right", "WRONGTYPE", []string{"RPUSH", key, "a list"}},
	} {
		t.Run(name, func(t *testing.T) {
			redis := newRedis(t, store.RedisOptions{Addresses: []string{server.Address}, Username: row.user, Password: password(row.password)})
			if row.prepare != nil {
				server.Must(t, row.prepare...)
			}
			t.Cleanup(func() {
				server.Must(t, "CONFIG", "SET", "maxmemory", "0")
				server.Must(t, "FLUSHALL")
			})
			err := redis.Create(t.Context(), key, fresh(entry("MARKER", 0), lifetime, idle))
			want(t, err, store.ErrUnavailable)
			if !strings.Contains(err.Error(), row.code) {
				t.Errorf("the error does not say %s: %v", row.code, err)
			}
			discreet(t, err)
		})
	}
}

// What is at our key but is not ours is neither served nor taken for a missing
// session, and no error quotes it.
func TestForeignHash(t *testing.T) {
	server := redistest.Start(t)
	redis := newRedis(t, store.RedisOptions{Addresses: []string{server.Address}})
	server.Must(t, "HSET", key, "record", "x", "metadata", "x", "version", "MARKER")
	server.Must(t, "SET", strings.Replace(key, "}:", "}:a:", 1), "", "PX", "60000")
	_, err := redis.Load(t.Context(), key)
	want(t, err, store.ErrUnavailable)
	discreet(t, err)
	if n := server.Must(t, "DBSIZE"); n != "2" {
		t.Errorf("%s keys are left, want 2", n)
	}
}

// The store needs a server that tells it of changes.
func TestUserMayNotTrack(t *testing.T) {
	server := redistest.Start(t)
	server.Must(t, "ACL", "SETUSER", "bff", "on", ">pass", "allkeys", "allcommands", "-client|tracking")
	redis := newRedis(t, store.RedisOptions{Addresses: []string{server.Address}, Username: "bff", Password: password("pass")})
	err := redis.Ping(t.Context())
	want(t, err, store.ErrUnavailable)
	if !strings.Contains(err.Error(), "CLIENT TRACKING") {
		t.Errorf("the error does not help: %v", err)
	}
	discreet(t, err)
}

func TestTLS(t *testing.T) {
	pki := newPKI(t)
	server := redistest.StartTCP(t, "--tls-port", pki.server("--tls-auth-clients", "no")...)

	redis := newRedis(t, store.RedisOptions{Addresses: []string{server.TCP}, TLS: true, RootCAs: pki.roots})
	create(t, redis, key)
	load(t, redis, key)

	_, port, _ := net.SplitHostPort(server.TCP)
	for name, o := range map[string]store.RedisOptions{
		"an unknown authority": {Addresses: []string{server.TCP}, TLS: true, RootCAs: x509.NewCertPool()},
		"another name":         {Addresses: []string{net.JoinHostPort("localhost", port)}, TLS: true, RootCAs: pki.roots},
		"no TLS":               {Addresses: []string{server.TCP}},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, newRedis(t, o).Ping(t.Context()), store.ErrUnavailable)
		})
	}
}

// The server knows its clients by certificate. The certificate is asked for at
// every connection, so that a renewed one is used without a restart.
func TestClientCertificate(t *testing.T) {
	pki := newPKI(t)
	server := redistest.StartTCP(t, "--tls-port", pki.server()...)
	var shown atomic.Pointer[tls.Certificate]
	o := pki.client(store.RedisOptions{Addresses: []string{server.TCP}})
	o.ClientCertificate = func() (*tls.Certificate, error) { return shown.Load(), nil }
	redis := newRedis(t, o)
	want(t, redis.Ping(t.Context()), store.ErrUnavailable)
	shown.Store(&pki.certificate)
	eventually(t, "the certificate is shown", func() bool { return redis.Ping(t.Context()) == nil })
	create(t, redis, key)
}

func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return pool
}

// discreet checks GAP-09 for an error: no key, no value, no password.
func discreet(t *testing.T, err error) {
	t.Helper()
	for _, marker := range []string{key, "bff:{", "MARKER", "right", "wrong"} {
		if strings.Contains(err.Error(), marker) {
			t.Errorf("the error %q has %q in it", err, marker)
		}
	}
}
