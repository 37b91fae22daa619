package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/hack/chart/internal/helm"
)

// cluster is a real API server with the chart in it. Nothing runs there: what is
// under test is what the API server makes of the objects, and helm of an
// upgrade.
type cluster struct {
	client.Client
	helm       helm.Helm
	kubeconfig string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	assets, err := filepath.Abs(filepath.Join(root, ".cache/bin"))
	if err != nil {
		t.Fatal(err)
	}
	environment := &envtest.Environment{BinaryAssetsDirectory: assets}
	config, err := environment.Start()
	if err != nil {
		t.Fatalf("an API server is needed: run `make test`, which builds it: %v", err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	user, err := environment.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{helm: theHelm(t), kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	if err := os.WriteFile(c.kubeconfig, kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir()) // helm caches there what it found out about a cluster
	if err := apiextensionsv1.AddToScheme(scheme.Scheme); err != nil {
		t.Fatal(err)
	}
	if c.Client, err = client.New(config, client.Options{Scheme: scheme.Scheme}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) runHelm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.helm.Run(t.Context(), append(args, "--namespace", namespace, "--kubeconfig", c.kubeconfig)...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func read[T any, P interface {
	*T
	client.Object
}](t *testing.T, c *cluster, namespace, name string) T {
	t.Helper()
	var object T
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, P(&object)); err != nil {
		t.Fatal(err)
	}
	return object
}

// tryPod asks the API server whether it would let a pod in whose label has this
// value. No label, if it is empty.
func (c *cluster) tryPod(t *testing.T, namespace, inject string, initContainers ...corev1.Container) error {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "try"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}, InitContainers: initContainers},
	}
	if inject != "" {
		pod.Labels = map[string]string{v1alpha1.LabelInject: inject}
	}
	return c.Create(t.Context(), pod, client.DryRunAll)
}

func TestInstallUpgradeUninstall(t *testing.T) {
	c := startCluster(t)
	chart := filepath.Join(root, chartDir)
	c.checkNotes(t, chart)
	c.runHelm(t, "install", release, chart, "--create-namespace")

	t.Run("the sample policy is accepted", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join(root, "config/samples/shop/policy.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var policy unstructured.Unstructured
		if err := yaml.Unmarshal(text, &policy.Object); err != nil {
			t.Fatal(err)
		}
		policy.SetNamespace("default")
		eventually(t, func() error { return c.Create(t.Context(), policy.DeepCopy(), client.DryRunAll) })
	})

	t.Run("the operator may do what it does and no more", func(t *testing.T) {
		for _, right := range []struct {
			allowed bool
			verb    string
			on      authorizationv1.ResourceAttributes
		}{
			{true, "list", authorizationv1.ResourceAttributes{Group: "bff-operator.io", Resource: "bffpolicies"}},
			{true, "patch", authorizationv1.ResourceAttributes{Namespace: "web", Resource: "configmaps", Name: "bff-shop"}},
			{true, "patch", authorizationv1.ResourceAttributes{Namespace: "web", Resource: "secrets", Name: pod.KeysSecretName}},
			{true, "get", authorizationv1.ResourceAttributes{Namespace: namespace, Resource: "secrets", Name: "bff-operator-webhook-ca"}},
			{true, "create", authorizationv1.ResourceAttributes{Namespace: namespace, Group: "coordination.k8s.io", Resource: "leases"}},
			{true, "patch", authorizationv1.ResourceAttributes{Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations", Name: "bff-operator"}},

			{false, "patch", authorizationv1.ResourceAttributes{Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations", Name: "other"}},
			{false, "get", authorizationv1.ResourceAttributes{Namespace: "web", Resource: "secrets", Name: "shop-oidc"}},
			{false, "get", authorizationv1.ResourceAttributes{Namespace: namespace, Resource: "secrets", Name: "bff-operator-store"}},
			{false, "list", authorizationv1.ResourceAttributes{Resource: "secrets"}},
			{false, "create", authorizationv1.ResourceAttributes{Namespace: "web", Resource: "pods"}},
			{false, "update", authorizationv1.ResourceAttributes{Namespace: "web", Group: "bff-operator.io", Resource: "bffpolicies", Name: "shop"}},
			{false, "create", authorizationv1.ResourceAttributes{Namespace: "web", Group: "coordination.k8s.io", Resource: "leases"}},
		} {
			right.on.Verb = right.verb
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + namespace + ":bff-operator", ResourceAttributes: &right.on,
			}}
			if err := c.Create(t.Context(), review); err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != right.allowed {
				t.Errorf("%s %+v: allowed is %v", right.verb, right.on, review.Status.Allowed)
			}
		}
	})

	t.Run("pods are restricted", func(t *testing.T) {
		strict := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "strict", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
		if err := c.Create(t.Context(), strict); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"bff-operator", "bff-operator-store"} {
			template := read[appsv1.Deployment](t, c, namespace, name).Spec.Template
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "strict", Name: name}, Spec: template.Spec}
			if err := c.Create(t.Context(), pod, client.DryRunAll); err != nil {
				t.Error(err)
			}
		}
		if err := c.tryPod(t, "strict", ""); !apierrors.IsForbidden(err) {
			t.Errorf("the namespace proves nothing, it lets any pod in: %v", err)
		}
	})

	t.Run("without the operator no labelled pod is let in, and any other is", func(t *testing.T) {
		eventually(t, func() error {
			return mustFail(c.tryPod(t, "default", v1alpha1.LabelInjectTrue), "pods.bff-operator.io")
		})
		if err := c.tryPod(t, "default", ""); err != nil {
			t.Errorf("an unlabelled pod: %v", err)
		}
	})

	t.Run("a misspelt label is refused, and says how to spell it", func(t *testing.T) {
		for _, value := range []string{"True", "yes", "enabled"} {
			eventually(t, func() error { return mustFail(c.tryPod(t, "default", value), `takes the value "true"`) })
		}
		if err := c.tryPod(t, "default", "false"); err != nil {
			t.Errorf("a pod that says it wants no sidecar: %v", err)
		}
	})

	t.Run("a namespace that is left out gets no labelled pod either", func(t *testing.T) {
		for _, left := range []string{"kube-system", namespace} {
			eventually(t, func() error {
				return mustFail(c.tryPod(t, left, v1alpha1.LabelInjectTrue), "has none", "leave this namespace out")
			})
		}
	})

	ours := []byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n")
	password := read[corev1.Secret](t, c, namespace, "bff-operator-store").Data["password"]
	t.Run("an upgrade keeps the operator's caBundle and the store's password", func(t *testing.T) {
		c.applyBundle(t, "bff-operator", ours)
		c.runHelm(t, "upgrade", release, chart, "--set", "webhook.timeoutSeconds=7", "--set", "replicaCount=3")
		webhook := read[admissionv1.MutatingWebhookConfiguration](t, c, "", "bff-operator").Webhooks[0]
		if *webhook.TimeoutSeconds != 7 {
			t.Errorf("the upgrade changed nothing: timeoutSeconds is %d", *webhook.TimeoutSeconds)
		}
		if !bytes.Equal(webhook.ClientConfig.CABundle, ours) {
			t.Errorf("caBundle is %q", webhook.ClientConfig.CABundle)
		}
		c.applyBundle(t, "bff-operator", ours) // no conflict: the field is still the operator's
		if got := read[corev1.Secret](t, c, namespace, "bff-operator-store").Data["password"]; !bytes.Equal(got, password) {
			t.Error("the store has another password")
		}
	})

	t.Run("the API server enforces the sidecar when the webhook is gone", func(t *testing.T) {
		configuration := read[admissionv1.MutatingWebhookConfiguration](t, c, "", "bff-operator")
		if err := c.Delete(t.Context(), &configuration); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			return mustFail(c.tryPod(t, "default", v1alpha1.LabelInjectTrue), "has none", "helm upgrade")
		})
		ordinary := corev1.Container{Name: pod.ContainerName, Image: "i"}
		eventually(t, func() error { return mustFail(c.tryPod(t, "default", v1alpha1.LabelInjectTrue, ordinary), "has none") })
		native := ordinary
		native.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		if err := c.tryPod(t, "default", v1alpha1.LabelInjectTrue, native); err != nil {
			t.Errorf("a pod with the sidecar: %v", err)
		}
		if err := c.tryPod(t, "default", ""); err != nil {
			t.Errorf("an unlabelled pod: %v", err)
		}
		c.runHelm(t, "upgrade", release, chart)
		read[admissionv1.MutatingWebhookConfiguration](t, c, "", "bff-operator")
	})

	t.Run("uninstalling keeps the definition and leaves nothing else", func(t *testing.T) {
		c.runHelm(t, "uninstall", release)
		read[apiextensionsv1.CustomResourceDefinition](t, c, "", "bffpolicies.bff-operator.io")
		for _, object := range rendered(t) {
			if object.GetKind() == "CustomResourceDefinition" {
				continue
			}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(&object), object.DeepCopy()); !apierrors.IsNotFound(err) {
				t.Errorf("%s %s: %v, want not found", object.GetKind(), object.GetName(), err)
			}
		}
		c.runHelm(t, "install", release, chart) // the definition that was kept is taken over
	})
}

