package config_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
)

// mount is a volume the way the kubelet makes it: files are links into ..data,
// which is swapped as a whole.
type mount struct {
	t   *testing.T
	dir string
	n   int
}

func newMount(t *testing.T) *mount { return &mount{t: t, dir: t.TempDir()} }

func (m *mount) swap(files map[string]string) {
	m.t.Helper()
	m.n++
	version := filepath.Join(m.dir, "..v"+string(rune('a'+m.n)))
	for name, content := range files {
		path := filepath.Join(version, name)
		must(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(m.t, os.WriteFile(path, []byte(content), 0o444))
	}
	next := filepath.Join(m.dir, "..data_tmp")
	must(m.t, os.Symlink(filepath.Base(version), next))
	must(m.t, os.Rename(next, filepath.Join(m.dir, "..data")))
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		err := os.Symlink(filepath.Join("..data", top), filepath.Join(m.dir, top))
		if err != nil && !errors.Is(err, os.ErrExist) {
			m.t.Fatal(err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ring(t testing.TB) (string, string) {
	t.Helper()
	r, err := keyring.New(time.Now(), rand.Reader)
	must(t, err)
	data, err := r.Marshal()
	must(t, err)
	return string(data), r.Primary().ID
}

type fixture struct {
	policy, secrets *mount
	at              config.Location
	ring            string
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{policy: newMount(t), secrets: newMount(t)}
	f.at = config.Location{PolicyFile: filepath.Join(f.policy.dir, "policy.yaml"), SecretsDir: f.secrets.dir}
	f.ring, _ = ring(t)
	f.policy.swap(map[string]string{"policy.yaml": minimal})
	f.putSecrets("s3cret\n", f.ring)
	return f
}

func (f *fixture) putSecrets(client, ring string) {
	f.secrets.swap(map[string]string{"shop-oidc/client-secret": client, "bff-operator-keys/keyring.json": ring})
}

func TestLoad(t *testing.T) {
	f := newFixture(t)
	s, _, err := f.at.Load()
	must(t, err)
	if s.Policy.UID != "0c1f" || s.PublicURL.Host != "shop.example.com" || s.ApplicationAddress != "localhost:3000" || len(s.Hash) != 12 {
		t.Errorf("%+v", s)
	}
	if s.Credentials.Secret.Reveal() != "s3cret" {
		t.Error("exactly one line feed at the end of a secret is left out")
	}
}

func TestApplicationAddress(t *testing.T) {
	for name, c := range map[string]struct {
		application string
		port, ip    string
		want        string // of the address, or of the error
	}{
		"a number":                {"{port: 3000}", "9", "", "localhost:3000"},
		"a name":                  {"{port: http}", "8080", "", "localhost:8080"},
		"a name nobody resolved":  {"{port: http}", "", "", "set BFF_APPLICATION_PORT"},
		"the pod's address":       {"{port: 3000, host: PodIP}", "", "10.1.2.3", "10.1.2.3:3000"},
		"the pod's IPv6 address":  {"{port: 3000, host: PodIP}", "", "2001:db8::1", "[2001:db8::1]:3000"},
		"an address nobody gave":  {"{port: 3000, host: PodIP}", "", "", "set BFF_POD_IP"},
		"an address that is none": {"{port: 3000, host: PodIP}", "", "evil.example", "set BFF_POD_IP"},
	} {
		f := newFixture(t)
		f.policy.swap(map[string]string{"policy.yaml": strings.Replace(minimal, "{port: 3000}", c.application, 1)})
		f.at.ApplicationPort, f.at.PodIP = c.port, c.ip
		s, _, err := f.at.Load()
		if err == nil && s.ApplicationAddress != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %s", name, s, err, c.want)
		}
	}
}

// Browsers leave out what goes without saying; what they send is compared byte
// by byte.
func TestOriginIsWrittenAsBrowsersDo(t *testing.T) {
	for publicURL, want := range map[string]string{
		"https://shop.example.com":      "https://shop.example.com",
		"https://shop.example.com:443":  "https://shop.example.com",
		"https://shop.example.com:0443": "https://shop.example.com",
		"https://shop.example.com:80":   "https://shop.example.com:80",
		"http://localhost:80":           "http://localhost",
		"http://localhost:8080":         "http://localhost:8080",
		"https://[2001:db8:0:0::1]:443": "https://[2001:db8::1]",
		"http://[::1]:8080":             "http://[::1]:8080",
	} {
		f := newFixture(t)
		f.policy.swap(map[string]string{"policy.yaml": strings.Replace(minimal, "https://shop.example.com", publicURL, 1)})
		s, _, err := f.at.Load()
		must(t, err)
		if s.Origin() != want {
			t.Errorf("%s is %s, want %s", publicURL, s.Origin(), want)
		}
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	const marker = "DO-NOT-PRINT"
	for name, c := range map[string]struct {
		change func(f *fixture)
		want   string
	}{
		"no policy":     {func(f *fixture) { f.at.PolicyFile += "x" }, "no such file"},
		"empty policy":  {func(f *fixture) { f.policy.swap(map[string]string{"policy.yaml": "# nothing\n"}) }, "kind: BFFPolicy"},
		"unknown field": {func(f *fixture) { f.policy.swap(map[string]string{"policy.yaml": minimal + "  rotues: []\n"}) }, `unknown field "spec.rotues"`},
		"double field": {func(f *fixture) {
			f.policy.swap(map[string]string{"policy.yaml": minimal + "  publicURL: https://b.example\n"})
		}, `"publicURL"`},
		"two documents": {func(f *fixture) { f.policy.swap(map[string]string{"policy.yaml": minimal + "---\n" + minimal}) }, "holds 2 documents"},
		"several faults": {func(f *fixture) {
			f.policy.swap(map[string]string{"policy.yaml": strings.Replace(strings.Replace(minimal, "clientID: shop", "clientID: ''", 1), "https://shop", "http://shop", 1)})
		}, "spec.publicURL: must use https; http is accepted only for localhost, *.localhost and loopback addresses\nspec.provider.clientID"},
		"huge policy":  {func(f *fixture) { f.policy.swap(map[string]string{"policy.yaml": strings.Repeat("#", 2<<20)}) }, "more than"},
		"no secret":    {func(f *fixture) { f.secrets.swap(map[string]string{"bff-operator-keys/keyring.json": f.ring}) }, "read client secret"},
		"empty secret": {func(f *fixture) { f.putSecrets("\n", f.ring) }, "it is empty"},
		"no ring":      {func(f *fixture) { f.secrets.swap(map[string]string{"shop-oidc/client-secret": marker}) }, "read key ring"},
		"damaged ring": {func(f *fixture) { f.putSecrets(marker, marker) }, "key ring is malformed"},
	} {
		f := newFixture(t)
		c.change(f)
		_, _, err := f.at.Load()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		} else if strings.Contains(err.Error(), marker) {
			t.Errorf("%s: prints a secret: %v", name, err)
		}
	}
}

// watcher runs a source and remembers what it applied.
type watcher struct {
	*config.Source
	mu      sync.Mutex
	refuse  error
	reports []config.Report
}

func (w *watcher) apply(*config.Snapshot) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refuse
}

func (w *watcher) reloaded(r config.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, r)
}

func (w *watcher) setRefuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = err
}

