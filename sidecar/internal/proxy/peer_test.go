package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/sidecar/internal/proxy"
)

// selfSigned is a certificate that no authority has issued.
func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// secure is an upstream that notes the certificates it was shown.
func secure(t *testing.T, want tls.ClientAuthType) (u *upstream, roots *x509.CertPool) {
	t.Helper()
	u = &upstream{}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.seen = append(u.seen, r)
		u.mu.Unlock()
		ok(w, r)
	}))
	authorities := x509.NewCertPool()
	authorities.AddCert(u.authority(t))
	u.TLS = &tls.Config{ClientAuth: want, ClientCAs: authorities}
	u.EnableHTTP2 = true
	u.StartTLS()
	t.Cleanup(u.Close)
	roots = x509.NewCertPool()
	roots.AddCert(u.Certificate())
	return u, roots
}

// authority is one that has issued nobody's certificate: a client
// that only answers authorities it knows would send none.
func (u *upstream) authority(t *testing.T) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(selfSigned(t).Certificate[0])
	must(t, err)
	return c
}

// An upstream is verified against its own authorities, in place of the usual
// ones.
func TestUpstreamOfItsOwnAuthority(t *testing.T) {
	u, roots := secure(t, tls.NoClientCert)
	for name, c := range map[string]struct {
		peer   proxy.Peer
		status int
	}{
		"its own":       {proxy.Peer{RootCAs: roots}, 200},
		"the usual":     {proxy.Peer{}, 502},
		"somebody else": {proxy.Peer{RootCAs: x509.NewCertPool()}, 502},
	} {
		r := newRig(t, parts{upstream: u.URL, peer: c.peer})
		if answer := r.do(r.call("GET", "/api")); answer.StatusCode != c.status {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
	}
	if n := len(u.requests()); n != 1 {
		t.Errorf("%d calls arrived", n)
	}
}

// MTLS-03: the upstream sees the certificate that the token is bound to, also
// one that no authority has issued.
func TestUpstreamSeesTheCertificate(t *testing.T) {
	u, roots := secure(t, tls.RequireAnyClientCert)
	certificate := selfSigned(t)
	r := newRig(t, parts{upstream: u.URL, peer: proxy.Peer{RootCAs: roots, Certificate: certificate}})
	if answer := r.do(r.call("GET", "/api")); answer.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", answer.StatusCode, r.log)
	}
	seen := u.last(t).TLS.PeerCertificates
	if len(seen) != 1 || string(seen[0].Raw) != string(certificate.Certificate[0]) {
		t.Errorf("%d certificates", len(seen))
	}
	// MTLS-06: nobody else's calls use that connection.
	r = newRig(t, parts{upstream: u.URL, peer: proxy.Peer{RootCAs: roots}})
	if answer := r.do(r.call("GET", "/api")); answer.StatusCode != http.StatusBadGateway {
		t.Errorf("without a certificate: %d", answer.StatusCode)
	}
}
