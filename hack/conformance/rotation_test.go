//go:build conformance

package conformance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
)

// schedule is the operator's, in a time of the test's own.
var schedule = keyring.Schedule{Interval: 24 * time.Hour, Propagation: 15 * time.Minute, Keep: 30 * time.Hour}

// rotation is a key ring under running sidecars.
type rotation struct {
	*crowd
	ring  *keyring.Ring
	start time.Time
}

// at has the ring become what it is a time after its first key was made, swaps
// the file, and waits until every replica has it.
func (r *rotation) at(after time.Duration) {
	r.Helper()
	next, err := r.ring.Rotated(schedule, r.start.Add(after), rand.Reader)
	if err != nil {
		r.Fatal(err)
	}
	if next == r.ring {
		r.Fatalf("nothing is due after %s", after)
	}
	r.ring = next
	data, err := next.Marshal()
	if err != nil {
		r.Fatal(err)
	}
	before := r.loaded()
	r.Mounts.Secret(r, ringSecret, string(data))
	r.Eventually("every replica has the new ring", func() bool {
		for i, when := range r.loaded() {
			if when == before[i] {
				return false
			}
		}
		return true
	})
}

const ringSecret = "bff-operator-keys/keyring.json"

// loaded is when each replica has read its configuration.
func (r *rotation) loaded() []string {
	r.Helper()
	var all []string
	for _, p := range r.Replicas {
		var status struct {
			Configuration struct{ LoadedAt, Error string }
		}
		text, err := p.Status()
		if err == nil {
			err = json.Unmarshal([]byte(text), &status)
		}
		if err != nil || status.Configuration.Error != "" {
			r.Fatalf("status: %v, %s", err, status.Configuration.Error)
		}
		all = append(all, status.Configuration.LoadedAt)
	}
	return all
}

// sealed is how many records and metadata of sessions are sealed with a key. A
// sealed text begins with its version, 1, and the key's id behind its length.
func (r *rotation) sealed(key string) int {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	text, err := r.Store.Dump(ctx, "bff:{"+r.uid+"}:s:")
	if err != nil {
		r.Fatal(err)
	}
	return strings.Count(text, fmt.Sprintf("\x01%c%s", rune(len(key)), key))
}

// The key ring is rotated twice under load, and the first key is dropped: nobody
// is logged out, and no call fails.
func TestRotationOfTheKeyRingUnderLoad(t *testing.T) {
	t.Parallel()
	const sessions = 8
	c := newCrowd(t, "the key ring is rotated twice under load", sessions, tokenLife, replicas(2))
	ring, err := keyring.Parse([]byte(c.setup.secrets[ringSecret]))
	if err != nil {
		t.Fatal(err)
	}
	r := &rotation{crowd: c, ring: ring, start: ring.Primary().Created}
	first := ring.Primary().ID
	if n := r.sealed(first); n != 2*sessions {
		t.Fatalf("%d texts are sealed with the first key, want record and metadata of %d sessions", n, sessions)
	}
	stop := c.load(c.everybody())

	for turn := range 2 {
		due := time.Duration(turn+1) * schedule.Interval
		old := r.ring.Primary().ID
		r.at(due)
		if r.ring.Primary().ID != old {
			t.Fatal("a key is used before it was carried along")
		}
		r.at(due + schedule.Propagation)
		promoted := r.ring.Primary().ID
		c.join(turn) // a session that begins under the new key
		r.Eventually("every session is sealed with the new key", func() bool {
			for late := sessions; late < len(c.cookies); late++ {
				c.expect(late, turn) // sealed anew when its token is renewed
			}
			return r.sealed(promoted) == 2*len(c.cookies)
		})
		if n := r.sealed(old); n != 0 {
			t.Errorf("%d texts are still sealed with the old key", n)
		}
	}
	r.at(schedule.Interval + schedule.Propagation + schedule.Keep)
	if _, kept := r.ring.Key(first); kept || r.sealed(first) != 0 {
		t.Fatal("the first key is still there, or in use")
	}
	for session := range c.cookies {
		c.wantBack(session) // without the first key
	}
	stop()
	c.wantNothingOdd()
	c.wantLost()
	if c.ok != c.calls || c.calls == 0 {
		t.Errorf("%+v", c.numbers)
	}
}
