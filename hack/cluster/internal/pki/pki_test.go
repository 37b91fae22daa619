package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/hack/cluster/internal/layout"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func generated(t *testing.T) (layout.Network, map[string][]byte) {
	t.Helper()
	n, err := layout.Plan(layout.DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(n, now)
	if err != nil {
		t.Fatal(err)
	}
	return n, files
}

func parse(t *testing.T, content []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(content)
	if block == nil {
		t.Fatalf("no PEM: %q", content)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func verify(c *x509.Certificate, authority []byte, use x509.ExtKeyUsage, at time.Time) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	_, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

func TestEveryIdentityIsTheOneRBACKnows(t *testing.T) {
	_, files := generated(t)
	for _, test := range []struct{ file, user, group string }{
		{"admin", "kubernetes-admin", "system:masters"},
		{"apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters"},
		{"controller-manager", "system:kube-controller-manager", ""},
		{"scheduler", "system:kube-scheduler", ""},
		{"proxy", "system:kube-proxy", ""},
		{"kubelet", "system:node:" + layout.Node, "system:nodes"},
	} {
		c := parse(t, files[test.file+".crt"])
		if c.Subject.CommonName != test.user {
			t.Errorf("%s: user %q, want %q", test.file, c.Subject.CommonName, test.user)
		}
		if groups := c.Subject.Organization; test.group == "" && len(groups) > 0 || test.group != "" && (len(groups) != 1 || groups[0] != test.group) {
			t.Errorf("%s: groups %q, want %q", test.file, groups, test.group)
		}
		if err := verify(c, files["ca.crt"], x509.ExtKeyUsageClientAuth, now); err != nil {
			t.Errorf("%s cannot log in: %v", test.file, err)
		}
		if _, err := tls.X509KeyPair(files[test.file+".crt"], files[test.file+".key"]); err != nil {
			t.Errorf("%s: certificate and key do not belong together: %v", test.file, err)
		}
	}
}

func TestTheAPIServerIsKnownUnderItsNamesAndAddresses(t *testing.T) {
	n, files := generated(t)
	c := parse(t, files["apiserver.crt"])
	for _, name := range []string{n.Node.String(), n.API.String(), "127.0.0.1", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"} {
		if err := c.VerifyHostname(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(c, files["ca.crt"], x509.ExtKeyUsageClientAuth, now); err == nil {
		t.Error("the API server's serving certificate can log in as a client")
	}
}

func TestAuthoritiesDoNotVouchForEachOther(t *testing.T) {
	_, files := generated(t)
	for _, test := range []struct{ authority, stranger string }{
		{"etcd-ca", "admin"}, {"front-proxy-ca", "admin"}, {"ca", "front-proxy"}, {"ca", "apiserver-etcd"},
	} {
		if err := verify(parse(t, files[test.stranger+".crt"]), files[test.authority+".crt"], x509.ExtKeyUsageClientAuth, now); err == nil {
			t.Errorf("authority %s accepts %s", test.authority, test.stranger)
		}
	}
}

func TestCertificatesExpire(t *testing.T) {
	_, files := generated(t)
	c := parse(t, files["admin.crt"])
	if err := verify(c, files["ca.crt"], x509.ExtKeyUsageClientAuth, now.Add(validity+time.Second)); err == nil {
		t.Error("the certificate is good for ever")
	}
}

func TestEnsureWritesOnceAndForItsOwnerOnly(t *testing.T) {
	n, _ := generated(t)
	dir := filepath.Join(t.TempDir(), "pki")
	if err := Ensure(dir, n, now); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Ensure(dir, n, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Error("the second call made a new authority")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", entry.Name(), info.Mode())
		}
	}
}
