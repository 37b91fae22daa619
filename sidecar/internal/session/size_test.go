package session

import (
	"crypto/rand"
	"encoding/base64"
	"runtime"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/store"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// What a session is counted with is at least what it takes, and not twice as
// much: of small ones and large ones, with many tokens and with many claims.
func TestSessionsAreCountedWithWhatTheyTake(t *testing.T) {
	text := func(size int) string {
		b := make([]byte, size*3/4)
		_, _ = rand.Read(b)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	usual := func() Session {
		return Session{
			Issuer: "https://id.example.com", Subject: text(36), Tokens: token.Set{Access: token.Access{Token: text(1200)}, Refresh: text(800), ID: text(1000)},
			Claims: map[string]any{"name": text(20), "email": text(30), "email_verified": true, "groups": []any{text(8), text(8)}, "auth_time": 1795521600},
		}
	}
	for name, change := range map[string]func(*Session){
		"usual": func(*Session) {},
		"small": func(s *Session) {
			s.Tokens, s.Claims = token.Set{Access: token.Access{Token: text(40)}, Refresh: text(40)}, nil
		},
		"large": func(s *Session) { s.Tokens.Access.Token, s.Tokens.ID = text(16<<10), text(16<<10) },
		"many targets": func(s *Session) {
			for range 8 {
				s.Tokens = s.Tokens.With(token.Target{Resource: "https://" + text(12) + ".example.com"}, token.Access{Token: text(1200), Type: token.Bearer})
			}
		},
		"many small claims": func(s *Session) {
			var numbers, names, objects []any
			for i := range 300 {
				numbers, names = append(numbers, i), append(names, text(4))
				objects = append(objects, map[string]any{"a": i})
			}
			s.Claims["numbers"], s.Claims["names"], s.Claims["objects"] = numbers, names, objects
			for range 100 {
				s.Claims[text(8)] = true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const count = 200
			shared, now := store.NewMemory(nil, 0), time.Now()
			ring, err := keyring.New(now, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			open := func() *Sessions {
				return New(Options{
					Store: shared, Ring: func() *keyring.Ring { return ring }, CacheBytes: 1 << 30,
					Limits: func() Limits { return Limits{Lifetime: time.Hour, IdleTimeout: time.Hour} },
				})
			}
			writer, reader := open(), open()
			var values []string
			for range count {
				sess := usual()
				change(&sess)
				value, err := writer.Create(t.Context(), sess)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, value)
			}
			before := heap()
			for _, value := range values {
				if _, err := reader.Find(t.Context(), value); err != nil {
					t.Fatal(err)
				}
			}
			takes, counted := int64(heap()-before), reader.cache.bytes.Load()
			t.Logf("a session takes %d bytes and is counted with %d", takes/count, counted/count)
			if takes > counted || counted > 2*takes {
				t.Errorf("%d sessions take %d bytes and are counted with %d", count, takes, counted)
			}
			runtime.KeepAlive(reader)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
