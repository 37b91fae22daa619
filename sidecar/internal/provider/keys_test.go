package provider_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bff-operator/bff-operator/sidecar/internal/provider"
	"github.com/bff-operator/bff-operator/sidecar/internal/provider/providertest"
)

// CT-31, OIDC-12: the provider signs with a new key from one login to the next.
func TestKeyRotation(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client := provider.New(configFor(server))
	if _, err := login(t, server, client); err != nil {
		t.Fatal(err)
	}
	server.RotateKey()
	for range 3 {
		if _, err := login(t, server, client); err != nil {
			t.Fatalf("after the rotation: %v", err)
		}
	}
	if n := server.Count("/keys"); n != 2 {
		t.Errorf("keys were fetched %d times, want 2", n)
	}
	if n := server.Count("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("metadata were fetched %d times, want once", n)
	}
}

// OIDC-12: tokens with keys nobody knows do not make the client fetch without
// end, and hurt no token that is good.
func TestJunkKeyIDs(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	client := provider.New(configFor(server))
	if _, err := login(t, server, client); err != nil {
		t.Fatal(err)
	}
	var serial atomic.Int64
	signature := base64.RawURLEncoding.EncodeToString(make([]byte, 256))
	junk := func(*providertest.Server, map[string]any) string {
		header := fmt.Sprintf(`{"alg":"RS256","kid":"junk-%d"}`, serial.Add(1))
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + ".e30." + signature
	}
	server.Behave(providertest.Behaviour{Sign: junk})
	for range 300 {
		_, err := login(t, server, client)
		wantFailure(t, err, provider.ReasonIDTokenSignature)
	}
	for range 1000 {
		_, err := client.VerifyLogoutToken(t.Context(), junk(nil, nil))
		wantFailure(t, err, provider.ReasonLogoutSignature)
	}
	if n := server.Count("/keys"); n > 12 {
		t.Errorf("1300 junk key ids made the client fetch keys %d times", n)
	}
	server.Behave(providertest.Behaviour{})
	if _, err := login(t, server, client); err != nil {
		t.Errorf("a good token is refused after the junk: %v", err)
	}
}

// OIDC-12: keys that are known serve on while the provider cannot give them.
func TestKeysOutage(t *testing.T) {
	server := providertest.Start(t, providertest.Behaviour{})
	now := time.Now()
	client := clientOf(server, func(c *provider.Config) { c.Clock = func() time.Time { return now } })
	if _, err := login(t, server, client); err != nil {
		t.Fatal(err)
	}
	server.Behave(serve("/keys", func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) }))
	if _, err := login(t, server, client); err != nil {
		t.Errorf("a token with a known key: %v", err)
	}
	now = now.Add(2 * time.Hour) // keys would be fetched again
	server.Behave(providertest.Behaviour{
		Serve: serve("/keys", func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) }).Serve,
		Claims: func(c map[string]any) {
			c["iat"], c["exp"] = now.Unix(), now.Add(time.Minute).Unix()
		},
	})
	if _, err := login(t, server, client); err != nil {
		t.Errorf("a token with a known, old key: %v", err)
	}
}

// Without keys it is not known whether the token is good: that may pass.
func TestKeysOutageAtTheFirstLogin(t *testing.T) {
	server := providertest.Start(t, serve("/keys", func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) }))
	_, err := login(t, server, provider.New(configFor(server)))
	wantFailure(t, err, provider.ReasonStatus)
	if !errors.Is(err, provider.ErrUnavailable) {
		t.Errorf("error %v does not match ErrUnavailable", err)
	}
}

// FAPI-20: decoys under the same key id, and keys of kinds nobody understands.
func TestKeySetWithDecoys(t *testing.T) {
	elliptic := ellipticKey(t)
	server := providertest.Start(t, providertest.Behaviour{})
	server.Behave(providertest.Behaviour{Serve: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/keys" {
			return false
		}
		providertest.WriteJSON(w, http.StatusOK, map[string]any{"keys": []any{
			map[string]any{"kty": "post-quantum", "kid": "key-0"},
			map[string]any{"kty": "RSA", "kid": "key-0", "n": "AQAB", "e": "AQAB"},
			jose.JSONWebKey{Key: providertest.OtherKey().Public(), KeyID: "key-0"},
			jose.JSONWebKey{Key: server.PublicKey(), KeyID: "key-0", Use: "enc"},
			jose.JSONWebKey{Key: server.PublicKey(), KeyID: "key-0", Algorithm: "PS256"},
			jose.JSONWebKey{Key: elliptic.Public(), KeyID: "key-0", Use: "sig"},
			jose.JSONWebKey{Key: server.PublicKey(), KeyID: "key-0"},
		}})
		return true
	}})
	if _, err := login(t, server, provider.New(configFor(server))); err != nil {
		t.Error(err)
	}
}

// IDT-07, RFC 7518 section 3.3: keys that verify the signature and are not meant
// for it, or are too short for anything.
func TestKeysThatDoNotCount(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		key  func(*providertest.Server) jose.JSONWebKey
		sign func(*providertest.Server, map[string]any) string
		want provider.Reason
	}{
		"for encryption": {
			key: func(s *providertest.Server) jose.JSONWebKey {
				return jose.JSONWebKey{Key: s.PublicKey(), KeyID: "key-0", Use: "enc"}
			}, want: provider.ReasonIDTokenSignature},
		"for another algorithm": {
			key: func(s *providertest.Server) jose.JSONWebKey {
				return jose.JSONWebKey{Key: s.PublicKey(), KeyID: "key-0", Algorithm: "PS256"}
			}, want: provider.ReasonIDTokenSignature},
		"1024 bits": {
			key: func(*providertest.Server) jose.JSONWebKey {
				return jose.JSONWebKey{Key: short.Public(), KeyID: "key-0"}
			},
			sign: func(s *providertest.Server, c map[string]any) string {
				return s.SignWith(jose.RS256, short, "key-0", c)
			}, want: provider.ReasonKeys},
	} {
		t.Run(name, func(t *testing.T) {
			server := providertest.Start(t, providertest.Behaviour{})
			server.Behave(providertest.Behaviour{Sign: row.sign, Serve: func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/keys" {
					return false
				}
				providertest.WriteJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{row.key(server)}})
				return true
			}})
			_, err := login(t, server, provider.New(configFor(server)))
			wantFailure(t, err, row.want)
		})
	}
}
