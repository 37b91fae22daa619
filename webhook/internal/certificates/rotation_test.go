package certificates

import (
	"crypto/x509"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

const day = 24 * time.Hour

func TestSigner(t *testing.T) {
	l := Lifetimes{}.withDefaults()
	old, young := must(newAuthority(start.Add(-300*day), l.Authority)), must(newAuthority(start, l.Authority))
	for name, row := range map[string]struct {
		authorities []authority
		now         time.Time
		want        *authority
	}{
		"none":                            {nil, start, nil},
		"a fresh installation signs":      {[]authority{young}, start, &young},
		"a new one waits":                 {[]authority{old, young}, start, &old},
		"a new one waits to the end":      {[]authority{old, young}, start.Add(l.Publication - time.Second), &old},
		"a new one signs when published":  {[]authority{old, young}, start.Add(l.Publication), &young},
		"the clock of this one is behind": {[]authority{young}, start.Add(-time.Minute), &young},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := l.signer(row.authorities, row.now)
			if ok != (row.want != nil) || (ok && !got.equal(*row.want)) {
				t.Errorf("got %v (%v)", got.certificate, ok)
			}
		})
	}
}

func TestRotate(t *testing.T) {
	l := Lifetimes{}.withDefaults()
	first := must(newAuthority(start, l.Authority))
	second := must(newAuthority(start.Add(245*day), l.Authority))
	both := []authority{first, second}
	for name, row := range map[string]struct {
		authorities    []authority
		now            time.Time
		kept           []authority
		fresh, changed bool
	}{
		"a fresh installation makes one":        {nil, start, nil, true, true},
		"a young one is left alone":             {[]authority{first}, start.Add(day), []authority{first}, false, false},
		"at two thirds there is to be another":  {[]authority{first}, start.Add(244 * day), []authority{first}, true, true},
		"an expired one is replaced":            {[]authority{first}, start.Add(366 * day), nil, true, true},
		"one from the future is replaced":       {[]authority{first}, start.Add(-2 * day), nil, true, true},
		"both are kept while both may be seen":  {both, start.Add(246 * day), both, false, false},
		"the old one goes when nothing uses it": {both, start.Add(253 * day), []authority{second}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			kept, fresh, changed := l.rotate(row.authorities, row.now)
			if !slices.EqualFunc(kept, row.kept, authority.equal) || fresh != row.fresh || changed != row.changed {
				t.Errorf("kept %d, fresh %v, changed %v; want %d, %v, %v",
					len(kept), fresh, changed, len(row.kept), row.fresh, row.changed)
			}
		})
	}
}

// TestEveryCertificateIsTrustedAtEveryMoment runs three replicas for three
// years, each waking up when it pleases, against an API server that learns of a
// new bundle late.
func TestEveryCertificateIsTrustedAtEveryMoment(t *testing.T) {
	const step = 2 * time.Hour
	// Replicas look every minute and API servers learn within a second, against ten
	// minutes of publication. Here they look every few hours and learn after two,
	// against a day.
	l := Lifetimes{Publication: day, Leaf: 5 * day, Authority: 200 * day}
	random := rand.New(rand.NewPCG(1, 2))
	var (
		secret             []authority
		leaves             [3]*leaf
		published, trusted []byte
		changes            int
	)
	for now := start; now.Before(start.Add(3 * 365 * day)); now = now.Add(step) {
		trusted = published
		for i := range leaves {
			if leaves[i] != nil && random.IntN(3) > 0 {
				continue // still asleep
			}
			kept, fresh, changed := l.rotate(secret, now)
			if fresh {
				kept = append(kept, must(newAuthority(now, l.Authority)))
			}
			if changed {
				secret, changes = kept, changes+1
			}
			published = bundle(secret)
			signer, _ := l.signer(secret, now)
			if leaves[i].isDue(signer, now) {
				leaves[i] = must(newLeaf(signer, []string{"bff.svc"}, now, l.Leaf))
			}
		}
		if now.Equal(start) {
			trusted = published // nobody is ready before
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(trusted)
		for i, leaf := range leaves {
			if _, err := leaf.certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "bff.svc", CurrentTime: now}); err != nil {
				t.Fatalf("after %v replica %d is not trusted: %v", now.Sub(start), i, err)
			}
		}
	}
	// Three years of authorities that are replaced after 133 days: 9 come, 8 go.
	if changes != 17 {
		t.Errorf("the authorities changed %d times, want 17", changes)
	}
}

func TestSecretSurvivesEncodeAndParse(t *testing.T) {
	l := Lifetimes{}.withDefaults()
	want := []authority{must(newAuthority(start, l.Authority)), must(newAuthority(start.Add(day), l.Authority))}
	data := must(encode(want))
	got, err := parse(data)
	if err != nil || !slices.EqualFunc(got, want, authority.equal) {
		t.Fatalf("parse: %v, %d authorities", err, len(got))
	}
	if !slices.EqualFunc(got, want, func(a, b authority) bool { return a.key.Equal(b.key) }) {
		t.Error("the keys changed")
	}
}

func TestParseRefuses(t *testing.T) {
	l := Lifetimes{}.withDefaults()
	one := must(encode([]authority{must(newAuthority(start, l.Authority))}))
	other := must(encode([]authority{must(newAuthority(start, l.Authority))}))
	for name, data := range map[string]map[string][]byte{
		"nothing":              nil,
		"no keys":              {certificatesKey: one[certificatesKey]},
		"no certificates":      {keysKey: one[keysKey]},
		"another's key":        {certificatesKey: one[certificatesKey], keysKey: other[keysKey]},
		"fewer keys":           {certificatesKey: slices.Concat(one[certificatesKey], other[certificatesKey]), keysKey: one[keysKey]},
		"no PEM":               {certificatesKey: []byte("x"), keysKey: []byte("y")},
		"a key as certificate": {certificatesKey: one[keysKey], keysKey: one[keysKey]},
		"a certificate as key": {certificatesKey: one[certificatesKey], keysKey: one[certificatesKey]},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parse(data); err == nil {
				t.Errorf("accepted as %d authorities", len(got))
			}
		})
	}
}
