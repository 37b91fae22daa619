package clientauth_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/clientauth"
)

// MTLS-01, MTLS-04: the certificate is shown in the handshake, and the request
// names the client.
func TestCertificateIsShown(t *testing.T) {
	for _, kind := range []string{"RSA-2048", "P-256", "Ed25519"} {
		t.Run(kind, func(t *testing.T) {
			key := keys[kind]()
			registered := certificate(t, key)
			der, _ := pem.Decode(registered)
			want := sha256.Sum256(der.Bytes)

			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
				if got != want || r.PostFormValue("client_id") != "shop" || r.Header.Get("Authorization") != "" {
					http.Error(w, "invalid_client", http.StatusUnauthorized)
				}
			}))
			server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
			server.StartTLS()
			defer server.Close()

			credentials := clientauth.Credentials{Certificate: must[*tls.Certificate](t)(clientauth.ParseCertificate(registered, pkcs8(t, key)))}
			transport := server.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.Certificates = []tls.Certificate{*credentials.Certificate}
			form := url.Values{"grant_type": {"refresh_token"}}
			client := clientauth.Client{ID: "shop", Method: v1alpha1.SelfSignedTLSClientAuth}
			request := must[*http.Request](t)(http.NewRequest("POST", server.URL, nil))
			if err := client.Authenticate(credentials, endpoint, noon, form, request.Header); err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.Body = io.NopCloser(strings.NewReader(form.Encode()))
			answer := must[*http.Response](t)((&http.Client{Transport: transport}).Do(request))
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("the server says %s", answer.Status)
			}
		})
	}
}

// A chain is kept in its order, with the client's own certificate parsed.
func TestParseCertificateKeepsTheChain(t *testing.T) {
	key, authority := keys["P-256"](), keys["P-384"]()
	own, above := certificate(t, key), certificate(t, authority)
	pair := must[*tls.Certificate](t)(clientauth.ParseCertificate(slices.Concat(own, above), sec1(t, key)))
	if len(pair.Certificate) != 2 || pair.Leaf == nil {
		t.Fatalf("%d certificates, leaf %v", len(pair.Certificate), pair.Leaf)
	}
	der, _ := pem.Decode(own)
	if !pair.Leaf.Equal(must[*x509.Certificate](t)(x509.ParseCertificate(der.Bytes))) {
		t.Error("the leaf is another certificate")
	}
}

func TestParseCertificateRefuses(t *testing.T) {
	key, other := keys["P-256"](), keys["Ed25519"]()
	weak := keys["RSA-1024"]()
	for name, tc := range map[string]struct{ certificate, key []byte }{
		"nothing":             {nil, nil},
		"no key":              {certificate(t, key), nil},
		"no certificate":      {nil, pkcs8(t, key)},
		"mixed up":            {pkcs8(t, key), certificate(t, key)},
		"another's key":       {certificate(t, key), pkcs8(t, other)},
		"authority's first":   {slices.Concat(certificate(t, other), certificate(t, key)), pkcs8(t, key)},
		"garbage certificate": {block("CERTIFICATE", []byte("hunter2")), pkcs8(t, key)},
		"garbage key":         {certificate(t, key), block("PRIVATE KEY", []byte("hunter2"))},
		"RSA of 1024 bits":    {certificate(t, weak), pkcs8(t, weak)}, // FAPI-19
	} {
		pair, err := clientauth.ParseCertificate(tc.certificate, tc.key)
		if !errors.Is(err, clientauth.ErrCertificate) || pair != nil {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
	}
}
