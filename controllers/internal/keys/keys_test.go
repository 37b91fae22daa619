package keys_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/controllers/internal/keys"
)

func TestDecide(t *testing.T) {
	fresh, err := keyring.New(time.Unix(1e9, 0), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := fresh.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		data     map[string][]byte
		password string
		want     keys.Needs
		damaged  error
	}{
		"nothing yet":                   {nil, "", keys.Needs{Ring: true}, nil},
		"nothing yet, with a password":  {nil, "s3cret", keys.Needs{Ring: true, Password: true}, nil},
		"a password and no ring":        {map[string][]byte{pod.StorePasswordKey: []byte("s3cret")}, "s3cret", keys.Needs{Ring: true}, nil},
		"all there":                     {map[string][]byte{pod.KeyRingKey: ring, pod.StorePasswordKey: []byte("s3cret")}, "s3cret", keys.Needs{}, nil},
		"no password needed":            {map[string][]byte{pod.KeyRingKey: ring}, "", keys.Needs{}, nil},
		"an old password, unneeded now": {map[string][]byte{pod.KeyRingKey: ring, pod.StorePasswordKey: []byte("old")}, "", keys.Needs{}, nil},
		"another password":              {map[string][]byte{pod.KeyRingKey: ring, pod.StorePasswordKey: []byte("old")}, "s3cret", keys.Needs{Password: true}, nil},
		"a ring of nonsense":            {map[string][]byte{pod.KeyRingKey: []byte("secret-looking")}, "s3cret", keys.Needs{Password: true}, keyring.ErrMalformed},
		"an empty entry is no ring":     {map[string][]byte{pod.KeyRingKey: {}}, "", keys.Needs{}, keyring.ErrMalformed},
		"a ring without keys":           {map[string][]byte{pod.KeyRingKey: []byte(`{}`)}, "", keys.Needs{}, keyring.ErrEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := keys.Decide(keys.Input{Secret: &corev1.Secret{Data: row.data}, Password: []byte(row.password), Schedule: schedule, Now: time.Unix(1e9, 0), Random: rand.Reader})
			if got != row.want {
				t.Errorf("needs %+v, want %+v", got, row.want)
			}
			if !errors.Is(err, row.damaged) || (err != nil) != (row.damaged != nil) {
				t.Errorf("got error %v, want %v", err, row.damaged)
			}
			if err != nil && strings.Contains(err.Error(), "secret-looking") {
				t.Errorf("the error quotes the Secret: %v", err)
			}
		})
	}
}

var schedule = keyring.Schedule{Interval: 720 * time.Hour, Propagation: 15 * time.Minute, Keep: 721 * time.Hour}

func TestDecideRotates(t *testing.T) {
	start := time.Unix(1e9, 0)
	ring, err := keyring.New(start, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	decide := func(now time.Time) keys.Needs {
		t.Helper()
		data, err := ring.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		needs, err := keys.Decide(keys.Input{Secret: &corev1.Secret{Data: map[string][]byte{pod.KeyRingKey: data}}, Schedule: schedule, Now: now, Random: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		return needs
	}
	if needs := decide(start.Add(schedule.Interval - time.Second)); needs.Rotated != nil {
		t.Error("rotated before it is due")
	}
	needs := decide(start.Add(schedule.Interval))
	if needs.Rotated == nil || needs.Rotated.Primary().ID != ring.Primary().ID {
		t.Fatal("no successor is carried along")
	}
	first := ring.Primary().ID
	ring = needs.Rotated
	needs = decide(start.Add(schedule.Interval + schedule.Propagation))
	if needs.Rotated == nil || needs.Rotated.Primary().ID == first {
		t.Fatal("the successor does not become primary")
	}
	if _, kept := needs.Rotated.Key(first); !kept {
		t.Error("the old key is gone while sessions may need it")
	}
}