// checkNotes reads what an installation would print: how to go on, and a warning
// for each choice that costs something.
func (c *cluster) checkNotes(t *testing.T, chart string) {
	t.Helper()
	notes := func(args ...string) string {
		out := c.runHelm(t, append([]string{"install", release, chart, "--dry-run=client"}, args...)...)
		_, notes, _ := strings.Cut(out, "\nNOTES:\n")
		return notes
	}
	for _, want := range []string{"create secret generic", "kind: BFFPolicy", v1alpha1.LabelInject, "/bff/callback", "get bffpolicies"} {
		if !strings.Contains(notes(), want) {
			t.Errorf("the notes do not mention %q", want)
		}
	}
	quiet := set("store.embedded.persistence.enabled=true")
	if text := notes(quiet...); strings.Contains(text, "WARNING") {
		t.Errorf("nothing is wrong, and the notes warn: %s", text)
	}
	for value, want := range map[string]string{
		"replicaCount=1":                                             "one replica",
		"podDisruptionBudget.enabled=false":                          "no PodDisruptionBudget",
		"enforcement.enabled=false":                                  "no enforcement",
		"store.embedded.persistence.enabled=false":                   "no persistence",
		"store.embedded.networkPolicy.enabled=false":                 "every pod of the cluster",
		"crds.enabled=false":                                         "crds.enabled=false",
		"crds.keep=false":                                            "crds.keep=false",
		"store.embedded.enabled=false,store.external.address=a:6379": "in clear",
	} {
		text := notes(append(slices.Clone(quiet), set(value)...)...)
		if strings.Count(text, "WARNING") != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: want one warning, about %q: %s", value, want, text)
		}
	}
}

