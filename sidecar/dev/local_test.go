package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/config"
)

const production = `
apiVersion: bff-operator.io/v1alpha1
kind: BFFPolicy
metadata: {name: portal, namespace: web}
spec:
  selector: {matchLabels: {app: portal}}
  publicURL: https://portal.example.com
  application: {port: http}
  provider:
    issuerURL: https://id.example.com/realms/a
    connectTo: keycloak.id.svc:8443
    clientID: portal
    clientAuthentication: {method: client_secret_post, secretRef: {name: oidc, key: secret}}
  routes:
  - {name: orders, path: /api/orders, upstream: {url: http://orders.shop.svc:8080}}
  - {name: stock, path: /api/stock, upstream: {url: https://stock.example.com}}
`

func decode(t *testing.T, text string) *v1alpha1.BFFPolicy {
	t.Helper()
	p, err := config.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A policy made for production runs here, and what differs is said.
func TestAdapt(t *testing.T) {
	p := decode(t, production)
	a, err := adapt(p, options{provider: builtin, upstreams: upstreams{"orders": "http://localhost:8082"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	spec := a.policy.Spec
	if spec.PublicURL != "http://localhost:8080" || spec.Provider.IssuerURL != "http://id.localhost:8090" || spec.Provider.ConnectTo != "127.0.0.1:8090" ||
		spec.Session.Store.Type != v1alpha1.StoreMemory || spec.Routes[0].Upstream.URL != "http://localhost:8082" || spec.Routes[1].Upstream.URL != "https://stock.example.com" {
		t.Errorf("%+v", spec)
	}
	if a.sample || len(a.changes) != 5 || !strings.Contains(strings.Join(a.changes, "\n"), "add --upstream stock=URL") {
		t.Errorf("changes: %q", a.changes)
	}
	if problems := config.Validate(config.Defaulted(a.policy)); len(problems) > 0 {
		t.Error(problems)
	}
	if p.Spec.PublicURL != "https://portal.example.com" || p.Spec.Routes[0].Upstream.URL != "http://orders.shop.svc:8080" {
		t.Error("the policy that was read changed")
	}
}

// What the built-in provider does not do is left out, and said.
func TestAdaptSimplifies(t *testing.T) {
	p := decode(t, strings.NewReplacer(
		"{method: client_secret_post, secretRef: {name: oidc, key: secret}}", "{method: tls_client_auth, certificateRef: {name: oidc}}\n    dpop: Required",
		"url: https://stock.example.com", "url: https://stock.example.com, clientCertificate: Provider",
	).Replace(production))
	a, err := adapt(p, options{provider: builtin}, "")
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(a.changes, "\n")
	for _, want := range []string{"clientAuthentication (now by a secret)", "dpop", "clientCertificate of route stock"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in %q", want, said)
		}
	}
	if problems := config.Validate(config.Defaulted(a.policy)); len(problems) > 0 {
		t.Error(problems)
	}
	if _, err := adapt(p, options{provider: none}, ""); err == nil || !strings.Contains(err.Error(), "works with a client secret") {
		t.Error(err)
	}
}

func TestAdaptLeavesTheProviderAlone(t *testing.T) {
	a, err := adapt(decode(t, production), options{provider: none}, "")
	if err != nil || a.policy.Spec.Provider.IssuerURL != "https://id.example.com/realms/a" || a.policy.Spec.Provider.ConnectTo != "keycloak.id.svc:8443" {
		t.Errorf("%v, %+v", err, a.policy.Spec.Provider)
	}
}

func TestAdaptKnowsTheSample(t *testing.T) {
	p := decode(t, strings.Replace(production, "{name: portal, namespace: web}", "{name: shop, namespace: shop}", 1))
	a, err := adapt(p, options{provider: builtin, upstreams: upstreams{"stock": "http://localhost:1"}}, "http://127.0.0.1:9")
	if err != nil || !a.sample || a.policy.Spec.Routes[0].Upstream.URL != "http://127.0.0.1:9" || a.policy.Spec.Routes[1].Upstream.URL != "http://localhost:1" {
		t.Errorf("%v, %+v", err, a)
	}
}

func TestAdaptWantsRoutesThatAreThere(t *testing.T) {
	if _, err := adapt(decode(t, production), options{provider: builtin, upstreams: upstreams{"ordres": "http://localhost:1"}}, ""); err == nil || !strings.Contains(err.Error(), "no route of that name") {
		t.Error(err)
	}
}

func TestDialAddress(t *testing.T) {
	for url, want := range map[string]string{"http://localhost": "127.0.0.1:80", "http://id.localhost:8090": "127.0.0.1:8090",
		"http://[::1]:8080": "[::1]:8080", "http://127.0.0.2:1": "127.0.0.2:1"} {
		if got := dialAddress(url); got != want {
			t.Errorf("%s: %s", url, got)
		}
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                                     "bff-dev -f policy.yaml",
		"-f x --provider keycloak":             "write builtin or none",
		"-f x --provider none":                 "--client-secret-file",
		"-f x --client-secret-file y":          "--client-secret-file",
		"-f x --app localhost":                 "http://localhost:5173",
		"-f x --app https://localhost:1":       "http://localhost:5173",
		"-f x --upstream orders":               "orders=http://localhost:8082",
		"-f x y":                               `unexpected argument "y"`,
		"-f x --app http://localhost:5173/":    "",
		"-f x --upstream a=http://localhost:1": "",
	} {
		_, err := parseFlags(slices.DeleteFunc(strings.Split(args, " "), func(s string) bool { return s == "" }), &bytes.Buffer{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}
