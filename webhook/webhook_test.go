package webhook_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	"github.com/bff-operator/bff-operator/api/pod"
	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/controllers/controlplane"
)

func initContainers(p *corev1.Pod) []string {
	var names []string
	for _, container := range p.Spec.InitContainers {
		names = append(names, container.Name)
	}
	return names
}

func TestAdmission(t *testing.T) {
	port := controlplane.FreePort(t)
	plane.InstallWebhook(t, port)
	ready(t, serve(t, port))

	t.Run("a labelled pod without a policy is denied, with the cure", func(t *testing.T) {
		namespace := plane.Namespace(t)
		err := plane.Client.Create(t.Context(), newPod(namespace))
		want := `admission webhook "pods.bff-operator.io" denied the request: the label bff-operator.io/inject: "true" asks for the sidecar, but ` +
			`namespace "` + namespace + `" has no BFFPolicy: apply one whose spec.selector matches the pod's labels (app=shop), or remove the label`
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})

	t.Run("a pod that follows its policy at once is injected", func(t *testing.T) {
		// The cache cannot know the policy yet, most of the time; a hundred times it is
		// never missed.
		for range 100 {
			namespace := plane.Namespace(t)
			p := newPod(namespace)
			plane.Create(t, shop(namespace, "shop"))
			plane.Create(t, p)
			if names := initContainers(p); len(names) != 1 || names[0] != pod.ContainerName {
				t.Fatalf("the init containers are %v", names)
			}
		}
	})

	t.Run("an unlabelled pod is not touched", func(t *testing.T) {
		namespace := plane.Namespace(t)
		plane.Create(t, shop(namespace, "shop"))
		for _, value := range []string{"", "false"} {
			p := newPod(namespace)
			delete(p.Labels, v1alpha1.LabelInject)
			if value != "" {
				p.Labels[v1alpha1.LabelInject] = value
			}
			plane.Create(t, p)
			if len(p.Spec.InitContainers) > 0 || p.Annotations[v1alpha1.AnnotationPolicy] != "" {
				t.Errorf("the pod with label %q was injected", value)
			}
		}
	})

	t.Run("the sidecar keeps to the restricted Pod Security Standard", func(t *testing.T) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			GenerateName: "restricted-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}}
		plane.Create(t, namespace)
		plane.Create(t, shop(namespace.Name, "shop"))
		p := newPod(namespace.Name)
		plane.Create(t, p)
		if len(p.Spec.InitContainers) != 1 {
			t.Error("the pod was not injected")
		}
		// The namespace does enforce.
		root := newPod(namespace.Name)
		root.Spec.Containers[0].SecurityContext = nil
		if err := plane.Client.Create(t.Context(), root); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `"app"`) || strings.Contains(err.Error(), `"bff"`) {
			t.Errorf("a pod that breaks the standard: %v", err)
		}
	})

	t.Run("with several policies the oldest wins, and the author is warned", func(t *testing.T) {
		namespace := plane.Namespace(t)
		for _, name := range []string{"a", "b"} {
			plane.Create(t, shop(namespace, name))
		}
		warned, warnings := warningClient(t)
		p := newPod(namespace)
		if err := warned.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := p.Annotations[v1alpha1.AnnotationPolicy]; got != "a" {
			t.Errorf("the pod follows %q", got)
		}
		want := `several BFFPolicies select this pod: "a" is the oldest and wins over b; narrow their selectors so that only one matches`
		if got := warnings(); !slices.Contains(got, want) {
			t.Errorf("the warnings are %q", got)
		}
	})

	t.Run("a dry run is answered like the real thing", func(t *testing.T) {
		namespace := plane.Namespace(t)
		plane.Create(t, shop(namespace, "shop"))
		p := newPod(namespace)
		if err := plane.Client.Create(t.Context(), p, client.DryRunAll); err != nil || len(p.Spec.InitContainers) != 1 {
			t.Errorf("%v, init containers %v", err, initContainers(p))
		}
	})

	t.Run("a copy of an injected pod is injected anew", func(t *testing.T) {
		namespace := plane.Namespace(t)
		policy := shop(namespace, "shop")
		plane.Create(t, policy)
		first := newPod(namespace)
		plane.Create(t, first)
		again := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "copy-", Labels: first.Labels, Annotations: first.Annotations},
			Spec:       *first.Spec.DeepCopy(),
		}
		again.Spec.InitContainers[0].Image = "registry.example.com/evil:1"
		plane.Create(t, again)
		if got := again.Spec.InitContainers; len(got) != 1 || got[0].Image != sidecar.Image {
			t.Errorf("the init containers are %v with image %s", initContainers(again), got[0].Image)
		}
		if a, b := first.Annotations[v1alpha1.AnnotationPodShape], again.Annotations[v1alpha1.AnnotationPodShape]; a != b {
			t.Errorf("the shape changed from %s to %s", a, b)
		}
	})

	t.Run("admissions are counted by reason", func(t *testing.T) {
		counts := map[string]float64{}
		families, err := metrics.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() != "bff_webhook_admissions_total" {
				continue
			}
			for _, metric := range family.GetMetric() {
				labels := metric.GetLabel()
				counts[labels[0].GetValue()+" "+labels[1].GetValue()] = metric.GetCounter().GetValue()
			}
		}
		if counts["NoPolicy denied"] < 1 || counts["Injected allowed"] < 100 {
			t.Errorf("counted %v", counts)
		}
	})
}

