package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/demo/idp"
)

const sampleDir = "../../config/samples/shop"

// sample is everything in config/samples/shop, by kind and namespace/name.
type sample map[string][]byte

func readSample(t *testing.T) sample {
	t.Helper()
	s := sample{}
	files, err := filepath.Glob(filepath.Join(sampleDir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := documents.Read()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			var meta struct {
				Kind     string
				Metadata struct{ Namespace, Name string }
			}
			if err := yaml.Unmarshal(document, &meta); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			s[meta.Kind+" "+meta.Metadata.Namespace+"/"+meta.Metadata.Name] = document
		}
	}
	return s
}

// get decodes one object and refuses fields that its type does not have.
func get[T any](t *testing.T, s sample, key string) T {
	t.Helper()
	var object T
	document, ok := s[key]
	if !ok {
		t.Fatalf("the sample has no %s", key)
	}
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return object
}

func arg(t *testing.T, d appsv1.Deployment, name string) string {
	t.Helper()
	for _, a := range d.Spec.Template.Spec.Containers[0].Args {
		if value, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return value
		}
	}
	t.Fatalf("%s has no --%s", d.Name, name)
	return ""
}

// The sample's files name the same things many times. This is where a change in one of them and not in the others
// is found.
func TestSampleFitsTogether(t *testing.T) {
	s := readSample(t)
	policy := get[v1alpha1.BFFPolicy](t, s, "BFFPolicy shop/shop").Spec
	web := get[appsv1.Deployment](t, s, "Deployment shop/web")
	api := get[appsv1.Deployment](t, s, "Deployment shop/api")
	provider := get[appsv1.Deployment](t, s, "Deployment id/idp")
	secret := get[corev1.Secret](t, s, "Secret shop/shop-oidc")
	clients := get[corev1.Secret](t, s, "Secret id/idp-clients")
	config := get[corev1.ConfigMap](t, s, "ConfigMap id/idp")

	// The provider's configuration, with the mounted secret where this test can have it.
	dir := t.TempDir()
	write(t, filepath.Join(dir, "shop"), clients.StringData["shop"])
	write(t, filepath.Join(dir, "config.yaml"), strings.ReplaceAll(config.Data["config.yaml"], "/etc/idp/clients/", dir+"/"))
	loaded, err := loadIDPConfig(filepath.Join(dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := idp.New(loaded); err != nil {
		t.Fatal(err)
	}
	client := loaded.Clients[0]

	for what, pair := range map[string][2]string{
		"issuer of policy and provider":      {policy.Provider.IssuerURL, loaded.Issuer},
		"issuer of policy and API":           {policy.Provider.IssuerURL, arg(t, api, "issuer")},
		"address of the provider":            {policy.Provider.ConnectTo, arg(t, api, "connect-to")},
		"client ID":                          {policy.Provider.ClientID, client.ID},
		"client secret":                      {secret.StringData[policy.Provider.ClientAuthentication.SecretRef.Key], client.Secret},
		"client authentication":              {string(policy.Provider.ClientAuthentication.Method), client.AuthMethod},
		"name of the client secret":          {policy.Provider.ClientAuthentication.SecretRef.Name, secret.Name},
		"audience":                           {arg(t, api, "audience"), client.Audience[0]},
		"application port":                   {policy.Application.Port.String(), web.Spec.Template.Spec.Containers[0].Ports[0].Name},
		"application's inject label":         {web.Spec.Template.Labels[v1alpha1.LabelInject], v1alpha1.LabelInjectTrue},
		"application's label and the policy": {web.Spec.Template.Labels["app"], policy.Selector.MatchLabels["app"]},
	} {
		if pair[0] != pair[1] || pair[0] == "" {
			t.Errorf("%s: %q and %q", what, pair[0], pair[1])
		}
	}
	if want := policy.PublicURL + "/bff/callback"; !slices.Contains(client.RedirectURIs, want) {
		t.Errorf("the provider does not know the redirect URI %s", want)
	}
	if want := policy.PublicURL + "/"; !slices.Contains(client.PostLogoutRedirectURIs, want) {
		t.Errorf("the provider does not know the post-logout redirect URI %s", want)
	}

	// Every address leads to a Service whose port leads to a container port of the pods behind it.
	for address, d := range map[string]appsv1.Deployment{
		policy.Provider.ConnectTo:                                    provider,
		strings.TrimPrefix(policy.Routes[0].Upstream.URL, "http://"): api,
		web.Name + "." + web.Namespace + ".svc:80":                   web,
	} {
		host, port, _ := strings.Cut(address, ":")
		name, rest, _ := strings.Cut(host, ".")
		namespace := strings.TrimSuffix(rest, ".svc")
		service := get[corev1.Service](t, s, "Service "+namespace+"/"+name)
		container := d.Spec.Template.Spec.Containers[0]
		if p := service.Spec.Ports[0]; port != fmt.Sprint(p.Port) || p.TargetPort.String() != container.Ports[0].Name || namespace != d.Namespace {
			t.Errorf("%s: Service port %d to %s, container port %s", address, p.Port, p.TargetPort.String(), container.Ports[0].Name)
		}
		for label, value := range service.Spec.Selector {
			if d.Spec.Template.Labels[label] != value {
				t.Errorf("Service %s selects %s=%s, its pods have %q", name, label, value, d.Spec.Template.Labels[label])
			}
		}
		if listen := arg(t, d, "listen"); listen != ":"+fmt.Sprint(container.Ports[0].ContainerPort) {
			t.Errorf("%s listens on %s, its container port is %d", d.Name, listen, container.Ports[0].ContainerPort)
		}
	}
}

// What the Pod Security level "restricted" asks of a pod, in namespaces that enforce it.
func TestSampleIsRestricted(t *testing.T) {
	s := readSample(t)
	for _, key := range []string{"Deployment shop/web", "Deployment shop/api", "Deployment id/idp"} {
		d := get[appsv1.Deployment](t, s, key)
		if ns := get[corev1.Namespace](t, s, "Namespace /"+d.Namespace); ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("namespace %s does not enforce the level", d.Namespace)
		}
		pod := d.Spec.Template.Spec
		if pod.SecurityContext == nil || !*pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *pod.AutomountServiceAccountToken {
			t.Errorf("%s: pod security %+v", key, pod.SecurityContext)
		}
		for _, c := range pod.Containers {
			sc := c.SecurityContext
			if *sc.AllowPrivilegeEscalation || !*sc.ReadOnlyRootFilesystem || !slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("%s: container security %+v", key, sc)
			}
			if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: resources %+v", key, c.Resources)
			}
			if c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe.HTTPGet.Port.String() != c.Ports[0].Name {
				t.Errorf("%s: probes must use the port by name", key)
			}
			if c.Image != "localhost/bff-demo:dev" || c.ImagePullPolicy != corev1.PullIfNotPresent {
				t.Errorf("%s: image %s, %s", key, c.Image, c.ImagePullPolicy)
			}
		}
	}
}

func TestKustomizationNamesEveryFile(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(sampleDir, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct{ Resources []string }
	if err := yaml.Unmarshal(raw, &kustomization); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(sampleDir, "*.yaml"))
	for _, file := range files {
		if name := filepath.Base(file); name != "kustomization.yaml" && !slices.Contains(kustomization.Resources, name) {
			t.Errorf("%s is not in kustomization.yaml", name)
		}
	}
	if len(kustomization.Resources) != len(files)-1 {
		t.Errorf("kustomization.yaml names %d files, there are %d", len(kustomization.Resources), len(files)-1)
	}
	if policy, web := slices.Index(kustomization.Resources, "policy.yaml"), slices.Index(kustomization.Resources, "web.yaml"); policy > web {
		t.Error("the policy must come before the pods that ask for its sidecar: without it they are denied")
	}
}