// applyBundle writes caBundle as the operator does.
func (c *cluster) applyBundle(t *testing.T, name string, bundle []byte) {
	t.Helper()
	var webhooks []any
	for _, webhook := range read[admissionv1.MutatingWebhookConfiguration](t, c, "", name).Webhooks {
		webhooks = append(webhooks, map[string]any{"name": webhook.Name, "clientConfig": map[string]any{"caBundle": bundle}})
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
		"metadata": map[string]any{"name": name}, "webhooks": webhooks,
	})
	if err != nil {
		t.Fatal(err)
	}
	var apply unstructured.Unstructured
	if err := yaml.Unmarshal(text, &apply.Object); err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(&apply), client.FieldOwner("bff-operator")); err != nil {
		t.Fatal(err)
	}
}

// mustFail is nil when err is a refusal that mentions all of this.
func mustFail(err error, mentions ...string) error {
	if err == nil {
		return &unexpected{"it was let in"}
	}
	for _, mention := range mentions {
		if !strings.Contains(err.Error(), mention) {
			return &unexpected{"it was refused with " + err.Error()}
		}
	}
	return nil
}

type unexpected struct{ what string }

func (u *unexpected) Error() string { return u.what }

// eventually repeats try until it returns nil: what admission knows follows a
// write by a moment.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
