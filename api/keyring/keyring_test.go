package keyring_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestRingSurvivesMarshalAndParse(t *testing.T) {
	ring, err := keyring.New(now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := keyring.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if again.Primary() != ring.Primary() {
		t.Error("the primary key changed on its way through Marshal and Parse")
	}
	if _, ok := again.Key(ring.Primary().ID); !ok {
		t.Error("the primary key cannot be found by its id")
	}
	if _, ok := again.Key("other"); ok {
		t.Error("a key that is not in the ring was found")
	}
}

func TestNewNeedsRandomness(t *testing.T) {
	for _, n := range []int{0, keyring.KeySize, keyring.KeySize + 3} {
		if _, err := keyring.New(now, bytes.NewReader(make([]byte, n))); err == nil {
			t.Errorf("New made a key from %d bytes of randomness", n)
		}
	}
}

func TestKeysDoNotPrintTheirMaterial(t *testing.T) {
	ring, err := keyring.New(now, bytes.NewReader(bytes.Repeat([]byte("M"), 64)))
	if err != nil {
		t.Fatal(err)
	}
	key := ring.Primary()
	for _, thing := range []any{key, &key, ring, *ring, struct{ Key keyring.Key }{key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if s := fmt.Sprintf(verb, thing); strings.Contains(s, "MMM") || strings.Contains(s, "77") || strings.Contains(s, "0x4d") {
				t.Errorf("%s prints key material of a %T: %s", verb, thing, s)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, keyring.KeySize))
	short := base64.StdEncoding.EncodeToString(make([]byte, keyring.KeySize-1))
	many := make([]string, keyring.MaxKeys+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id":"k%d","key":"%s"}`, i, key)
	}
	for name, row := range map[string]struct {
		in   string
		want error
	}{
		"nothing":            {``, keyring.ErrMalformed},
		"no JSON":            {`secret-looking text`, keyring.ErrMalformed},
		"no keys":            {`{"primary":"a","keys":[]}`, keyring.ErrEmpty},
		"short key":          {`{"primary":"a","keys":[{"id":"a","key":"` + short + `"}]}`, keyring.ErrMalformed},
		"no id":              {`{"primary":"","keys":[{"id":"","key":"` + key + `"}]}`, keyring.ErrMalformed},
		"odd id":             {`{"primary":"A/b","keys":[{"id":"A/b","key":"` + key + `"}]}`, keyring.ErrMalformed},
		"same id twice":      {`{"primary":"a","keys":[{"id":"a","key":"` + key + `"},{"id":"a","key":"` + key + `"}]}`, keyring.ErrMalformed},
		"primary is missing": {`{"primary":"b","keys":[{"id":"a","key":"` + key + `"}]}`, keyring.ErrMalformed},
		"too many keys":      {`{"primary":"k0","keys":[` + strings.Join(many, ",") + `]}`, keyring.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keyring.Parse([]byte(row.in))
			if !errors.Is(err, row.want) {
				t.Fatalf("Parse returned %v, want %v", err, row.want)
			}
			if strings.Contains(err.Error(), "secret-looking") {
				t.Errorf("the error quotes its input: %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	ring, _ := keyring.New(now, rand.Reader)
	data, _ := ring.Marshal()
	f.Add(data)
	f.Add([]byte(`{"primary":"a","keys":[{"id":"a"}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		ring, err := keyring.Parse(in)
		if err != nil {
			return
		}
		if _, ok := ring.Key(ring.Primary().ID); !ok {
			t.Error("accepted a ring whose primary key is not in it")
		}
	})
}
