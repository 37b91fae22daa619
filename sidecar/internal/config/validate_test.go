package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
)

const minimal = `
apiVersion: bff-operator.io/v1alpha1
kind: BFFPolicy
metadata: {name: shop, namespace: web, uid: 0c1f}
spec:
  selector: {matchLabels: {app: shop}}
  publicURL: https://shop.example.com
  application: {port: 3000}
  provider:
    issuerURL: https://id.example.com/realms/a
    clientID: shop
    clientAuthentication:
      method: client_secret_basic
      secretRef: {name: shop-oidc, key: client-secret}
  session: {store: {type: Memory}}
`

func decode(t testing.TB, text string) *v1alpha1.BFFPolicy {
	t.Helper()
	p, err := config.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// policy is a valid policy that uses every field.
func policy(t testing.TB) *v1alpha1.BFFPolicy {
	p := decode(t, minimal)
	p.Spec.Provider.ConnectTo = "keycloak.id.svc:8443"
	p.Spec.Session.Store = &v1alpha1.SessionStore{Type: v1alpha1.StoreRedis, Redis: &v1alpha1.RedisStore{
		Address: "valkey.cache.svc:6379", Username: "bff",
		PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: "valkey", Key: "password"},
	}}
	p.Spec.Routes = []v1alpha1.Route{
		{Name: "orders", Path: "/api/orders", Methods: []v1alpha1.Method{"GET", "POST"}, Upstream: v1alpha1.Upstream{URL: "http://orders.shop.svc:8080"}},
		{Name: "stock", Path: "/api/stock", Upstream: v1alpha1.Upstream{URL: "https://stock.example.com"}, Token: v1alpha1.RouteToken{Type: v1alpha1.TokenNone}},
	}
	return p
}

type mutation struct {
	name   string
	mutate func(*v1alpha1.BFFPolicySpec)
	field  string // of the complaint; "" if the policy stays valid
}

func setString(name string, field string, at func(*v1alpha1.BFFPolicySpec) *string, values ...string) []mutation {
	var out []mutation
	for _, v := range values {
		out = append(out, mutation{name + " " + v, func(s *v1alpha1.BFFPolicySpec) { *at(s) = v }, field})
	}
	return out
}