func watch(t *testing.T, f *fixture) *watcher {
	t.Helper()
	source, err := config.Open(f.at.Load, time.Millisecond, time.Now)
	must(t, err)
	w := &watcher{Source: source}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); source.Run(ctx, w.apply, w.reloaded) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// eventually polls until ok or a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func TestChangesArePublished(t *testing.T) {
	f := newFixture(t)
	w := watch(t, f)
	first := w.Current()

	f.putSecrets("rotated", f.ring)
	eventually(t, "a rotated client secret is used", func() bool { return w.Current().Credentials.Secret.Reveal() == "rotated" })

	next, id := ring(t)
	f.putSecrets("rotated", next)
	eventually(t, "a rotated key ring is used", func() bool { return w.Current().Ring.Primary().ID == id })

	f.policy.swap(map[string]string{"policy.yaml": strings.Replace(minimal, "{port: 3000}", "{port: 4000}", 1)})
	eventually(t, "a changed policy is used", func() bool { return w.Current().ApplicationAddress == "localhost:4000" })
	if first.ApplicationAddress != "localhost:3000" || first.Hash == w.Current().Hash || first.Credentials.Secret.Reveal() != "s3cret" {
		t.Error("a snapshot was changed after it was published")
	}
}

func TestABadChangeLeavesTheLastGoodOneInForce(t *testing.T) {
	f := newFixture(t)
	w := watch(t, f)
	good := w.Current()

	f.policy.swap(map[string]string{"policy.yaml": "nonsense"})
	eventually(t, "the bad policy is reported", func() bool { return w.Report().Err != nil })
	if w.Current() != good {
		t.Fatal("a bad policy was published")
	}

	// A policy that names a Secret which the kubelet brings a moment later.
	f.policy.swap(map[string]string{"policy.yaml": strings.Replace(minimal, "shop-oidc", "other", 1)})
	eventually(t, "the missing secret is reported", func() bool {
		return w.Report().Err != nil && strings.Contains(w.Report().Err.Error(), "client secret")
	})
	f.secrets.swap(map[string]string{"other/client-secret": "late", "bff-operator-keys/keyring.json": f.ring})
	eventually(t, "the secret is found once it is there", func() bool { return w.Current().Credentials.Secret.Reveal() == "late" && w.Report().Err == nil })
}

func TestAChangeThatCannotBeAppliedIsNotPublished(t *testing.T) {
	f := newFixture(t)
	w := watch(t, f)
	good := w.Current()
	w.setRefuse(errors.New("cannot be done"))
	f.putSecrets("rotated", f.ring)
	eventually(t, "the refusal is reported", func() bool { return w.Report().Err != nil })
	if w.Current() != good {
		t.Error("a refused configuration was published")
	}
}

// FuzzDecode: whatever a ConfigMap holds, reading it ends in a policy that is
// valid or in an error.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(strings.Replace(minimal, "{port: 3000}", "{port: '3000'}", 1)))
	f.Add([]byte("{}"))
	f.Add([]byte("---\na: &a [*a]\n---\n"))
	f.Add([]byte(`{"kind":"BFFPolicy","spec":{"routes":[{"path":"/api/../x","methods":["GET","GET"]}],"session":{"idleTimeout":"-1m"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := config.Decode(data)
		if err != nil {
			return
		}
		d := config.Defaulted(p)
		config.Validate(d)
		if !reflect.DeepEqual(config.Defaulted(d), d) {
			t.Error("filling in defaults twice changes something")
		}
	})
}
