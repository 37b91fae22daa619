package session_test

import (
	"encoding/base64"
	"math/rand/v2"
	"testing"

	"github.com/bff-operator/bff-operator/sidecar/internal/session"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/store/redistest"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// jwt is a text as long as a usual token.
func jwt(size int) string {
	b := make([]byte, size*3/4)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// BenchmarkFind finds a session of usual size: 3 KiB of tokens, five claims.
func BenchmarkFind(b *testing.B) {
	for name, open := range map[string]func() store.Store{
		"Memory": func() store.Store { return store.NewMemory(nil, 0) },
		"Redis":  func() store.Store { return newRedis(b, redistest.Start(b).Address) },
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, open())
			value, err := w.Create(b.Context(), session.Session{
				Issuer: "https://id.example.com", Subject: "alice",
				Claims: map[string]any{"name": "Alice", "email": "alice@example.com", "email_verified": true, "groups": []any{"a", "b"}, "auth_time": 1795521600},
				Tokens: token.Set{Access: token.Access{Token: jwt(1200)}, Refresh: jwt(800), ID: jwt(1000)},
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Find(b.Context(), value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
