package login

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newRing(t testing.TB) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New(noon, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func newSealer(t testing.TB) sealer {
	ring := newRing(t)
	return sealer{ring: func() *keyring.Ring { return ring }, origin: "https://shop.example.com", issuer: "https://id.example.com"}
}

func newTransaction() transaction {
	age := int64(300)
	return transaction{
		State: random(), Nonce: random(), Verifier: random(), ReturnTo: "/orders?page=2", Created: noon.Unix(), Previous: random(),
		Key: []byte("a private key"), ACRValues: []string{"gold", "silver"}, MaxAge: &age, Silent: true, Chain: 2, User: userOf("https://id.example.com", "alice"),
	}
}

func TestSealedTransactionOpens(t *testing.T) {
	s, want := newSealer(t), newTransaction()
	name := transactionCookieName(want.State)
	value, err := s.seal(name, want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.open(name, value); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("opened %+v, %v", got, err)
	}
	for _, part := range []string{want.State, want.Nonce, want.Verifier, want.Previous, "orders", "gold", "alice"} {
		if strings.Contains(name+value, part) {
			t.Error("the cookie shows what is in it")
		}
	}
	if again, _ := s.seal(name, want); again == value {
		t.Error("the same transaction is sealed the same way twice")
	}
}

// SEC-06: not one byte can be changed, and nothing can be moved to another
// cookie, application or provider.
func TestSealedTransactionIsBound(t *testing.T) {
	s, tx := newSealer(t), newTransaction()
	name := transactionCookieName(tx.State)
	value, err := s.seal(name, tx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range value {
		changed := []byte(value)
		changed[i] ^= 1
		if _, err := s.open(name, string(changed)); err == nil {
			// The last character of base64 may have spare bits.
			if i != len(value)-1 {
				t.Errorf("byte %d can be changed", i)
			}
		}
	}
	otherOrigin, otherIssuer, otherRing := s, s, newSealer(t)
	otherOrigin.origin = "https://bank.example.com"
	otherIssuer.issuer = "https://evil.example.com"
	for what, open := range map[string]func() (transaction, error){
		"name":      func() (transaction, error) { return s.open(transactionCookieName(random()), value) },
		"origin":    func() (transaction, error) { return otherOrigin.open(name, value) },
		"issuer":    func() (transaction, error) { return otherIssuer.open(name, value) },
		"key":       func() (transaction, error) { return otherRing.open(name, value) },
		"nothing":   func() (transaction, error) { return s.open(name, "") },
		"truncated": func() (transaction, error) { return s.open(name, value[:len(value)-8]) },
	} {
		if got, err := open(); err == nil || !reflect.DeepEqual(got, transaction{}) {
			t.Errorf("with another %s it opens: %v", what, err)
		}
	}
}

func TestNoKeyRing(t *testing.T) {
	s := sealer{ring: func() *keyring.Ring { return nil }}
	if _, err := s.seal("n", newTransaction()); err == nil {
		t.Error("sealed without a key ring")
	}
	if _, err := s.open("n", "k.v"); err == nil {
		t.Error("opened without a key ring")
	}
}

// COOK-11: a browser drops a cookie of more than 4096 bytes without a word.
func TestLongestTransactionFitsIntoACookie(t *testing.T) {
	s, tx := newSealer(t), newTransaction()
	returnTo, err := ReturnTo("/"+strings.Repeat("&", maxReturnTo-1), "/bff")
	if err != nil {
		t.Fatal(err)
	}
	tx.ReturnTo = returnTo
	tx.Key = make([]byte, 100)
	tx.ACRValues = strings.Split(strings.Repeat("a ", maxListed-1)+strings.Repeat("a", maxACRValues-2*(maxListed-1)), " ")
	*tx.MaxAge = maxAgeSeconds
	name := transactionCookieName(tx.State)
	value, err := s.seal(name, tx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.open(name, value); !reflect.DeepEqual(got, tx) || err != nil {
		t.Errorf("it does not open: %v", err)
	}
	longestKeyID := 32 - len(s.ring().Primary().ID)
	if n := len(name) + len(value) + longestKeyID; n > 4096 {
		t.Errorf("name and value have %d bytes", n)
	}
	if evicted := evict([]pending{{name: "a", size: 400, created: noon}}, len(name)+len(value), noon); len(evicted) != 0 {
		t.Error("a long transaction leaves no room for another one")
	}
}

func TestEvict(t *testing.T) {
	held := func(ages ...time.Duration) []pending {
		var all []pending
		for i, age := range ages {
			p := pending{name: fmt.Sprint(i), size: 500, created: noon.Add(-age)}
			if age < 0 {
				p.created = time.Time{}
			}
			all = append(all, p)
		}
		return all
	}
	const unreadable = -1
	minute := time.Minute
	for name, row := range map[string]struct {
		held []pending
		size int
		want []string
	}{
		"nothing held":                {nil, 500, nil},
		"seven held":                  {held(1, 2, 3, 4, 5, 6, 7), 500, nil},
		"eight held: the oldest goes": {held(3*minute, 5*minute, 1, 2, 3, 4, 5, 6), 500, []string{"1"}},
		"twelve held: five oldest go": {held(1, 2, 3, 4, 5, 6, 7, 5*minute, 4*minute, 3*minute, 2*minute, minute), 100, []string{"7", "8", "9", "10", "11"}},
		"expired ones go":             {held(minute, 10*minute, 20*minute), 500, []string{"1", "2"}},
		"expired ones make room":      {held(minute, 10*minute, 3, 4, 5, 6, 7, 8), 500, []string{"1"}},
		"an unreadable one stays":     {held(unreadable, minute), 500, nil},
		"and goes first":              {held(9*minute, 2, 3, unreadable, 5, 6, 7, 8), 500, []string{"3"}},
		"a big one takes several":     {held(1*minute, 2*minute, 3*minute, 4*minute, 5*minute, 6*minute), 4000, []string{"5", "4"}},
		"bigger than all room":        {held(1, 2), 7000, []string{"1", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := evict(row.held, row.size, noon); !slices.Equal(got, row.want) {
				t.Errorf("evicts %v, want %v", got, row.want)
			}
		})
	}
}

// Only what can be one of our cookies is looked at, let alone answered.
func TestPendingIn(t *testing.T) {
	s, tx := newSealer(t), newTransaction()
	name := transactionCookieName(tx.State)
	value, err := s.seal(name, tx)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/bff/login", nil)
	r.Header.Set("Cookie", strings.Join([]string{
		"theme=dark", name + "=" + value, TransactionCookiePrefix + "short=x", TransactionCookiePrefix + "AAAAAAAAAAAAAAA=x",
		strings.ToLower(TransactionCookiePrefix) + "AAAAAAAAAAAAAAAA=x", TransactionCookiePrefix + "BBBBBBBBBBBBBBBB=x",
	}, "; "))
	got := s.pendingIn(r)
	if len(got) != 2 || got[0].name != name || !got[0].created.Equal(noon) || got[1].name != TransactionCookiePrefix+"BBBBBBBBBBBBBBBB" || !got[1].created.IsZero() {
		t.Errorf("found %+v", got)
	}
	if got[0].size != len(name)+len(value) {
		t.Errorf("size %d", got[0].size)
	}
}

func FuzzOpen(f *testing.F) {
	s := newSealer(f)
	tx := newTransaction()
	name := transactionCookieName(tx.State)
	value, _ := s.seal(name, tx)
	f.Add(name, value)
	f.Add("", ".")
	f.Fuzz(func(t *testing.T, name, value string) {
		if got, err := s.open(name, value); err == nil && !reflect.DeepEqual(got, tx) {
			t.Errorf("opened %+v", got)
		}
	})
}

func TestStepUpIsOfOneUser(t *testing.T) {
	alice := userOf("https://id.example.com", "alice")
	for name, row := range map[string]struct {
		t       transaction
		user    []byte
		another bool
	}{
		"no step-up":             {transaction{}, alice, false},
		"the same user":          {transaction{User: alice}, alice, false},
		"STEP-08 another user":   {transaction{User: alice}, userOf("https://id.example.com", "bob"), true},
		"STEP-08 another issuer": {transaction{User: alice}, userOf("https://id2.example.com", "alice"), true},
	} {
		if got := row.t.isAnother(row.user); got != row.another {
			t.Errorf("%s: another user: %t", name, got)
		}
	}
}

// BFF-45: of an ID token a page sees what is on the list, and nothing by
// accident.
func TestShownClaims(t *testing.T) {
	all := map[string]any{
		"sub": "alice", "name": "Alice", "email_verified": true, "updated_at": float64(7),
		"nonce": "n", "at_hash": "h", "sid": "s", "groups": []any{"admins"}, "aud": "shop", "exp": float64(1),
		"picture": "data:image/png;base64," + strings.Repeat("A", maxClaim), "address": map[string]any{"country": "CH"}, "Email": "x",
	}
	for name, row := range map[string]struct {
		list           []string
		want, tooLarge string
	}{
		"the standard ones":    {standardClaims, "map[email_verified:true name:Alice sub:alice updated_at:7]", "[picture]"},
		"those a policy names": {[]string{"groups", "address", "missing"}, "map[address:map[country:CH] groups:[admins]]", "[]"},
		"none":                 {[]string{}, "map[]", "[]"},
		"names are case-exact": {[]string{"email", "SUB"}, "map[]", "[]"},
	} {
		got, tooLarge := shownClaims(all, row.list)
		if fmt.Sprint(got) != row.want || fmt.Sprint(tooLarge) != row.tooLarge {
			t.Errorf("%s: shown %v, too large %v", name, got, tooLarge)
		}
	}
}