func mutations(t testing.TB) []mutation {
	publicURL := func(s *v1alpha1.BFFPolicySpec) *string { return &s.PublicURL }
	issuer := func(s *v1alpha1.BFFPolicySpec) *string { return &s.Provider.IssuerURL }
	connect := func(s *v1alpha1.BFFPolicySpec) *string { return &s.Provider.ConnectTo }
	base := func(s *v1alpha1.BFFPolicySpec) *string { return &s.Endpoints.BasePath }
	path := func(s *v1alpha1.BFFPolicySpec) *string { return &s.Routes[0].Path }
	routeName := func(s *v1alpha1.BFFPolicySpec) *string { return &s.Routes[0].Name }
	upstream := func(s *v1alpha1.BFFPolicySpec) *string { return &s.Routes[0].Upstream.URL }
	address := func(s *v1alpha1.BFFPolicySpec) *string { return &s.Session.Store.Redis.Address }
	name := func(s *v1alpha1.BFFPolicySpec) *string { return &s.Provider.ClientAuthentication.SecretRef.Name }
	key := func(s *v1alpha1.BFFPolicySpec) *string { return &s.Session.Store.Redis.PasswordSecretRef.Key }

	var m []mutation
	add := func(more ...mutation) { m = append(m, more...) }
	add(setString("public URL", "spec.publicURL", publicURL, "", "shop.example.com", "https://shop.example.com/", "https://shop.example.com/app",
		"https://Shop.example.com", "https://u@shop.example.com", "https://shop.example.com?x", "https://shop.example.com#x", "ftp://shop.example.com",
		"http://shop.example.com", "http://localhost.example.com", "http://evil-localhost", "http://127.0.0.1.example.com", "https://shop.example.com\n",
		"https://"+strings.Repeat("a", 600))...)
	add(setString("public URL", "", publicURL, "http://localhost", "http://localhost:8080", "http://shop.localhost:8080", "http://127.0.0.1:80", "http://[::1]:8080", "https://[2001:db8::1]")...)
	add(setString("issuer", "spec.provider.issuerURL", issuer, "", "id.example.com", "http://id.example.com", "https://id.example.com?x=1", "https://id.example.com#x",
		"https://u:p@id.example.com", "http://localhost.example.com/x")...)
	add(setString("issuer", "", issuer, "http://id.localhost:8090", "http://127.0.0.1:8090/x/", "https://id.example.com/")...)
	add(setString("connect to", "spec.provider.connectTo", connect, "keycloak", "https://keycloak:8443", "keycloak:", "key cloak:80", ":80")...)
	add(setString("connect to", "", connect, "", "10.0.0.1:80", "[::1]:80")...)
	add(setString("base path", "spec.endpoints.basePath", base, "bff", "/bff/", "/", "//bff", "/b ff", "/b.ff", "/"+strings.Repeat("b", 64), "/bff\n")...)
	add(setString("base path", "", base, "", "/auth", "/auth/bff")...)
	add(setString("route path", "spec.routes[0].path", path, "", "api", "/api/", "//api", "/api//x", "/api/../x", "/api/..", "/api/.", "/./api", "/a%2fb", "/api?x", "/a b",
		"/bff", "/bff/session")...)
	add(setString("route path taken", "spec.routes[1].path", path, "/api/stock")...)
	add(setString("route path", "", path, "/", "/bffs", "/api/v1.0/$x;y=z", "/...")...)
	add(setString("route name", "spec.routes[0].name", routeName, "", "Orders", "-x", "a.b", strings.Repeat("a", 64))...)
	add(setString("route name taken", "spec.routes[1].name", routeName, "stock")...)
	add(setString("upstream", "spec.routes[0].upstream.url", upstream, "", "orders:8080", "http://orders.example.com", "https://orders.example.com/v1", "http://u@orders", "https://orders.example.com?x",
		"http://orders.svc.example.com", "http://10.0.0.1:80", "http://127.0.0.1.example.com", "http://[::2]")...)
	add(setString("upstream", "", upstream, "http://orders", "http://orders:8080", "http://orders.shop.svc.cluster.local", "https://api.example.com:8443", "http://127.0.0.1:9", "http://api.localhost")...)
	add(setString("store address", "spec.session.store.redis.address", address, "", "valkey", "redis://valkey:6379", "a:1,b:2")...)
	add(setString("secret name", "spec.provider.clientAuthentication.secretRef.name", name, "", "..", "../x", "a/b", "A", "-a")...)
	add(setString("secret key", "spec.session.store.redis.passwordSecretRef.key", key, "", ".", "..", "..data", "a/b", "a b", "ä")...)
	add(setString("secret key", "", key, ".dot", "a..b", "A_b-c.d")...)

	port := func(name string, v intstr.IntOrString, field string) {
		add(mutation{"port " + name, func(s *v1alpha1.BFFPolicySpec) { s.Application.Port = v }, field})
	}
	const portField = "spec.application.port"
	port("zero", intstr.FromInt32(0), portField)
	port("too large", intstr.FromInt32(65536), portField)
	port("ours", intstr.FromInt32(18080), portField)
	port("ours too", intstr.FromInt32(18081), portField)
	port("a quoted number", intstr.FromString("8080"), portField)
	port("too long", intstr.FromString("abcdefghijklmnop"), portField)
	port("upper case", intstr.FromString("Http"), portField)
	port("our name", intstr.FromString("bff"), portField)
	port("our other name", intstr.FromString("bff-admin"), portField)
	port("a name", intstr.FromString("http"), "")

	add(
		mutation{"host", func(s *v1alpha1.BFFPolicySpec) { s.Application.Host = "Anywhere" }, "spec.application.host"},
		mutation{"no selector", func(s *v1alpha1.BFFPolicySpec) { s.Selector = metav1.LabelSelector{} }, "spec.selector"},
		mutation{"client id", func(s *v1alpha1.BFFPolicySpec) { s.Provider.ClientID = "" }, "spec.provider.clientID"},
		mutation{"no method", func(s *v1alpha1.BFFPolicySpec) { s.Provider.ClientAuthentication.Method = "" }, "spec.provider.clientAuthentication.method"},
		mutation{"public client", func(s *v1alpha1.BFFPolicySpec) { s.Provider.ClientAuthentication.Method = "none" }, "spec.provider.clientAuthentication.method"},
		mutation{"no openid", func(s *v1alpha1.BFFPolicySpec) { s.Provider.Scopes = []string{"profile"} }, "spec.provider.scopes"},
		mutation{"two scopes in one", func(s *v1alpha1.BFFPolicySpec) { s.Provider.Scopes = []string{"openid", "a b"} }, "spec.provider.scopes[1]"},
		mutation{"scope twice", func(s *v1alpha1.BFFPolicySpec) { s.Provider.Scopes = []string{"openid", "openid"} }, "spec.provider.scopes[1]"},
		mutation{"idle timeout too short", func(s *v1alpha1.BFFPolicySpec) { s.Session.IdleTimeout.Duration = time.Second }, "spec.session.idleTimeout"},
		mutation{"lifetime too long", func(s *v1alpha1.BFFPolicySpec) { s.Session.Lifetime.Duration = 721 * time.Hour }, "spec.session.lifetime"},
		mutation{"idle longer than life", func(s *v1alpha1.BFFPolicySpec) {
			s.Session.IdleTimeout.Duration, s.Session.Lifetime.Duration = 2*time.Hour, time.Hour
		}, "spec.session.idleTimeout"},
		mutation{"store type", func(s *v1alpha1.BFFPolicySpec) { s.Session.Store.Type = "Disk" }, "spec.session.store.type"},
		mutation{"memory with redis", func(s *v1alpha1.BFFPolicySpec) { s.Session.Store.Type = "Memory" }, "spec.session.store.redis"},
		mutation{"redis without redis", func(s *v1alpha1.BFFPolicySpec) { s.Session.Store.Redis = nil }, "spec.session.store.redis"},
		mutation{"store tls", func(s *v1alpha1.BFFPolicySpec) { s.Session.Store.Redis.TLS = "Maybe" }, "spec.session.store.redis.tls"},
		mutation{"method TRACE", func(s *v1alpha1.BFFPolicySpec) { s.Routes[0].Methods = []v1alpha1.Method{"TRACE"} }, "spec.routes[0].methods[0]"},
		mutation{"method get", func(s *v1alpha1.BFFPolicySpec) { s.Routes[0].Methods = []v1alpha1.Method{"get"} }, "spec.routes[0].methods[0]"},
		mutation{"method twice", func(s *v1alpha1.BFFPolicySpec) { s.Routes[0].Methods = []v1alpha1.Method{"GET", "GET"} }, "spec.routes[0].methods[1]"},
		mutation{"token type", func(s *v1alpha1.BFFPolicySpec) { s.Routes[0].Token.Type = "Refresh" }, "spec.routes[0].token.type"},
		mutation{"nothing", func(*v1alpha1.BFFPolicySpec) {}, ""},
	)
	return append(m, clientMutations(t)...)
}

