package controllers_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
)

const goodPolicy = `
apiVersion: bff-operator.io/v1alpha1
kind: BFFPolicy
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  publicURL: https://shop.example.com
  application: {port: http}
  provider:
    issuerURL: https://id.example.com
    clientID: shop
    clientAuthentication:
      method: client_secret_basic
      secretRef: {name: shop-oidc, key: client-secret}
  session: {store: {type: Redis, redis: {address: "valkey.cache.svc:6379"}}}
  routes:
  - name: orders
    path: /api/orders
    upstream: {url: "http://orders.shop.svc:8080"}
`

// with is the good policy after a JSON Merge Patch (RFC 7396), written in YAML.
func with(t *testing.T, patch string) *unstructured.Unstructured {
	t.Helper()
	base, err := yaml.YAMLToJSON([]byte(goodPolicy))
	if err != nil {
		t.Fatal(err)
	}
	change, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	if string(change) != "null" {
		if base, err = jsonpatch.MergePatch(base, change); err != nil {
			t.Fatal(err)
		}
	}
	policy := &unstructured.Unstructured{}
	if err := json.Unmarshal(base, &policy.Object); err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestAPIServerRefusesNonsenseWithASentence(t *testing.T) {
	namespace := plane.Namespace(t)
	for name, row := range map[string]struct{ patch, want string }{
		"name too long": {`metadata: {name: ` + strings.Repeat("a", 64) + `}`,
			"metadata.name must have at most 63 characters"},

		"no selector":    {`spec: {selector: null}`, "spec.selector: Required value"},
		"empty selector": {`spec: {selector: {matchLabels: null}}`, "selector must not be empty: name at least one label"},
		"unknown operator": {`spec: {selector: {matchExpressions: [{key: app, operator: Like}]}}`,
			"operator must be In, NotIn, Exists or DoesNotExist"},
		"operator without values": {`spec: {selector: {matchExpressions: [{key: app, operator: In}]}}`,
			"values must be given with the operators In and NotIn"},
		"values without need": {`spec: {selector: {matchExpressions: [{key: app, operator: Exists, values: [a]}]}}`,
			"values must be given with the operators In and NotIn, and only with them"},

		"public URL with a path":    {`spec: {publicURL: "https://shop.example.com/"}`, "publicURL must be an origin"},
		"public URL in upper case":  {`spec: {publicURL: "https://Shop.example.com"}`, "publicURL must be an origin in lower case"},
		"public URL with a user":    {`spec: {publicURL: "https://a@shop.example.com"}`, "publicURL must be an origin"},
		"public URL without TLS":    {`spec: {publicURL: "http://shop.example.com"}`, "publicURL must use https"},
		"public URL nearly local":   {`spec: {publicURL: "http://localhost.example.com"}`, "publicURL must use https"},
		"public URL of no scheme":   {`spec: {publicURL: "shop.example.com"}`, "publicURL must be an origin"},
		"public URL left out":       {`spec: {publicURL: null}`, "spec.publicURL: Required value"},
		"port out of range":         {`spec: {application: {port: 70000}}`, "a number from 1 to 65535"},
		"port zero":                 {`spec: {application: {port: 0}}`, "a number from 1 to 65535"},
		"port in quotes":            {`spec: {application: {port: "8080"}}`, "port is a number in quotes: write it without them"},
		"port name in upper case":   {`spec: {application: {port: HTTP}}`, "at most 15 characters, lower case letters"},
		"port name too long":        {`spec: {application: {port: sixteen-letters-}}`, "at most 15 characters"},
		"the sidecar's port":        {`spec: {application: {port: 18080}}`, "are the sidecar's own"},
		"the sidecar's admin port":  {`spec: {application: {port: 18081}}`, "are the sidecar's own"},
		"the sidecar's port name":   {`spec: {application: {port: bff}}`, "are the sidecar's own"},
		"unknown host":              {`spec: {application: {host: Everywhere}}`, `supported values: "Localhost", "PodIP"`},
		"issuer that is no URL":     {`spec: {provider: {issuerURL: id.example.com}}`, "issuerURL must be an absolute URL"},
		"issuer without a host":     {`spec: {provider: {issuerURL: "https:///realms/shop"}}`, "issuerURL must be an absolute URL"},
		"issuer with a query":       {`spec: {provider: {issuerURL: "https://id.example.com/?a=b"}}`, "issuerURL must be an absolute URL without query"},
		"issuer without TLS":        {`spec: {provider: {issuerURL: "http://id.example.com"}}`, "issuerURL must use https"},
		"scopes without openid":     {`spec: {provider: {scopes: [profile]}}`, "scopes must contain openid"},
		"scope with a space":        {`spec: {provider: {scopes: [openid, "a b"]}}`, "spec.provider.scopes[1]"},
		"connectTo without port":    {`spec: {provider: {connectTo: keycloak}}`, "connectTo must be host:port"},
		"public client":             {`spec: {provider: {clientAuthentication: {method: none}}}`, `supported values: "client_secret_basic", "client_secret_post"`},
		"no client authentication":  {`spec: {provider: {clientAuthentication: null}}`, "clientAuthentication: Required value"},
		"secret key that is a path": {`spec: {provider: {clientAuthentication: {secretRef: {key: ..data}}}}`, "not a path"},

		"idle longer than lifetime": {`spec: {session: {idleTimeout: 2h, lifetime: 1h}}`, "idleTimeout must not be longer than lifetime"},
		"idle too short":            {`spec: {session: {idleTimeout: 10s}}`, "idleTimeout must be a duration from 1m to 720h"},
		"lifetime too long":         {`spec: {session: {lifetime: 1000h}}`, "lifetime must be a duration from 1m to 720h"},
		"redis without its server":  {`spec: {session: {store: {redis: null}}}`, "redis must be set when type is Redis"},
		"memory with a server":      {`spec: {session: {store: {type: Memory}}}`, "redis must be set when type is Redis, and only then"},
		"store without a port":      {`spec: {session: {store: {redis: {address: valkey}}}}`, "address must be host:port"},

		"two routes of one path": {`spec: {routes: [{name: a, path: /a, upstream: {url: "http://a"}}, {name: b, path: /a, upstream: {url: "http://b"}}]}`,
			"each path may stand in one route only"},
		"two routes of one name": {`spec: {routes: [{name: a, path: /a, upstream: {url: "http://a"}}, {name: a, path: /b, upstream: {url: "http://b"}}]}`,
			"Duplicate value"},
		"route with a slash at the end": {`spec: {routes: [{name: a, path: /a/, upstream: {url: "http://a"}}]}`, "no slash at the end"},
		"route that climbs":             {`spec: {routes: [{name: a, path: /a/../b, upstream: {url: "http://a"}}]}`, "path must not contain . or .. segments"},
		"route with an escape":          {`spec: {routes: [{name: a, path: /a%2fb, upstream: {url: "http://a"}}]}`, "plain, unescaped segments"},
		"route below the endpoints":     {`spec: {routes: [{name: a, path: /bff/a, upstream: {url: "http://a"}}]}`, "must not lie below endpoints.basePath"},
		"route at moved endpoints":      {`spec: {endpoints: {basePath: /auth}, routes: [{name: a, path: /auth, upstream: {url: "http://a"}}]}`, "must not lie below endpoints.basePath"},
		"upstream out in clear":         {`spec: {routes: [{name: a, path: /a, upstream: {url: "http://api.example.com"}}]}`, "url must use https outside the cluster"},
		"upstream with a path":          {`spec: {routes: [{name: a, path: /a, upstream: {url: "http://a/b"}}]}`, "url must be scheme://host"},
		"unknown method":                {`spec: {routes: [{name: a, path: /a, methods: [TRACE], upstream: {url: "http://a"}}]}`, "Unsupported value"},
		"endpoints at the root":         {`spec: {endpoints: {basePath: /}}`, "basePath must be one or more plain segments"},
		"a field that does not exist":   {`spec: {publicUrl: https://shop.example.com}`, `unknown field "spec.publicUrl"`},
	} {
		t.Run(name, func(t *testing.T) {
			policy := with(t, row.patch)
			policy.SetNamespace(namespace)
			err := plane.Client.Create(t.Context(), policy, client.FieldValidation(metav1.FieldValidationStrict))
			if err == nil {
				if err := plane.Client.Delete(t.Context(), policy); err != nil {
					t.Error(err)
				}
				t.Fatalf("accepted, want %q", row.want)
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("got  %v\nwant %q", err, row.want)
			}
		})
	}
}

func TestAPIServerAccepts(t *testing.T) {
	namespace := plane.Namespace(t)
	sample, err := os.ReadFile("../config/samples/shop/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, patch := range map[string]string{
		"what every user writes":  ``,
		"a port by number":        `spec: {application: {port: 8080}}`,
		"a port of one letter":    `spec: {application: {port: a}}`,
		"localhost without TLS":   `spec: {publicURL: "http://localhost:8080", provider: {issuerURL: "http://id.localhost:8090/realms/shop"}}`,
		"an IPv6 loopback":        `spec: {publicURL: "http://[::1]:8080"}`,
		"expressions":             `spec: {selector: {matchExpressions: [{key: app, operator: In, values: [shop]}, {key: tier, operator: Exists}]}}`,
		"expressions only":        `spec: {selector: {matchLabels: null, matchExpressions: [{key: app, operator: Exists}]}}`,
		"memory":                  `spec: {session: {store: {type: Memory, redis: null}}}`,
		"no store":                `spec: {session: {store: null}}`,
		"no routes":               `spec: {routes: null}`,
		"a route beside basePath": `spec: {routes: [{name: a, path: /bffs, upstream: {url: "http://a"}}]}`,
		"the sample":              string(sample),
	} {
		t.Run(name, func(t *testing.T) {
			policy := with(t, patch)
			policy.SetNamespace(namespace)
			if err := plane.Client.Create(t.Context(), policy, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
				t.Fatal(err)
			}
			if err := plane.Client.Delete(t.Context(), policy); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	minimal := with(t, `spec: {session: null}`)
	minimal.SetNamespace(plane.Namespace(t))
	if err := plane.Client.Create(t.Context(), minimal); err != nil {
		t.Fatal(err)
	}
	var policy v1alpha1.BFFPolicy
	if err := plane.Client.Get(t.Context(), client.ObjectKeyFromObject(minimal), &policy); err != nil {
		t.Fatal(err)
	}
	spec := policy.Spec
	for what, row := range map[string]struct{ got, want any }{
		"application.host":         {spec.Application.Host, v1alpha1.HostLocalhost},
		"application.requireLogin": {spec.Application.RequireLogin, false},
		"provider.scopes":          {strings.Join(spec.Provider.Scopes, " "), "openid"},
		"session.idleTimeout":      {spec.Session.IdleTimeout.Duration, 30 * time.Minute},
		"session.lifetime":         {spec.Session.Lifetime.Duration, 12 * time.Hour},
		"session.store":            {spec.Session.Store == nil, true},
		"endpoints.basePath":       {spec.Endpoints.BasePath, "/bff"},
		"routes[0].token.type":     {spec.Routes[0].Token.Type, v1alpha1.TokenAccess},
		"routes[0].methods":        {len(spec.Routes[0].Methods), 0},
	} {
		if row.got != row.want {
			t.Errorf("%s defaults to %v, want %v", what, row.got, row.want)
		}
	}
}

// TestColumns asks for the table that kubectl get prints.
func TestColumns(t *testing.T) {
	policy := apply(t, shop(plane.Namespace(t), "shop"))
	policy.Status = v1alpha1.BFFPolicyStatus{
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady,
			Message: "fine", LastTransitionTime: metav1.Now(),
		}},
		Pods: v1alpha1.PodCounts{Matched: 3, Injected: 3, Ready: 2, Summary: "2/3"},
	}
	if err := plane.Client.Status().Update(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	httpClient, err := rest.HTTPClientFor(plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		strings.TrimSuffix(plane.Config.Host, "/")+"/apis/bff-operator.io/v1alpha1/namespaces/"+policy.Namespace+"/bffpolicies", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	response, err := httpClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	var table metav1.Table
	if err := json.NewDecoder(response.Body).Decode(&table); err != nil {
		t.Fatal(err)
	}
	var columns []string
	cells := map[string]any{}
	for i, column := range table.ColumnDefinitions {
		if column.Priority == 0 {
			columns = append(columns, column.Name)
		}
		cells[column.Name] = table.Rows[0].Cells[i]
	}
	if want := []string{"Name", "Ready", "Pods", "Issuer", "Age"}; !slices.Equal(columns, want) {
		t.Errorf("the columns are %v, want %v", columns, want)
	}
	for column, want := range map[string]any{"Name": "shop", "Ready": "True", "Pods": "2/3", "Issuer": "https://id.example.com", "Reason": "Ready", "Message": "fine"} {
		if cells[column] != want {
			t.Errorf("column %s says %v, want %v", column, cells[column], want)
		}
	}
	if age, _ := cells["Age"].(string); !strings.HasSuffix(age, "s") {
		t.Errorf("column Age says %v", cells["Age"])
	}
}
