//go:build conformance

package conformance

import (
	"crypto/rand"
	"net"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/keyring"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/as"
	"github.com/bff-operator/bff-operator/hack/conformance/internal/rs"
)

// setup is what a test wants different from an ordinary world.
type setup struct {
	t         *testing.T
	policies  []func(*v1alpha1.BFFPolicySpec)
	worlds    []func(*world, *v1alpha1.BFFPolicySpec)
	texts     []func(string) string
	provider  as.Options
	behaviour func(*as.Behaviour)
	api       rs.Options
	answer    func(*rs.Request) rs.Reply
	secrets   map[string]string
	replicas  int
	memory    bool
	ownStore  bool

	mayLeak    []string
	mayViolate bool
}

type option func(*setup)

// policy changes the policy's spec.
func policy(change func(*v1alpha1.BFFPolicySpec)) option {
	return func(s *setup) { s.policies = append(s.policies, change) }
}

// policyOf is policy for a change that needs to know the world, such as the
// address of a second RS*.
func policyOf(change func(*world, *v1alpha1.BFFPolicySpec)) option {
	return func(s *setup) { s.worlds = append(s.worlds, change) }
}

// policyText changes the policy's YAML, for what no type can say.
func policyText(change func(string) string) option {
	return func(s *setup) { s.texts = append(s.texts, change) }
}

// client changes the registration at AS*.
func client(change func(*as.Client)) option {
	return func(s *setup) { change(&s.provider.Client) }
}

// behaviour has AS* behave otherwise from the start. Metadata is read when a
// sidecar starts and kept: to change it by w.AS.Change comes too late.
func behaviour(change func(*as.Behaviour)) option {
	return func(s *setup) {
		before := s.behaviour
		s.behaviour = func(b *as.Behaviour) { before(b); change(b) }
	}
}

// api has RS* answer otherwise. The default refuses calls without a good token.
func api(answer func(*rs.Request) rs.Reply) option {
	return func(s *setup) { s.answer, s.api.Answer = answer, answer }
}

// secret mounts one more secret, or another value of one, by NAME/KEY.
func secret(name, value string) option {
	return func(s *setup) { s.secrets[name] = value }
}

// replicas starts n sidecars on one store.
func replicas(n int) option { return func(s *setup) { s.replicas = n } }

// inMemory keeps sessions in the sidecar.
func inMemory() option { return func(s *setup) { s.memory = true } }

// ownStore gives the world a redis-server of its own, to be killed or frozen.
func ownStore() option { return func(s *setup) { s.ownStore = true } }

// secureProvider has AS* speak https under https://id.provider.test, which the
// sidecar reaches by connectTo and trusts by caBundle. It has listeners for
// certificates too: mtls_endpoint_aliases.
func secureProvider() option {
	return func(s *setup) {
		s.provider.Authority, s.provider.Host, s.provider.ClientAuthorities = authority, "id.provider.test", authority
		s.worlds = append(s.worlds, func(w *world, spec *v1alpha1.BFFPolicySpec) {
			spec.Provider.ConnectTo, spec.Provider.CABundle = w.AS.Address, authority.PEM()
		})
	}
}

// mayLeak allows kinds of secrets to be seen by the browser, as a finding calls
// them.
func mayLeak(kinds ...string) option {
	return func(s *setup) { s.mayLeak = append(s.mayLeak, kinds...) }
}

// hintInForm allows the ID token in the form that a logout posts to the
// provider, from a page that no script can read: the one place for it.
func hintInForm() option { return mayLeak("ID token", "claim of an ID token") }

// mayViolate allows requests to AS* that are not as the specifications say,
// because the test itself makes them.
func mayViolate() option { return func(s *setup) { s.mayViolate = true } }

func newSetup(t *testing.T, options []option) *setup {
	t.Helper()
	secretValue := "MARKER-secret-" + randomHex(12)
	s := &setup{
		t: t, replicas: 1, behaviour: func(*as.Behaviour) {},
		secrets: map[string]string{"bff-operator-keys/keyring.json": newRing(t)},
		provider: as.Options{Client: as.Client{
			ID: clientID, Secret: secretValue, Method: "client_secret_basic",
			RedirectURIs: []string{callbackURL}, PostLogoutRedirectURIs: []string{shopURL + "/"},
		}},
	}
	for _, o := range options {
		o(s)
	}
	if _, given := s.secrets["shop-oidc/client-secret"]; !given {
		s.secrets["shop-oidc/client-secret"] = s.provider.Client.Secret
	}
	return s
}

// policyText is the policy as the operator would mount it.
func (s *setup) policyText(w *world) string {
	_, port, _ := net.SplitHostPort(w.App.Address)
	number, err := strconv.Atoi(port)
	if err != nil {
		s.t.Fatal(err)
	}
	p := v1alpha1.BFFPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "web", UID: types.UID(w.uid), Generation: 1},
		Spec: v1alpha1.BFFPolicySpec{
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}},
			PublicURL:   shopURL,
			Application: v1alpha1.Application{Port: intstr.FromInt(number)},
			Provider: v1alpha1.Provider{
				IssuerURL: w.AS.Issuer, ClientID: w.AS.Registered().ID,
				ClientAuthentication: v1alpha1.ClientAuthentication{
					Method:    v1alpha1.ClientAuthenticationMethod(w.AS.Registered().Method),
					SecretRef: &v1alpha1.SecretKeyReference{Name: "shop-oidc", Key: "client-secret"},
				},
				Scopes: []string{"openid", "profile", "email", "offline_access"},
			},
			Session: v1alpha1.Session{
				IdleTimeout: metav1.Duration{Duration: 30 * time.Minute}, Lifetime: metav1.Duration{Duration: 12 * time.Hour},
				Store: &v1alpha1.SessionStore{Type: v1alpha1.StoreMemory},
			},
			Routes: []v1alpha1.Route{
				{Name: "api", Path: "/api", Upstream: v1alpha1.Upstream{URL: w.RS.URL}},
				{Name: "read-only", Path: "/api/readonly", Methods: []v1alpha1.Method{"GET"}, Upstream: v1alpha1.Upstream{URL: w.RS.URL}},
				{Name: "open", Path: "/open", Upstream: v1alpha1.Upstream{URL: w.RS.URL}, Token: v1alpha1.RouteToken{Type: v1alpha1.TokenNone}},
			},
		},
	}
	if w.Store != nil {
		p.Spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{Address: w.Store.Address}}
	}
	for _, change := range s.worlds {
		change(w, &p.Spec)
	}
	for _, change := range s.policies {
		change(&p.Spec)
	}
	data, err := yaml.Marshal(p)
	if err != nil {
		s.t.Fatal(err)
	}
	text := string(data)
	for _, change := range s.texts {
		text = change(text)
	}
	return text
}

// Repolicy mounts the policy again with more changes; the sidecars see it within
// seconds.
func (w *world) Repolicy(changes ...func(*v1alpha1.BFFPolicySpec)) {
	w.Helper()
	w.setup.policies = append(w.setup.policies, changes...)
	w.Mounts.Policy(w.T, w.setup.policyText(w))
}

func newRing(t *testing.T) string {
	t.Helper()
	ring, err := keyring.New(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
