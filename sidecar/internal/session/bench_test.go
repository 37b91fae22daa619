package session_test

import (
	"encoding/base64"
	"math/rand/v2"
	"testing"
	"time"

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

// usual is a session of usual size: 3 KiB of tokens, five claims.
func usual() session.Session {
	return session.Session{
		Issuer: "https://id.example.com", Subject: "alice",
		Claims: map[string]any{"name": "Alice", "email": "alice@example.com", "email_verified": true, "groups": []any{"a", "b"}, "auth_time": 1795521600},
		Tokens: token.Set{Access: token.Access{Token: jwt(1200)}, Refresh: jwt(800), ID: jwt(1000)},
	}
}

// BenchmarkFind finds a session of usual size.
func BenchmarkFind(b *testing.B) {
	for name, open := range map[string]func() store.Store{
		"Memory": func() store.Store { return store.NewMemory(nil, 0) },
		"Redis":  func() store.Store { return newRedis(b, redistest.Start(b).Address) },
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, open())
			value, err := w.Create(b.Context(), usual())
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

// BenchmarkReady is what a call needs of its session: the session and the header
// value for its route, of one session and of as many as there is room for, from
// one caller and from all processors.
func BenchmarkReady(b *testing.B) {
	narrowed := token.Target{Resource: "https://orders.example.com", Scopes: []string{"orders.read", "orders.write"}}
	for name, bench := range map[string]struct {
		sessions int
		target   token.Target
	}{
		"one session":                 {1, own},
		"one session, narrowed":       {1, narrowed},
		"1000 sessions":               {1000, own},
		"1000 sessions, all narrowed": {1000, narrowed},
	} {
		w := newWorld(b, store.NewMemory(nil, 0))
		values := make([]string, bench.sessions)
		for i := range values {
			sess := usual()
			now := time.Now()
			sess.Tokens.Access.ObtainedAt, sess.Tokens.Access.Expiry = now, now.Add(time.Hour)
			sess.Tokens = sess.Tokens.With(narrowed, sess.Tokens.Access)
			value, err := w.Create(b.Context(), sess)
			if err != nil {
				b.Fatal(err)
			}
			w.find(b, value)
			values[i] = value
		}
		call := func(b *testing.B, i int) {
			sess, ok := w.Ready(values[i%len(values)], bench.target, true)
			if !ok {
				b.Error("it is not ready")
				return
			}
			if _, ok := sess.Authorization(bench.target); !ok {
				b.Error("there is no header value")
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				call(b, i)
			}
		})
		b.Run(name+", parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(len(values)); pb.Next(); i++ {
					call(b, i)
				}
			})
		})
	}
}