func TestValidateNamesTheField(t *testing.T) {
	for _, m := range mutations(t) {
		p := policy(t)
		m.mutate(&p.Spec)
		problems := config.Validate(config.Defaulted(p))
		switch {
		case m.field == "" && len(problems) > 0:
			t.Errorf("%s: %v", m.name, problems)
		case m.field != "" && len(problems) == 0:
			t.Errorf("%s: accepted", m.name)
		case m.field != "" && !strings.Contains(errors.Join(problems...).Error(), m.field+": "):
			t.Errorf("%s: %v does not name %s", m.name, problems, m.field)
		}
	}
}

func TestValidateWantsWhatOnlyFilesCanLack(t *testing.T) {
	p := config.Defaulted(policy(t))
	p.Spec.Session.Store = nil
	p.Kind, p.Name = "BFF", ""
	p.Spec.Provider.IssuerURL = "https://"
	all := errors.Join(config.Validate(p)...).Error()
	for _, want := range []string{"spec.session.store: ", "apiVersion, kind: ", "metadata.name: ", "spec.provider.issuerURL: "} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in: %s", want, all)
		}
	}
}

func TestDefaultsLeaveTheInputAlone(t *testing.T) {
	p := decode(t, minimal)
	p.Spec.Routes = []v1alpha1.Route{{Name: "api", Path: "/api", Upstream: v1alpha1.Upstream{URL: "http://api"}}}
	d := config.Defaulted(p)
	if p.Spec.Endpoints.BasePath != "" || p.Spec.Routes[0].Token.Type != "" || len(p.Spec.Routes[0].Methods) != 0 {
		t.Error("the input was changed")
	}
	s := d.Spec
	if s.Endpoints.BasePath != "/bff" || s.Application.Host != v1alpha1.HostLocalhost || s.Session.IdleTimeout.Duration != 30*time.Minute ||
		s.Session.Lifetime.Duration != 12*time.Hour || s.Provider.Scopes[0] != "openid" || s.Routes[0].Token.Type != v1alpha1.TokenAccess ||
		len(s.Routes[0].Methods) != 7 {
		t.Errorf("defaults: %+v", s)
	}
}