// TestGoldenPodsPassTheAPIServer sends every case of the inject package through
// a real API server: what is expected to be admitted is valid, and what is
// expected to be denied is denied in these words.
func TestGoldenPodsPassTheAPIServer(t *testing.T) {
	port := controlplane.FreePort(t)
	plane.InstallWebhook(t, port)
	ready(t, serve(t, port))
	files, err := filepath.Glob("internal/inject/testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden pods: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			documents := strings.SplitN(string(text), "\n---\n", 3)
			policy, p, want := &v1alpha1.BFFPolicy{}, &corev1.Pod{}, struct {
				Denied struct{ Message string } `json:"denied"`
			}{}
			for i, into := range []any{policy, p, &want} {
				if err := yaml.Unmarshal([]byte(documents[i]), into); err != nil {
					t.Fatal(err)
				}
			}
			policy.Namespace = plane.Namespace(t)
			p.Namespace = policy.Namespace
			plane.Create(t, policy)
			err = plane.Client.Create(t.Context(), p)
			switch {
			case want.Denied.Message == "" && err != nil:
				t.Errorf("refused: %v", err)
			case want.Denied.Message == "" && initContainers(p)[0] != pod.ContainerName:
				t.Errorf("the init containers are %v", initContainers(p))
			case want.Denied.Message != "" && (err == nil || !strings.Contains(err.Error(), want.Denied.Message)):
				t.Errorf("got  %v\nwant %s", err, want.Denied.Message)
			}
		})
	}
}

func TestWithoutTheWebhookOnlyLabelledPodsAreRefused(t *testing.T) {
	plane.InstallWebhook(t, controlplane.FreePort(t))
	namespace := plane.Namespace(t)
	plane.Create(t, shop(namespace, "shop"))
	if err := plane.Client.Create(t.Context(), newPod(namespace)); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("a labelled pod while the webhook is down: %v", err)
	}
	p := newPod(namespace)
	delete(p.Labels, v1alpha1.LabelInject)
	plane.Create(t, p)
}

// warningClient is an administrator who collects the API server's warnings.
func warningClient(t *testing.T) (client.Client, func() []string) {
	t.Helper()
	collected := &collector{}
	config := rest.CopyConfig(plane.Config)
	config.WarningHandlerWithContext = collected
	c, err := client.New(config, client.Options{Scheme: plane.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c, func() []string {
		collected.mutex.Lock()
		defer collected.mutex.Unlock()
		return slices.Clone(collected.warnings)
	}
}

type collector struct {
	mutex    sync.Mutex
	warnings []string
}

func (c *collector) HandleWarningHeaderWithContext(_ context.Context, _ int, _ string, text string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.warnings = append(c.warnings, text)
}
